"""What the parts share: real images, changes that make copies of them, a clock."""

import random
import re
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance

Row = dict[str, Any]


def real_images(raw: Path) -> Iterator[tuple[str, str, bytes]]:
    """Set, name and file of every real image."""
    for name, folder, pattern in (
        ("bccd", "bccd/BCCD/JPEGImages", "*.jpg"),
        ("acevedo", "acevedo", "**/[!.]*.jpg"),
        ("wbc1", "wbc-image-dataset/Dataset 1", "*.bmp"),
        ("wbc2", "wbc-image-dataset/Dataset 2", "*.bmp"),
    ):
        for path in sorted((raw / folder).glob(pattern)):
            yield name, f"{name}/{path.stem}", path.read_bytes()


def scaled(image: Image.Image, chance: random.Random) -> Image.Image:
    share = chance.uniform(0.5, 1)
    how = chance.choice([Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
    return image.resize((round(image.width * share), round(image.height * share)), how)


def compressed(image: Image.Image, chance: random.Random) -> Image.Image:
    out = BytesIO()
    image.save(out, "JPEG", quality=chance.randint(50, 95))
    return Image.open(out).convert("RGB")


def turned(image: Image.Image, chance: random.Random) -> Image.Image:
    turn = chance.randrange(8)
    return image.transpose(Image.Transpose(turn - 1)) if turn else image


def coloured(image: Image.Image, chance: random.Random) -> Image.Image:
    image = ImageEnhance.Brightness(image).enhance(chance.uniform(0.8, 1.2))
    return ImageEnhance.Contrast(image).enhance(chance.uniform(0.8, 1.2))


Change = Callable[[Image.Image, random.Random], Image.Image]
CHANGES: dict[str, tuple[Change, ...]] = {
    "scale 0.5-1": (scaled,),
    "jpeg 50-95": (compressed,),
    "orientation": (turned,),
    "brightness, contrast": (coloured,),
    "all together": (scaled, coloured, turned, compressed),
}


def copy(data: bytes, changes: tuple[Change, ...], chance: random.Random) -> bytes:
    image = Image.open(BytesIO(data)).convert("RGB")
    for change in changes:
        image = change(image, chance)
    out = BytesIO()
    image.save(out, "BMP")
    return out.getvalue()


class Clock:
    """CPU and wall seconds between looks."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def since(self) -> dict[str, Any]:
        """CPU and wall seconds since the last look, and the peak of memory so far."""
        cpu, wall = time.process_time(), time.perf_counter()
        passed = {"cpu_s": round(cpu - self.cpu, 1), "wall_s": round(wall - self.wall, 1)}
        self.cpu, self.wall = cpu, wall
        return passed | times()


def times() -> dict[str, Any]:
    status = Path("/proc/self/status").read_text()
    return {"peak_mb": int(re.search(r"VmHWM:\s+(\d+)", status)[1]) >> 10}
