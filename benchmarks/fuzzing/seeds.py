"""What is mutated: the raw trees of all sources' phantoms, small pictures of every kind, a corpus; made once."""

import io
import random
import shutil
from functools import cache
from pathlib import Path

from hemadata import sources
from hemadata.build import Options, build
from PIL import Image

CORPUS = ("raabin", "bccd", "wbc-image-dataset", "wbcatt-vqa", "leukemiaattri-mlm")
IMAGES = 4  # of each phantom
ORIENTATION, DESCRIPTION = 0x0112, 0x010E  # EXIF tags


class Seeds:
    """Phantoms, drawn into a folder when they are first asked for.

    Args:
        folder: kept between runs where the caller keeps it.
        real: folder with real raw data, for more seeds; None: phantoms alone.
    """

    def __init__(self, folder: Path, real: Path | None = None) -> None:
        self.folder, self.real = folder, real
        self._pages: dict[str, list[bytes]] = {}

    def tree(self, name: str) -> Path:
        """Raw root with the phantom of a source."""
        root = self.folder / name
        if not root.exists():
            part = self.folder / f".{name}"
            shutil.rmtree(part, ignore_errors=True)
            sources.get(name).draw(part, IMAGES, 0)
            part.rename(root)
        return root

    def corpus(self) -> Path:
        """A corpus with a source of every task."""
        out = self.folder / "corpus"
        if not out.exists():
            part = self.folder / ".corpus"
            shutil.rmtree(part, ignore_errors=True)
            results = build(CORPUS, Path("nowhere"), part, Options(phantom=6))
            assert not [result.error for result in results if result.error]
            part.rename(out)
        return out

    def pages(self, ending: str, *names: str) -> list[bytes]:
        """Contents of all files with an ending in the phantoms of some sources, and of a few real ones."""
        key = " ".join((ending, *names))
        if key not in self._pages:
            roots = [self.tree(name) for name in names] + [self.real / name for name in names if self.real]
            found = [path for root in roots for path in sorted(root.rglob(f"*{ending}"))[:40] if path.is_file()]
            self._pages[key] = [path.read_bytes() for path in found if path.stat().st_size < 1 << 20]
        return self._pages[key]


@cache
def pictures() -> tuple[bytes, ...]:
    """Small pictures in every format and mode that a reader may meet, EXIF and odd compressions included."""
    made = []
    chance = random.Random(0)
    colour = Image.frombytes("RGB", (24, 16), chance.randbytes(24 * 16 * 3))
    ways = {
        "JPEG": [{}, {"progressive": True}, {"quality": 30}, {"subsampling": 0}, {"comment": b"x" * 80}],
        "PNG": [{}, {"optimize": True}],
        "WEBP": [{}, {"lossless": True}],
        "BMP": [{}],
        "GIF": [{}],
        "TIFF": [{"compression": name} for name in (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "group4")],
    }
    for form, options in ways.items():
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"):
            for option in options:
                for orientation in (None, 1, 6) if form in ("JPEG", "PNG", "WEBP", "TIFF") else (None,):
                    extra = dict(option)
                    if orientation:
                        exif = Image.Exif()
                        exif[ORIENTATION], exif[DESCRIPTION] = orientation, "a smear"
                        extra["exif"] = exif.tobytes()
                    made.append(_saved(colour, mode, form, extra))
    frames = [colour.convert("P") for _ in range(3)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return (*filter(None, made), out.getvalue())


def _saved(image: Image.Image, mode: str, form: str, extra: dict[str, object]) -> bytes:
    """The file, or nothing where the format does not hold the mode."""
    out = io.BytesIO()
    held = {"jpeg": ("L", "RGB"), "group4": ("1",)}  # libtiff corrupts its memory when it writes other modes
    if mode not in held.get(str(extra.get("compression")), (mode,)):
        return b""
    try:
        grey = image.convert("L").convert("I") if mode == "I;16" else image
        grey.convert(mode).save(out, form, **extra)
    except (OSError, ValueError, KeyError, TypeError):
        return b""
    return out.getvalue()
