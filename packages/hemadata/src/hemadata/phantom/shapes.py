"""Forms of cells and nuclei as tapered strokes, their distance fields, and smooth noise.

A form lives in the unit disc: 1.0 is the radius of what it is the form of. Every form is a list of strokes, so that one
distance function draws round cells, lobed nuclei, sickles and parasites alike.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import cos, pi, sin

import numpy as np
import numpy.typing as npt
from PIL import Image

Plane = npt.NDArray[np.float32]
Stroke = tuple[float, float, float, float, float, float]  # x, y and radius of the first end, then of the second
Form = Callable[[np.random.Generator], list[Stroke]]


def disc(x: float, y: float, radius: float) -> Stroke:
    """A stroke of no length."""
    return (x, y, radius, x, y, radius)


def chain(points: Sequence[tuple[float, float, float]]) -> list[Stroke]:
    """Strokes from each (x, y, radius) to the next."""
    return [(*first, *second) for first, second in pairwise(points)]


def arc(bend: float, radius: float, span: float, ends: float = 1.0, parts: int = 6, shift: float = 0.0) -> list[Stroke]:
    """A bent sausage open to the left: `bend` is the radius of its middle line, `ends` the share of `radius` there."""
    points = []
    for step in range(parts + 1):
        along = 2 * step / parts - 1  # -1 to 1
        angle = along * span / 2
        points.append((bend * cos(angle) - shift, bend * sin(angle), radius * (1 + (ends - 1) * along * along)))
    return chain(points)


def lobes(rng: np.random.Generator, count: int, radius: float, bend: float, span: float) -> list[Stroke]:
    """`count` round lobes on an arc, joined by thin threads."""
    centres = []
    for index in range(count):
        angle = (index / (count - 1) - 0.5) * span + rng.uniform(-0.15, 0.15)
        distance = bend * rng.uniform(0.85, 1.1)
        centres.append((distance * cos(angle), distance * sin(angle)))
    strokes = []
    for x, y in centres:  # a lobe is a short sausage of any direction
        turn, stretch = rng.uniform(0, pi), rng.uniform(0.04, 0.14)
        dx, dy = stretch * cos(turn), stretch * sin(turn)
        size = radius * rng.uniform(0.85, 1.05)
        strokes.append((x - dx, y - dy, size, x + dx, y + dy, size * rng.uniform(0.8, 1.0)))
    return strokes + chain([(x, y, 0.09) for x, y in centres])


def _irregular(rng: np.random.Generator) -> list[Stroke]:
    start = rng.uniform(0, 2 * pi)
    bumps = [(start + 2 * pi * k / 3 + rng.uniform(-0.5, 0.5), rng.uniform(0.35, 0.5)) for k in range(3)]
    return [(0.0, 0.0, 0.4, 0.5 * cos(angle), 0.5 * sin(angle), radius) for angle, radius in bumps]


def _scattered(rng: np.random.Generator, count: int, radius: float, middle: float = 0.0) -> list[Stroke]:
    """Dots spread evenly over the disc (sunflower order)."""
    dots = [disc(0, 0, middle)] if middle else []
    for index in range(count):
        distance, angle = (1 - radius) * ((index + 0.5) / count) ** 0.5, index * 2.39996 + rng.uniform(-0.2, 0.2)
        dots.append(disc(distance * cos(angle), distance * sin(angle), radius * rng.uniform(0.8, 1.1)))
    return dots


def _wave(rng: np.random.Generator) -> list[Stroke]:
    bow = rng.uniform(0.16, 0.28)
    return chain([(k / 6 - 1, bow * sin(k * pi / 4), 0.015 + 0.09 * sin(pi * k / 12)) for k in range(13)])


FORMS: dict[str, Form] = {
    "round": lambda rng: [disc(0, 0, 1)],
    "oval": lambda rng: [(-0.2, 0, 0.8, 0.2, 0, 0.76)],
    "indented": lambda rng: arc(0.44, 0.54, rng.uniform(2.3, 2.9)),
    "cleft": lambda rng: arc(0.46, 0.52, rng.uniform(4.3, 4.8), ends=0.95),
    "band": lambda rng: arc(0.7, 0.27, rng.uniform(3.6, 4.4), ends=1.15),
    "bilobed": lambda rng: lobes(rng, 2, 0.46, 0.56, rng.uniform(2.3, 3.1)),
    "segmented": lambda rng: lobes(rng, int(rng.integers(3, 5)), 0.34, 0.64, rng.uniform(3.6, 4.6)),
    "multilobed": lambda rng: lobes(rng, int(rng.integers(4, 6)), 0.29, 0.68, rng.uniform(4.4, 5.0)),
    "irregular": _irregular,
    "scattered": lambda rng: _scattered(rng, 12, 0.17, middle=0.14),
    "pair": lambda rng: [disc(-0.42, 0, 0.56), disc(0.42, 0.06, 0.56)],
    "triple": lambda rng: [disc(0.5 * cos(k * 2.1), 0.5 * sin(k * 2.1), 0.5) for k in range(3)],
    "cluster": lambda rng: _scattered(rng, 7, 0.36),
    "teardrop": lambda rng: [disc(-0.25, 0, 0.74), (0.1, 0, 0.52, 1.1, rng.uniform(-0.12, 0.12), 0.05)],
    "crescent": lambda rng: arc(0.9, 0.26, rng.uniform(2.1, 2.6), ends=0.12, shift=0.6),
    "fragment": lambda rng: [(-0.6, -0.3, 0.2, 0.7, -0.2, 0.16), (-0.4, 0.1, 0.36, 0.5, 0.0, 0.2)],
    "angled": lambda rng: [disc(-0.1, 0, 0.8), (0.1, 0, 0.55, 0.95, 0.3, 0.1), (0, 0, 0.55, -0.5, -0.88, 0.1)],
    "ring": lambda rng: [*arc(0.78, 0.09, 5.6, ends=0.7, parts=9), disc(-0.72, 0.22, 0.26)],
    "amoeboid": lambda rng: [*arc(0.6, 0.26, 4.8, ends=0.5), disc(0.5, 0.3, 0.4), disc(-0.2, -0.62, 0.28)],
    "rod": lambda rng: arc(2.6, 0.2, 0.64, parts=3, shift=2.53),
    "pear": lambda rng: [(-0.4, 0, 0.5, 0.9, 0, 0.06)],
    "wave": _wave,
}


def distance(x: Plane, y: Plane, strokes: Sequence[Stroke], blend: float = 0.07) -> Plane:
    """Signed distance to the union of strokes, negative inside, in units of the form.

    Args:
        x: [H, W] coordinates in the unit disc of the form.
        y: the same, downwards.
        strokes: the form.
        blend: width over which strokes melt into each other.
    """
    result: Plane | None = None
    for x0, y0, radius0, x1, y1, radius1 in strokes:
        px, py = x - np.float32(x0), y - np.float32(y0)
        dx, dy = x1 - x0, y1 - y0
        length = dx * dx + dy * dy
        radius: Plane | np.float32 = np.float32(radius0)
        if length > 0:
            along = np.clip((px * np.float32(dx) + py * np.float32(dy)) * np.float32(1 / length), 0, 1)
            px -= along * np.float32(dx)
            py -= along * np.float32(dy)
            radius = radius + along * np.float32(radius1 - radius0)
        stroke = np.sqrt(px * px + py * py) - radius
        if result is None:
            result = stroke
        else:  # polynomial smooth minimum
            near = np.maximum(np.float32(blend) - np.abs(result - stroke), 0)
            result = np.minimum(result, stroke) - near * near * np.float32(0.25 / blend)
    if result is None:
        raise ValueError("a form needs one stroke at least")
    return result


def ripple(x: Plane, y: Plane, rng: np.random.Generator, amplitude: float, spikes: int = 0) -> Plane:
    """Waviness of an outline as a function of direction, [H, W], to be added to a distance.

    The waves are powers of the unit vector: harmonics 2 to 5, or one regular wave where `spikes` is given. They fade
    towards the centre, where direction means nothing.
    """
    direction = (x + 1j * y).astype(np.complex64)
    direction /= np.abs(direction) + np.float32(1e-6)
    fade = np.minimum(x * x + y * y, 1) * np.float32(amplitude)
    if spikes:
        return np.asarray((direction**spikes).real * fade, dtype=np.float32)
    phases, weights = rng.uniform(0, 2 * pi, 4), rng.uniform(0.3, 1.0, 4)
    power, total = direction, np.zeros_like(direction)
    for order, (phase, weight) in enumerate(zip(phases, weights, strict=True), start=2):
        power = power * direction
        total += np.complex64(2 * weight / order * complex(cos(phase), sin(phase))) * power
    return np.asarray(total.real * fade, dtype=np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Plane:
    """Noise of mean 0 and spread near 1, [H, W], with blobs about `grain` pixels wide."""
    rows, columns = max(4, round(shape[0] / grain) + 2), max(4, round(shape[1] / grain) + 2)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(1.35)
    return np.asarray(Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC), dtype=np.float32)
