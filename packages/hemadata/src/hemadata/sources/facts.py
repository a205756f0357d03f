"""What a source's TOML may say: the facts of a data set, typed and closed, so that a slip in a page is an error."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hemadata.errors import UsageError
from hemadata.quarantine import REASONS

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

    url: str
    file: str | None = None
    kind: Literal["zip", "tar", "rar", "7z", "git", "csv", "folder", "npz"]
    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None


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
    defects: dict[str, int] = Field(default_factory=dict)

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
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise UsageError(f"The facts page {path.name} is not valid: {error}") from error
