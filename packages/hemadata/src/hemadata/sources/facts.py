"""What a source's TOML may say: the facts of a data set, typed and closed, so that a slip in a page is an error."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hemadata.errors import UsageError
from hemadata.quarantine import REASONS
from hemadata.regions import REGIONS

Sureness = Literal["high", "medium", "low"]
Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Hex40 = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

# Behind these a person signs in, accepts terms or starts a plug-in.
PERSON_HOSTS = (
    "www.kaggle.com",
    "drive.google.com",
    "universe.roboflow.com",
    "ieee-dataport.org",
    "www.cancerimagingarchive.net",
    "datasetninja.com",
)

# SPDX where there is one. The others say how free the data are; `unknown` is never published.
LICENSES = (
    "Apache-2.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-3.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "GPL-3.0-only",
    "MIT",
    "LicenseRef-free-data",
    "LicenseRef-research-only",
    "unknown",
)
# Whoever fetches data under another one says so: no commercial use, research only, or nobody said anything.
FREE_LICENSES = tuple(
    name for name in LICENSES if name not in ("LicenseRef-research-only", "unknown") and "-NC" not in name
)


class Facts(BaseModel):
    """Base: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Domain(Facts):
    """Where the pictures come from."""

    disease: str | None = None
    specimen: Literal["blood", "marrow", "sputum"] | None = None
    stain: str | None = None
    modality: Literal["single-cell", "field-of-view"]
    magnification: str | None = None


class Download(Facts):
    """One file to get; a checksum only where one is published."""

    url: str  # a direct link; the page to open where `person` is set
    mirrors: tuple[str, ...] = ()  # further links to the same file, tried in order
    file: str | None = None  # its name below the raw folder
    kind: Literal["zip", "tar", "tar.gz", "rar", "7z", "npz", "git", "csv", "text", "folder"]
    sha256: Hex64 | None = None
    md5: Hex32 | None = None
    git_sha1: Hex40 | None = None  # id of the file in git
    bytes: int | None = Field(None, ge=0)
    person: bool = False  # behind a login, a plug-in or a choice: no program may fetch it
    optional: bool = False  # a copy or a supplement: fetched only where it is asked for

    @field_validator("file")
    @classmethod
    def _below_the_folder(cls, file: str | None) -> str | None:
        if file is not None and not is_below(file):
            raise ValueError(f'file "{file}" must be a relative name without ".."')
        return file

    @property
    def by_program(self) -> bool:
        """Whether `hemadata fetch` may get it."""
        host = urlsplit(self.url).hostname or ""
        return not self.person and self.kind not in ("git", "folder") and host not in PERSON_HOSTS


def is_below(name: str) -> bool:
    """Whether a relative name stays below the folder that it is joined to."""
    return bool(name) and not name.startswith(("/", "\\")) and ".." not in name.replace("\\", "/").split("/")


class Counts(Facts):
    """What the archive itself holds, as its facts page counts it, where that is not what the paper says."""

    images: int | None = None
    classes: int | None = None


class Confidence(Facts):
    """How sure the facts are: read from the archive (high), from other people's programs (medium), guessed (low)."""

    layout: Sureness
    annotation: Sureness
    classes: Sureness

    @property
    def lowest(self) -> "Sureness":
        """The weakest of the three."""
        return min((self.layout, self.annotation, self.classes), key=("low", "medium", "high").index)


class Published(Facts):
    """Counts of the paper's tables 1 to 4; `note` tells why a number differs from the archive."""

    images: int | None = None
    classes: int | None = None
    train: int | None = None
    test: int | None = None
    tolerance: float = 0.0
    note: dict[str, str] = Field(default_factory=dict)


class MaskValue(Facts):
    """What a raw mask value stands for: a region, and the ontology node of the cell it belongs to."""

    region: str
    cell: str | None = None


class MaskFacts(Facts):
    """How masks are read. A value outside `values` is a defect, unless `snap` sets it to the nearest declared one."""

    values: dict[str, MaskValue | str]
    snap: Literal["nearest"] | None = None

    @field_validator("values")
    @classmethod
    def _known(cls, values: dict[str, MaskValue | str]) -> dict[str, MaskValue | str]:
        if not values:
            raise ValueError("a mask needs at least one value")
        for raw, meaning in values.items():
            if not (raw.isascii() and raw.isdigit() and len(raw) <= 3 and int(raw) <= 255):
                raise ValueError(f'"{raw}" is no value of a mask: 0 to 255')
            region = meaning if isinstance(meaning, str) else meaning.region
            if region not in REGIONS:
                raise ValueError(f'region "{region}" is not one of {", ".join(REGIONS)}')
        return values

    def regions(self) -> dict[int, MaskValue]:
        """Raw pixel value -> region."""
        return {int(k): MaskValue(region=v) if isinstance(v, str) else v for k, v in self.values.items()}


class SourceFacts(Facts):
    """One page of facts. Every field is a fact of the data set, none is behaviour."""

    name: str
    title: str
    table: int | None = None
    row: int | None = None
    task: Literal["classification", "detection", "segmentation", "vqa", "mlm"]
    annotation_origin: Literal["published", "derived", "none"]
    version: str
    raw: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()  # layouts with other rows, of which a build reads one
    family: str | None = None
    anchor: str | None = None
    citation: str
    doi: str | None = None
    homepage: str
    license: str
    license_note: str | None = None
    access: Literal["open", "registration", "request", "made"]
    instructions: str | None = None
    domain: Domain
    download: tuple[Download, ...] = ()
    label_scope: Literal["cell", "image", "subject"] | None = None
    labels: dict[str, str | dict[str, str]] = Field(default_factory=dict)
    labels_fine: dict[str, str] = Field(default_factory=dict)
    classes_annotated: tuple[str, ...] | None = None
    overhang: float = 2.0  # pixels a box may reach over the border and be cut; more is a defect
    mask: MaskFacts | None = None
    foreground: tuple[str, ...] = ()
    vocabulary: str | None = None  # of ontology/morphology.toml
    published: Published = Published()
    archive: Counts = Counts()
    defects: dict[str, int] = Field(default_factory=dict)
    overlaps: dict[str, str] = Field(default_factory=dict)  # slug of a source with the same pictures -> which
    confidence: Confidence | None = None

    @model_validator(mode="after")
    def _closed_vocabularies(self) -> "SourceFacts":
        if self.license not in LICENSES:
            raise ValueError(f'license "{self.license}" is not one of {", ".join(LICENSES)}')
        for reason in self.defects:
            if reason not in REASONS:
                raise ValueError(f'defect "{reason}" is not one of {", ".join(REASONS)}')
        if (self.task == "segmentation") != bool(self.foreground):
            raise ValueError("a segmentation source declares its binary target: foreground = [...]")
        return self

    @property
    def needs_consent(self) -> bool:
        """Whether the licence must be accepted before a program fetches the data."""
        return self.license not in FREE_LICENSES

    @property
    def raw_folders(self) -> tuple[str, ...]:
        """Folders under `--raw`; the first is the source's own."""
        return self.raw or (self.name,)

    @property
    def group_space(self) -> str:
        """Namespace of the groups: sources of one family share their groups."""
        return self.family or self.name


def read_facts(path: Path) -> SourceFacts:
    """Read and check one TOML page.

    Raises:
        UsageError: the page does not parse or says something that a page may not say.
    """
    try:
        return SourceFacts.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, ValidationError) as error:  # ValueError: no TOML, or not UTF-8
        raise UsageError(f"The facts page {path.name} is not valid: {error}") from error
