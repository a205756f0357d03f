"""Changing raw trees at random: files that are lost, twice, swapped or oddly named, links, pipes, hostile archives."""

import io
import os
import random
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from fuzzing.mutate import mutated

ODD_NAMES = (
    *("..\\..\\x.jpg", "-rf", " .jpg", "a\nb.jpg", "%2e%2e.jpg", "CON.jpg", "a:b.jpg", "x" * 200 + ".jpg", "a.jpg.jpg"),
    *("e\u0301.jpg", "\u00e9.jpg", "\u202egpj.exe", ".hidden.jpg", "Thumbs.db", "a.JPG", "a", "*.jpg", "[a].jpg", "~"),
)
HOSTILE_NAMES = (
    *("../out.jpg", "/tmp/hema-out.jpg", "a/../../out.jpg", "..\\out.jpg", "\\out.jpg", "a/..", ".", "", "/", "a//b"),
    *("C:\\x.jpg", "\\\\host\\x", "a\0b", "....//x", "./a.jpg", "a/./b.jpg", "\u2024\u2024/x", "x" * 300, "a/" * 200),
)
HUGE = 1 << 40  # bytes of a file that has none


def files_of(root: Path) -> list[Path]:
    """Plain files of a tree, sorted, but for the huge ones."""
    found = []
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 24:
                found.append(path)
    return sorted(found)


def spoil(root: Path, outside: Path, chance: random.Random) -> None:
    """Change a raw tree in a few places.

    Args:
        root: of the tree.
        outside: a folder that nothing may be written into, for links.
        chance: decides.
    """
    for _ in range(chance.choice((1, 1, 2, 3))):
        if not (files := files_of(root)):
            return
        pages = [path for path in files if path.suffix.lower() not in (".jpg", ".png", ".bmp", ".tif", ".tiff", ".db")]
        if chance.random() < 0.7:
            path = chance.choice(pages if pages and chance.random() < 0.7 else files)
            other = chance.choice(files).read_bytes()
            path.write_bytes(mutated(path.read_bytes(), chance, [other]))
        else:
            chance.choice(TREES)(chance.choice(files), outside, chance)


def _lose(path: Path, outside: Path, chance: random.Random) -> None:
    path.unlink()


def _rename(path: Path, outside: Path, chance: random.Random) -> None:
    path.rename(_beside(path, chance))


def _copy(path: Path, outside: Path, chance: random.Random) -> None:
    folder = chance.choice((path.parent, path.parent / "copy", path.parent.parent))
    folder.mkdir(exist_ok=True)
    target = folder / chance.choice((path.name.upper(), path.name.lower(), f"{path.stem} (1){path.suffix}", path.name))
    if not target.exists():
        shutil.copy(path, target)


def _swap(path: Path, outside: Path, chance: random.Random) -> None:
    other = chance.choice(files_of(path.parent))
    a, b = path.read_bytes(), other.read_bytes()
    path.write_bytes(b)
    other.write_bytes(a)


def _link(path: Path, outside: Path, chance: random.Random) -> None:
    """In the place of the file, or beside it: to what no reader should follow, or may."""
    pipe = outside / "pipe"
    targets = (outside / "keep.txt", outside, Path("/dev/zero"), pipe, path.parent, path, Path("/nowhere"), Path("/"))
    if chance.random() < 0.6:
        path.unlink()
        path.symlink_to(chance.choice(targets))
    else:
        (path.parent / f"link-{chance.randrange(9)}{path.suffix}").symlink_to(chance.choice(targets))


def _pipe(path: Path, outside: Path, chance: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _hard(path: Path, outside: Path, chance: random.Random) -> None:
    path.unlink()
    os.link(outside / "keep.txt", path)


def _huge(path: Path, outside: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.truncate(chance.choice((HUGE, 3 << 30)))


def _folder(path: Path, outside: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _packed(path: Path, outside: Path, chance: random.Random) -> None:
    """The whole tree as an archive that is damaged, or holds hostile names."""
    top = path.parent
    kind = chance.choice((".zip", ".tar", ".tar.gz"))
    content = {p.relative_to(top).as_posix(): p.read_bytes() for p in files_of(top)[:30] if p.stat().st_size < 1 << 22}
    for file in files_of(top):
        if chance.random() < 0.9:
            file.unlink()
    data = archive(content, kind, chance)
    (top / f"packed{kind}").write_bytes(mutated(data, chance) if chance.random() < 0.6 else data)


def _beside(path: Path, chance: random.Random) -> Path:
    name: str | bytes = chance.choice((*ODD_NAMES, b"\xff\xfe.jpg"))
    target = path.parent / (os.fsdecode(name) if isinstance(name, bytes) else name)
    return path.parent / f"renamed{path.suffix}" if target.exists() else target


def archive(content: dict[str, bytes], kind: str, chance: random.Random) -> bytes:
    """An archive of files, hostile members among them.

    Args:
        content: name -> bytes.
        kind: .zip, .tar, or .tar with the ending of a compression.
        chance: decides.
    """
    out = io.BytesIO()
    hostile = chance.sample(HOSTILE_NAMES, chance.choice((0, 0, 0, 1, 1, 3)))
    entries = [*content.items(), *((name, b"hostile") for name in hostile)]
    chance.shuffle(entries)
    if kind == ".zip":
        with zipfile.ZipFile(out, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as made:
            for name, data in entries:
                name = name.encode("utf-8", "replace").decode()  # what a zip can hold
                info = zipfile.ZipInfo(name.replace("\0", "") or "x")
                info.filename = name or "x"
                if chance.random() < 0.1:
                    info.external_attr = chance.choice((0o120777, 0o010644, 0o020644)) << 16
                made.writestr(info, data, compress_type=chance.choice((None, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED)))
        return out.getvalue()
    mode = {"tar": "w", "gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}[kind.rpartition(".")[2]]
    with tarfile.open(fileobj=out, mode=mode, format=chance.choice((0, 1, 2))) as tar:  # type: ignore[call-overload]
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if chance.random() < 0.1:
                info.type, info.size = chance.choice(ODD_TYPES), 0
                info.linkname = chance.choice(("/etc/passwd", "../../out", ".", name))
            try:
                tar.addfile(info, io.BytesIO(data))
            except ValueError:  # a name that this form of tar cannot hold
                continue
    return out.getvalue()


ODD_TYPES = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"S", b"D", b"Z")
TREES: tuple[Callable[[Path, Path, random.Random], None], ...] = (
    *(_lose, _rename, _rename, _copy, _swap, _link, _link, _link, _pipe, _hard, _huge, _folder, _packed),
)
