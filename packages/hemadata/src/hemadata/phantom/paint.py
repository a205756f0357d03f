"""Painting of one cell: from the look of its kind to a small picture with opacity and mask."""

from dataclasses import dataclass
from math import ceil, cos, pi, sin

import numpy as np
import numpy.typing as npt

from hemadata.phantom.kinds import RED_CELL, Granules, Kind
from hemadata.phantom.shapes import FORMS, Plane, distance, ripple, smooth_noise
from hemadata.phantom.stain import Pixels, Stain

_REACH = 1.15  # no form goes further from the centre, in radii
_WAVE = 2.6  # no ripple is higher, in amplitudes
_SOFT = 1.7  # width of an edge in pixels


@dataclass(frozen=True, slots=True)
class Sprite:
    """One painted cell, to be stamped on a ground.

    Args:
        colour: float32 [H, W, 3].
        opacity: float32 [H, W], 0 to 1.
        mask: uint8 [H, W], classes of `kinds`.
        guard: bool [H, W], the cell and the gap of 2 pixels that it keeps to others.
    """

    colour: Pixels
    opacity: Plane
    mask: npt.NDArray[np.uint8]
    guard: npt.NDArray[np.bool_]


def paint(kind: Kind, diameter: float, stain: Stain, rng: np.random.Generator) -> Sprite:
    """Paint one cell of that kind, turned at random, on a square of its own.

    Args:
        kind: its look.
        diameter: of the cell, in pixels.
        stain: the colours.
        rng: where all chance comes from.
    """
    radius = diameter / 2
    half = ceil(radius * (_REACH + _WAVE * kind.ripple) * kind.aspect**0.6) + 4
    axis = np.arange(-half, half + 1, dtype=np.float32) / np.float32(radius)
    turn = rng.uniform(0, 2 * pi)
    x = axis[None, :] * np.float32(cos(turn)) - axis[:, None] * np.float32(sin(turn))
    y = axis[None, :] * np.float32(sin(turn)) + axis[:, None] * np.float32(cos(turn))

    stretch = (1 + (kind.aspect - 1) * rng.uniform(0.3, 1.2)) ** 0.5
    outline = distance(x * np.float32(1 / stretch), y * np.float32(stretch), FORMS[kind.body](rng))
    if kind.ripple:
        outline += ripple(x, y, rng, kind.ripple, kind.spikes)
    body = outline * np.float32(radius)  # signed distance in pixels, as all planes from here on
    colour = np.broadcast_to(stain.colour(kind.colour), (*body.shape, 3)).copy()
    opacity = _cover(body) * np.float32(kind.opacity)
    if kind.colour == "red cell":
        opacity *= _thickness(body * np.float32(1 / radius), kind.pallor * rng.uniform(0.7, 1.1))
    else:
        _cloud(colour, body, kind.frost, stain, rng)

    nucleus = None
    if kind.nucleus is not None:
        nucleus = _nucleus(kind, x, y, outline, rng) * np.float32(radius)
        _chromatin(colour, nucleus, kind, stain, radius, rng)
    free = body if nucleus is None else np.maximum(body, -nucleus)
    if kind.granules is not None:
        _granules(colour, body if kind.granules.over_nucleus else free, kind.granules, stain, radius, rng)
    for _ in range(kind.vacuoles):
        _vacuole(colour, free, stain, radius, rng)
    for _ in range(kind.rods):
        _rod(colour, free, x, y, stain, radius, rng)

    mask = np.where(body < 0, np.uint8(kind.classes[0]), np.uint8(0))
    if nucleus is not None:
        mask[(nucleus < 0) & (body < 0)] = kind.classes[1]
        if kind.classes[0] == RED_CELL:  # a parasite shows through the pallor of its cell
            opacity = np.maximum(opacity, _cover(nucleus) * _cover(body))
    return Sprite(colour, opacity, mask, _grown(body < 0))


def _grown(inside: npt.NDArray[np.bool_], by: int = 2) -> npt.NDArray[np.bool_]:
    """`inside` and all pixels within a square of `by` pixels around it."""
    tall = inside.copy()
    for step in range(1, by + 1):
        tall[step:] |= inside[:-step]
        tall[:-step] |= inside[step:]
    grown = tall.copy()
    for step in range(1, by + 1):
        grown[:, step:] |= tall[:, :-step]
        grown[:, :-step] |= tall[:, step:]
    return grown


def _cover(plane: Plane, soft: float = _SOFT) -> Plane:
    """Share of each pixel inside a distance plane, with a soft edge."""
    return np.clip(np.float32(0.5) - plane * np.float32(1 / soft), 0, 1)


def _mix(colour: Pixels, weight: Plane, other: Pixels) -> None:
    """Move `colour` towards `other` by `weight`, in place."""
    colour += (other - colour) * weight[..., None]


def _thickness(depth: Plane, pallor: float) -> Plane:
    """Opacity of a biconcave disc, pale in the middle. `depth` is -1 there and 0 at the rim."""
    hollow = np.clip((-depth - np.float32(0.3)) * np.float32(1 / 0.42), 0, 1)
    hollow = hollow * hollow * (3 - 2 * hollow)
    rim = np.clip(1 + depth * np.float32(5), 0, 1) * np.float32(0.14)
    opacity: Plane = np.float32(0.86) + rim - hollow * np.float32(0.8 * pallor)
    return opacity


def _cloud(colour: Pixels, body: Plane, frost: float, stain: Stain, rng: np.random.Generator) -> None:
    """Cytoplasm: cloudy by `frost`, a little darker at the membrane."""
    shape = (body.shape[0], body.shape[1])
    clouds = smooth_noise(rng, shape, 7) + smooth_noise(rng, shape, 3)
    colour *= (1 + clouds * np.float32(0.015 + 0.07 * frost))[..., None]
    _mix(colour, np.clip(1 + body * np.float32(0.4), 0, 1) * np.float32(0.22), stain.colour("chromatin"))


def _nucleus(kind: Kind, x: Plane, y: Plane, outline: Plane, rng: np.random.Generator) -> Plane:
    """Distance plane of the nucleus in radii of the cell: off the centre by chance, inside the cell always."""
    assert kind.nucleus is not None
    slack, angle = 0.75 * max(0.0, 1 - kind.share) * rng.uniform(0.2, 1), rng.uniform(0, 2 * pi)
    along, across = np.float32(cos(angle)), np.float32(sin(angle))
    u, v = x * along + y * across - np.float32(slack), y * along - x * across
    fit = np.float32(1 / kind.share)
    plane: Plane = distance(u * fit, v * fit, FORMS[kind.nucleus](rng)) * np.float32(kind.share)
    if kind.share > 0.45:
        plane += ripple(u, v, rng, 0.02)
    inside: Plane = np.maximum(plane, outline + np.float32(0.05))
    return inside


def _chromatin(
    colour: Pixels, nucleus: Plane, kind: Kind, stain: Stain, radius: float, rng: np.random.Generator
) -> None:
    """Nucleus: clumps with pale veins between them, the wider the more open the chromatin is, and nucleoli."""
    open_ = 1 - kind.chromatin
    shape = (nucleus.shape[0], nucleus.shape[1])
    clumps = smooth_noise(rng, shape, max(2.0, radius * 0.12))
    veins = np.clip(1 - np.abs(clumps) * np.float32(1 / (0.4 + 0.5 * open_)), 0, 1) * np.float32(0.12 + 0.34 * open_)
    veins += np.clip(smooth_noise(rng, shape, max(2.0, radius * 0.07)), -1, 2) * np.float32(0.05 + 0.05 * open_)
    veins *= np.clip(-nucleus * np.float32(8 / radius), 0, 1)  # denser towards the membrane
    cover = _cover(nucleus)
    _mix(colour, cover, stain.colour(kind.chromatin_colour))
    _mix(colour, cover * veins, stain.colour("lilac"))
    inside = np.argwhere(nucleus < -0.12 * radius)
    for _ in range(kind.nucleoli if len(inside) else 0):
        row, column = inside[rng.integers(len(inside))]
        _mix(colour, _spot(nucleus, row, column, 0.11 * radius) * np.float32(0.45), stain.colour("light blue"))


def _spot(like: Plane, row: int, column: int, radius: float) -> Plane:
    """Cover of a soft disc on a plane of the same shape."""
    rows = np.arange(like.shape[0], dtype=np.float32)[:, None] - np.float32(row)
    columns = np.arange(like.shape[1], dtype=np.float32)[None, :] - np.float32(column)
    return _cover(np.sqrt(rows * rows + columns * columns) - np.float32(radius))


def _granules(
    colour: Pixels, free: Plane, granules: Granules, stain: Stain, radius: float, rng: np.random.Generator
) -> None:
    """Round granules anywhere in the free part of the cell."""
    size = max(0.75, granules.radius * radius)
    inside = np.argwhere(free < -0.7 * size)
    if not len(inside):
        return
    count = max(3, round(granules.density * len(inside) / (pi * size * size)))
    rows, columns = inside[rng.integers(len(inside), size=count)].T
    weight = np.zeros_like(free)
    reach = ceil(size)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            cover = np.float32(min(1.0, size + 0.5 - (down * down + right * right) ** 0.5))
            if cover > 0:  # the last row and column lie in the margin, so an index never leaves the plane
                place = (rows + down, columns + right)
                weight[place] = np.maximum(weight[place], cover)
    shade = 1 + smooth_noise(rng, (free.shape[0], free.shape[1]), max(2.0, 2 * size)) * np.float32(0.12)
    _mix(colour, weight * np.float32(0.55 + min(0.35, 0.1 * size)), stain.colour(granules.colour) * shade[..., None])


def _vacuole(colour: Pixels, free: Plane, stain: Stain, radius: float, rng: np.random.Generator) -> None:
    """A pale hole in the cytoplasm."""
    size = radius * rng.uniform(0.06, 0.11)
    inside = np.argwhere(free < -1.3 * size)
    if len(inside):
        row, column = inside[rng.integers(len(inside))]
        _mix(colour, _spot(free, row, column, size) * np.float32(0.85), stain.colour("ground"))


def _rod(
    colour: Pixels, free: Plane, x: Plane, y: Plane, stain: Stain, radius: float, rng: np.random.Generator
) -> None:
    """An Auer rod: a thin red needle in the cytoplasm."""
    inside = np.argwhere(free < -0.05 * radius)
    if not len(inside):
        return
    row, column = inside[rng.integers(len(inside))]
    cx, cy, angle = float(x[row, column]), float(y[row, column]), rng.uniform(0, 2 * pi)
    dx, dy = 0.22 * cos(angle), 0.22 * sin(angle)
    needle = distance(x, y, [(cx - dx, cy - dy, 0.03, cx + dx, cy + dy, 0.02)]) * np.float32(radius)
    _mix(colour, _cover(np.maximum(needle, free)) * np.float32(0.9), stain.colour("red"))
