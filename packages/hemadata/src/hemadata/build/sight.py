"""What every machine of a cluster must see alike: the raw data, the output folder, the same programs."""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import uuid4

from hemadata import sources
from hemadata.errors import HemaError
from hemadata.formats.rawfile import RawFile
from hemadata.sources.base import Ref

# What decides about bytes: decoders, and the writer of Parquet.
PROGRAMS = ("hemadata", "pyarrow", "numpy", "pillow", "simplejpeg")
FIRST = 64 << 10  # bytes of a raw file that are compared
SAMPLES = 8  # raw files that are compared


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A raw file as the machine sees it that made the plan."""

    path: str
    folder: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What the machine sees that made the plan.

    Args:
        token: file in the output folder; its name is its content.
        raw: some raw files, of every folder one.
        programs: version of each of `PROGRAMS`.
        source: slug.
        reader: digest of the source's facts and reader.
    """

    token: Path
    raw: tuple[Glimpse, ...]
    programs: tuple[tuple[str, str], ...]
    source: str
    reader: str

    @classmethod
    def of(cls, folder: Path, source: str, refs: Iterable[Ref], count: int) -> "Sight":
        """Look, and leave a file to be found.

        Args:
            folder: below the output folder, there already.
            source: slug.
            refs: of the plan.
            count: of them.
        """
        token = folder / f"seen-{uuid4().hex}"
        token.write_text(token.name, encoding="utf-8")
        return cls(token, tuple(_glimpses(refs, count)), _programs(), source, _reader(source))

    def complaint(self) -> str:
        """What this machine does not see as the other one does, as the end of a sentence; empty where all is well."""
        try:
            if self.token.read_text(encoding="utf-8") != self.token.name:
                raise OSError
        except OSError:
            return (
                f"does not see the output folder {self.token.parents[2]}. Put --out on a file system that every node "
                "mounts at the same path."
            )
        for glimpse in self.raw:
            if _glimpse(glimpse.path, glimpse.folder) != glimpse:
                return (
                    f"does not see the raw folder {glimpse.folder} as the others do ({glimpse.path} is missing there, "
                    "or differs). Put --raw on a file system that every node mounts at the same path."
                )
        for (name, wanted), (_, found) in zip(self.programs, _programs(), strict=True):
            if wanted != found:
                return f"has {name} {found}, this machine {wanted}: shards would differ. Install the same environment."
        try:
            same = _reader(self.source) == self.reader
        except HemaError as error:
            return f"does not know the source {self.source} ({error}) Install the package that brings it on every node."
        return "" if same else f"has another reader of {self.source}. Install the same version on every node."

    def answer(self, node: str) -> str:
        """Leave a file beside the token, for the other machine to see; the complaint where that fails."""
        try:
            self._answer(node).write_text(node, encoding="utf-8")
        except OSError as error:
            return f"cannot write into the output folder {self.token.parents[2]}: {error.strerror or error}."
        return ""

    def answered(self, node: str) -> str:
        """The complaint where a node's answer does not arrive here."""
        with contextlib.suppress(OSError):
            os.listdir(self.token.parent)  # noqa: PTH208 - makes a network file system look again
            if self._answer(node).read_text(encoding="utf-8") == node:
                return ""
        return (
            f"writes into another folder than this machine's {self.token.parents[2]}. Put --out on a file system that "
            "every node mounts at the same path."
        )

    def close(self) -> None:
        """Take away what was left to be found."""
        for path in (self.token, *self.token.parent.glob(f"{self.token.name}-*")):
            path.unlink(missing_ok=True)

    def _answer(self, node: str) -> Path:
        return self.token.with_name(f"{self.token.name}-{node}")


def _glimpses(refs: Iterable[Ref], count: int) -> Iterable[Glimpse]:
    """The first file of each raw folder, and a few more."""
    first, spread = dict[str, RawFile](), list[RawFile]()
    for number, ref in enumerate(refs):
        for file in (ref.image, ref.mask):
            if isinstance(file, RawFile):
                first.setdefault(_folder(file), file)
                if number % max(1, count // SAMPLES) == 0:
                    spread.append(file)
    for path, folder in dict.fromkeys((file.path, _folder(file)) for file in (*first.values(), *spread)):
        if glimpse := _glimpse(path, folder):
            yield glimpse


def _folder(file: RawFile) -> str:
    """The raw folder of a file; that of an archive's member is where the archive lies."""
    end = f"/{file.name}"
    return file.path.removesuffix(end) if file.path.endswith(end) else str(Path(file.path).parent)


def _glimpse(path: str, folder: str) -> Glimpse | None:
    try:
        with Path(path).open("rb") as file:
            head = file.read(FIRST)
            return Glimpse(path, folder, os.fstat(file.fileno()).st_size, hashlib.sha256(head).hexdigest())
    except OSError:
        return None


def _programs() -> tuple[tuple[str, str], ...]:
    return tuple((name, _version(name)) for name in PROGRAMS)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a package"


def _reader(name: str) -> str:
    source = sources.get(name)
    digest = hashlib.sha256(source.toml)
    if path := source.module.__file__:
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()
