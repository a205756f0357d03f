"""Files and table rows that share nothing but a number: image7.jpg, mask7.jpg, and `Imaeg7` in a table of words."""

import re

from hemadata.errors import FormatError
from hemadata.formats.paired import Problem
from hemadata.formats.rawfile import RawFile
from hemadata.formats.rawtree import RawTree
from hemadata.formats.tables import read_csv


def numbered(tree: RawTree, word: str, last: int, problem: Problem) -> dict[int, RawFile]:
    """Number -> file `<word>/<word><number>.jpg` at any depth, in the order of the numbers.

    Args:
        tree: where to look.
        word: what folder and files are called.
        last: number of the release; files beyond it are reported as junk.
        problem: told of them.

    Raises:
        FormatError: a number comes twice.
    """
    match = re.compile(rf"(?:.*/)?{word}/{word}(\d+)\.jpe?g", re.IGNORECASE).fullmatch
    found: dict[int, RawFile] = {}
    for file in tree.files.values():
        if not (hit := match(file.name)):
            continue
        number = int(hit[1])
        if number > last:
            problem(file, file.stem, "junk_file", f"numbers above {last} are not part of the release")
        elif (first := found.setdefault(number, file)) is not file:
            raise FormatError(f"{first.name} and {file.name} are two copies of {word} {number}. Keep one of them.")
    return dict(sorted(found.items()))


def words_of(table: RawFile, last: int) -> dict[int, str]:
    """Number -> class word of a table with an id and a word a row; of an id only the digits count, headers do not.

    Args:
        table: comma-separated, with a header.
        last: number of the release; rows beyond it are not read.

    Raises:
        FormatError: an id without a number, or a number with two words.
    """
    words: dict[int, str] = {}
    for name, word in read_csv(table, columns=2):
        if not (digits := re.search(r"\d+", name)):
            raise FormatError(f"{table.name}: the id {name!r} holds no number; expected one, as in Image1.")
        number = int(digits[0])
        if number <= last and words.setdefault(number, word) != word:
            raise FormatError(f"{table.name}: {number} is both {words[number]} and {word}. Keep one of the rows.")
    return words
