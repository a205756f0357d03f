"""Comma-separated tables."""

import csv
from collections.abc import Iterator

from hemadata.errors import FormatError
from hemadata.formats.rawtree import RawFile

csv.field_size_limit(1 << 20)


def read_csv(file: RawFile, columns: int) -> Iterator[list[str]]:
    """Rows after the header, cells stripped.

    Raises:
        FormatError: not UTF-8, or a row of another width.
    """
    for number, row in enumerate(_rows(file), start=1):
        if number == 1 or not any(row):
            continue
        if len(row) != columns:
            raise FormatError(f"{file.name}, line {number}: {len(row)} cells, expected {columns}.")
        yield [cell.strip() for cell in row]


def read_records(file: RawFile, needed: set[str], fallback: str | None = None) -> Iterator[dict[str, str]]:
    """Rows as {column: cell}.

    Args:
        file: the table.
        needed: columns that must be there.
        fallback: encoding of a table that is not UTF-8.

    Raises:
        FormatError: not UTF-8, a column is missing, or a row of another width.
    """
    header: list[str] = []
    for number, row in enumerate(_rows(file, fallback), start=1):
        if number == 1:
            header = [cell.strip() for cell in row]
            if missing := needed - set(header):
                raise FormatError(
                    f"{file.name}: the columns {', '.join(sorted(missing))} are missing; found {', '.join(header)}."
                )
        elif len(row) == len(header):
            yield {name: cell.strip() for name, cell in zip(header, row, strict=True)}
        elif any(row):
            raise FormatError(f"{file.name}, line {number}: {len(row)} cells, expected {len(header)}.")
    if not header:
        raise FormatError(f"{file.name}: the table is empty; expected the columns {', '.join(sorted(needed))}.")


def _rows(file: RawFile, fallback: str | None = None) -> Iterator[list[str]]:
    try:
        yield from csv.reader(file.lines(fallback))
    except csv.Error as error:
        raise FormatError(f"{file.name}: not a comma-separated table ({error}).") from error
