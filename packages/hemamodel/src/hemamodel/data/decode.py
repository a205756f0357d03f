"""From the bytes of a corpus to tensors, in the frame that boxes and masks are in."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import torch
from hemadata.formats import pictures
from PIL import Image, ImageOps
from torch import Tensor
from torchvision import tv_tensors  # type: ignore[import-untyped]


def image(data: bytes) -> tv_tensors.Image:
    """Image file -> uint8 [3, H, W], turned by its EXIF orientation as `datasets` turns it.

    Raises:
        DefectError: it is no picture, or one beyond hemadata's bound.
    """
    with pictures.decode(pictures.open_picture(data)) as opened:
        turned = ImageOps.exif_transpose(opened)
        if turned.mode.startswith("I;16"):  # Pillow would clip 16 bits to 255 instead of scaling them
            turned = Image.fromarray((np.asarray(turned) >> 8).astype(np.uint8))
        pixels = np.array(turned.convert("RGB"))
    return tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())


def mask(data: bytes, foreground: Sequence[Sequence[int]]) -> tv_tensors.Mask:
    """Palette PNG -> uint8 [K, H, W], 1 where the region's number is in channel k of `foreground`."""
    with Image.open(BytesIO(data)) as opened:
        regions = np.array(opened)
    channels = [np.isin(regions, values) for values in foreground]
    return tv_tensors.Mask(torch.from_numpy(np.stack(channels).astype(np.uint8)))


def dense(values: Mapping[int, float], classes: int) -> Tensor:
    """Class -> value, as float32 [classes], 0 elsewhere."""
    row = torch.zeros(classes)
    for number, value in values.items():
        row[number] = value
    return row
