"""Seeded drawing of blood smears: pictures, masks and boxes for raw trees made without any download.

The drawing is numpy and Pillow only. It knows cells and stains, but no data set and no file layout: sources write what
it draws. The same seed gives the same pixels.
"""

from hemadata.phantom.annotate import draw_boxes
from hemadata.phantom.encode import bmp_bytes, jpeg_bytes, png_bytes
from hemadata.phantom.kinds import KINDS
from hemadata.phantom.smear import DrawnCell, Field, Smear
from hemadata.phantom.stain import GIEMSA, LEISHMAN, WRIGHT, ZIEHL_NEELSEN, Stain
from hemadata.phantom.traits import TRAITS

__all__ = [
    "GIEMSA",
    "KINDS",
    "LEISHMAN",
    "TRAITS",
    "WRIGHT",
    "ZIEHL_NEELSEN",
    "DrawnCell",
    "Field",
    "Smear",
    "Stain",
    "bmp_bytes",
    "draw_boxes",
    "jpeg_bytes",
    "png_bytes",
]
