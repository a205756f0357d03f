"""Raabin fields of the second microscope: as the first, but the frame of the boxes has to be told from the data."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from hemadata.errors import DefectError, LayoutError
from hemadata.formats import frames
from hemadata.formats.boxes import Boxes
from hemadata.formats.cell_records import Record
from hemadata.formats.pictures import decode, open_picture
from hemadata.formats.rawtree import RawFile
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref
from hemadata.sources.raabin_m1 import FACTS, fields, film_of, records, write

LOG = logging.getLogger(__name__)
LOOKED_AT = 12  # pictures of an album whose windows are compared
MARGIN = 5.0  # grey levels by which the right frame must win
Album = list[tuple[str, RawFile, Record]]


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per pair; the frame of the boxes is chosen once per album, from reach and pixels.

    Users disagree on the frame. A choice that cannot be made, or that differs between albums, is an error.
    """
    albums: dict[str, Album] = defaultdict(list)
    for stem, image, record in records(raw, "Second_microscope"):
        albums[film_of(image, record)].append((stem, image, record))
    chosen = {name: _frame(name, album) for name, album in albums.items()}
    certain = {choice[0] for choice in chosen.values() if choice[0]}
    if len(certain) != 1:
        told = "; ".join(f"{name}: {choice[0] or 'a tie'}" for name, choice in chosen.items())
        raise LayoutError(
            f"{raw.own.root}: expected boxes in one frame (1 as stored, 6 or 8 a quarter turn) in every album, "
            f"found {told}. Keep pictures and records as downloaded; the rule is in _frame() of sources/raabin_m2.py."
        )
    frame = certain.pop()
    for name, album in albums.items():
        for stem, image, record in album:
            yield Ref(stem, image, objects=frames.to_stored(record.boxes, chosen[name][1], frame), group=name)


def _frame(name: str, album: Album) -> tuple[int, tuple[int, int]]:
    """Frame of the boxes of an album (0: no frame wins) and size of its stored pictures."""
    size, orientation = _look(album)
    reach = (max(r.reach()[0] for *_, r in album), max(r.reach()[1] for *_, r in album))
    # No frame holds all windows: the border cuts some, and the pixels decide.
    candidates = frames.possible(reach, size, orientation) or (frames.STORED, frames.CLOCKWISE, frames.COUNTER)
    if len(candidates) == 1:
        LOG.info("%s: boxes reach to %g, %g, which fits frame %d only", name, *reach, candidates[0])
        return candidates[0], size
    scores = {frame: frames.score(_labelled(album), frame) for frame in candidates}
    best, *others = sorted(scores.values(), reverse=True)
    LOG.info("%s: scores of the frames %s", name, {frame: round(score, 1) for frame, score in scores.items()})
    is_tie = best - others[0] < MARGIN
    return 0 if is_tie else max(scores, key=lambda frame: scores[frame]), size


def _look(album: Album) -> tuple[tuple[int, int], int]:
    for _, image, _ in album:
        try:
            return frames.look(image.read())
        except (DefectError, OSError):  # withheld by the engine
            continue
    raise LayoutError(
        f"None of the {len(album)} pictures beside {album[0][1].name} can be opened. Download them again."
    )


def _labelled(album: Album) -> Iterator[tuple[bytes, Boxes]]:
    """The first pictures with labelled cells, and these cells."""
    looked = 0
    for _, image, record in album:
        cells = Boxes.of(box for box in record.boxes if box.label_raw and box.xywh[2] > 0)
        if not len(cells) or looked == LOOKED_AT:
            continue
        try:
            data = image.read()
            decode(open_picture(data))
        except (DefectError, OSError):
            continue
        looked += 1
        yield data, cells


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields at a quarter of their size, stored as landscape with an EXIF turn; boxes hold in the stored frame."""
    smear = Smear(seed, (1040, 780), red_cell=34)
    for number in range(n):
        album, (field, cells) = f"Album_{number // 8 + 1}", fields(smear, number)
        top = out / "raabin-m2" / "WBC" / "Second_microscope" / album
        facts = FACTS | {"Camera": "LG G3", "Microscop": "Zeiss"}
        write(top, f"20181219_{102325 + number}_HDR", jpeg_bytes(field.image, orientation=6), album, cells, facts)
