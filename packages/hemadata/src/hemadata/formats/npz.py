"""Images stacked in arrays: .npy files, in an .npz or unpacked, read row by row and never whole."""

import os
import tokenize
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from hemadata.errors import FormatError, LayoutError
from hemadata.formats.archives import inside
from hemadata.formats.pictures import Pixels
from hemadata.formats.rawfile import RawFile
from hemadata.formats.rawtree import RawTree
from hemadata.formats.spool import Spool

# What zipfile raises for an archive that is cut or lies.
DAMAGE = zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, UnicodeError
# What numpy raises for a header that is no literal of the right form.
HEADER = (ValueError, TypeError, SyntaxError, tokenize.TokenError, RecursionError, OverflowError)
MAX_SMALL = 64 << 20  # bytes of an array that is read whole: labels, never pictures


class Row(RawFile):
    """One image of an array [N, H, W, 3] or [N, H, W], uint8.

    Args:
        path: of the .npy file.
        name: of the array, and the row's number.
        at: where the row begins in the file.
        shape: of the row.
        stamp: changes when the content may have changed.
    """

    __slots__ = ("at", "shape")

    def __init__(self, path: str, name: str, at: int, shape: tuple[int, ...], stamp: int) -> None:
        super().__init__(path, name)
        self.at, self.shape = at, shape
        self._size, self._stamp = prod(shape), stamp

    def read(self) -> Pixels:
        """The row's pixels."""
        file = os.open(self.path, os.O_RDONLY)
        try:
            return Pixels.of(os.pread(file, self.size, self.at), (self.shape[1], self.shape[0]))
        finally:
            os.close(file)


@dataclass(frozen=True, slots=True)
class Array:
    """An array of which only the header was read.

    Args:
        name: e.g. `train_images`.
        file: the .npy file, or the .npz that holds it.
        member: the .npy file in the .npz; empty: it lies by itself.
        at: where its data begin.
        shape: of the whole.
        dtype: of one element.
        stamp: of its rows.
    """

    name: str
    file: RawFile
    member: str
    at: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stamp: int
    spool: Spool | None = None

    def rows(self) -> list[Row]:
        """The images of the array; of an .npz they lie in the spool, once that is filled.

        Raises:
            FormatError: it holds no images of 8 bits.
        """
        if self.dtype != np.uint8 or not (len(self.shape) == 3 or (len(self.shape) == 4 and self.shape[3] == 3)):
            raise FormatError(
                f"{self.file.name}: {self.name} is {self.dtype} of shape {self.shape}; expected uint8 of shape "
                "(N, height, width, 3) or (N, height, width)."
            )
        path, top = self.file.path, self.file.name
        if self.member:
            top = f"{top}/{self.name}"
            if self.spool:
                path = str(self.spool.promise(path) / self.member)
        shape, size = self.shape[1:], prod(self.shape[1:])
        return [Row(path, f"{top}/{n}", self.at + n * size, shape, self.stamp) for n in range(self.shape[0])]

    def values(self) -> "np.ndarray[Any, Any]":
        """The whole array, for one that is small: labels.

        Raises:
            FormatError: it is large, or cut short.
        """
        wanted = prod(self.shape) * self.dtype.itemsize
        if wanted > MAX_SMALL:
            raise FormatError(f"{self.file.name}: {self.name} is {wanted:,} bytes, too large for an array of labels.")
        if self.member:
            with _damage_told(self.file), zipfile.ZipFile(self.file.path) as archive:
                data = archive.read(self.member)
        else:
            data = self.file.read()
        return np.frombuffer(data, self.dtype, offset=self.at).reshape(self.shape)


def arrays(tree: RawTree) -> dict[str, dict[str, Array]]:
    """Arrays by the .npz file, or folder of .npy files, that holds them, and by name. Nothing is unpacked yet.

    Raises:
        LayoutError: an .npz is cut or damaged, or lies in another archive.
        FormatError: a member is no array, or would need pickle.
    """
    found: dict[str, dict[str, Array]] = defaultdict(dict)
    for name, file in tree.files.items():
        if name.lower().endswith(".npz"):
            found[name] = _members(tree, file)
        elif name.lower().endswith(".npy"):
            _refuse_packed(file)
            with Path(file.path).open("rb") as opened:
                found[name.rpartition("/")[0]][file.stem] = _array(file, "", opened, file.stamp, file.size)
    return found


def _members(tree: RawTree, file: RawFile) -> dict[str, Array]:
    _refuse_packed(file)
    found: dict[str, Array] = {}
    with _damage_told(file), zipfile.ZipFile(file.path) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                array = _array(file, inside(file.path, info.filename), member, info.CRC, info.file_size, tree.spool)
            found[array.name] = array
    return found


def _array(file: RawFile, member: str, opened: IO[bytes], stamp: int, size: int, spool: Spool | None = None) -> Array:
    name = (member or file.name).rpartition("/")[2].removesuffix(".npy")
    try:
        is_first = npy.read_magic(opened) == (1, 0)  # type: ignore[no-untyped-call]
        read: Any = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
        shape, is_fortran, dtype = read(opened)  # bounded, parsed as a literal
        at, wanted = opened.tell(), prod(shape) * dtype.itemsize
    except HEADER as error:
        raise FormatError(f"{file.name}: {name} is not an array ({error}).") from error
    if dtype.hasobject or is_fortran:
        raise FormatError(f"{file.name}: {name} holds {dtype}, or its columns before its rows; expected plain numbers.")
    if size != at + wanted:
        raise FormatError(f"{file.name}: {name} is {size:,} bytes, but {at + wanted:,} by its header: it is cut short.")
    return Array(name, file, member, at, shape, dtype, stamp, spool)


def _refuse_packed(file: RawFile) -> None:
    if type(file) is not RawFile:
        raise LayoutError(f"{file.path}: {file.name} is read row by row, which it cannot be there. Unpack the archive.")


@contextmanager
def _damage_told(file: RawFile) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise LayoutError(f"{file.path}: the archive is cut or damaged ({error}). Download it again.") from error
