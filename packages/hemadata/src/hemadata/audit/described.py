"""Blobs of many pictures on disk, so that all workers look at one copy and memory does not grow with the pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hemadata.audit.keypoints import Keypoints

SEVERAL = -1  # home of a picture that lies in several


@dataclass(frozen=True, slots=True)
class Blobs:
    """Blobs of some pictures, end to end.

    Args:
        place: float32 [blobs, 3], as in `Keypoints`.
        code: uint64 [blobs].
        owner: int64 [blobs], rising: which of the pictures a blob is of.
        number: int64 [pictures]: what each picture is called.
        size: float32 [pictures, 2].
        home: int64 [pictures]: pictures of one home are not looked for in each other; SEVERAL is no home.
    """

    place: np.ndarray
    code: np.ndarray
    owner: np.ndarray
    number: np.ndarray
    size: np.ndarray
    home: np.ndarray


class Described:
    """Blobs of pictures 0, 1, ... in a folder; sizes and homes in memory.

    Args:
        folder: written by `write`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start, self.size, self.home = (np.load(folder / f"{name}.npy") for name in ("start", "size", "home"))

    @classmethod
    def write(cls, folder: Path, pictures: Iterable[Keypoints], homes: Sequence[int] | np.ndarray) -> "Described":
        """Write blobs as they come."""
        start, size = [0], []
        with (folder / "place").open("wb") as places, (folder / "code").open("wb") as codes:
            for each in pictures:
                places.write(each.place.astype(np.float32).tobytes())
                codes.write(each.code.astype(np.uint64).tobytes())
                start.append(start[-1] + len(each.code))
                size.append(each.size)
        np.save(folder / "start.npy", np.array(start, np.int64))
        np.save(folder / "size.npy", np.array(size, np.float32).reshape(-1, 2))
        np.save(folder / "home.npy", np.array(homes, np.int64))
        return cls(folder)

    def in_parts(self, blobs: int) -> list[np.ndarray]:
        """Numbers of all pictures, so many at a time that they have about so many blobs."""
        part = self.start[:-1] // blobs
        return np.split(np.arange(len(part)), np.flatnonzero(np.diff(part)) + 1)

    def blobs(self, numbers: np.ndarray, most: int | None = None) -> Blobs:
        """Blobs of some pictures; of each only the clearest, where `most` is given."""
        begin = self.start[numbers]
        count = self.start[numbers + 1] - begin
        count = count if most is None else np.minimum(count, most)
        owner = np.repeat(np.arange(len(numbers)), count)
        at = np.arange(len(owner)) + np.repeat(begin - (np.cumsum(count) - count), count)
        place, code = np.zeros((0, 3), np.float32), np.zeros(0, np.uint64)
        if len(at):  # an empty file cannot be mapped
            place = np.memmap(self.folder / "place", np.float32, "r").reshape(-1, 3)[at]
            code = np.memmap(self.folder / "code", np.uint64, "r")[at]
        return Blobs(np.asarray(place), np.asarray(code), owner, numbers, self.size[numbers], self.home[numbers])
