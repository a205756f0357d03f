"""Spreadsheets (.xlsx): zipped XML, of which the first sheet with the wanted columns is read as text."""

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from hemadata.errors import FormatError
from hemadata.formats.rawfile import RawFile
from hemadata.formats.xml_page import root_of

MAX_PART = 64 << 20  # bytes of one unpacked part; a table of a million cells is below
MAX_COLUMNS = 16384  # of the format
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_TEXTS = "xl/sharedStrings.xml"
_NAMES = "http://schemas.openxmlformats.org"
_MAIN = f'xmlns="{_NAMES}/spreadsheetml/2006/main"'


def read_records(file: RawFile, needed: set[str]) -> Iterator[dict[str, str]]:
    """Rows below the header as {column: cell}, cells stripped, an empty cell as "".

    Args:
        file: the spreadsheet.
        needed: columns that the sheet must have.

    Raises:
        FormatError: no spreadsheet, too large, or no sheet has the columns.
    """
    headers = []
    try:
        with zipfile.ZipFile(BytesIO(file.read())) as packed:
            names = packed.namelist()
            texts = [_text(entry) for entry in _part(packed, _TEXTS)] if _TEXTS in names else []
            for sheet in sorted(filter(_SHEET.fullmatch, names)):
                rows = [_cells(row, texts) for row in _part(packed, sheet).iterfind(".//{*}row")]
                header = {at: name for at, name in rows[0].items() if name} if rows else {}
                if needed <= set(header.values()):
                    for row in filter(None, rows[1:]):
                        yield {name: row.get(at, "") for at, name in header.items()}
                    return
                headers.append(", ".join(header.values()) or "nothing")
    except FormatError as error:
        raise FormatError(f"{file.name}: {error}") from error
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, LookupError, RuntimeError) as error:
        raise FormatError(f"{file.name}: not a spreadsheet as expected ({type(error).__name__}: {error}).") from error
    found = "; ".join(headers) or "no sheet"
    raise FormatError(f"{file.name}: expected a sheet with the columns {', '.join(sorted(needed))}; found {found}.")


def _part(packed: zipfile.ZipFile, name: str) -> Element:
    with packed.open(name) as part:
        data = part.read(MAX_PART + 1)
    if len(data) > MAX_PART:
        raise FormatError(f"{name} is larger than {MAX_PART:,} bytes")
    return root_of(data.decode())


def _cells(row: Element, texts: Sequence[str]) -> dict[int, str]:
    """Column number -> what the cell shows."""
    cells, at = dict[int, str](), -1
    for cell in row.iterfind("{*}c"):
        letters = re.match(r"[A-Z]+", cell.get("r", ""))
        at = _column(letters[0]) if letters else at + 1
        value = cell.findtext("{*}v") or ""
        kind = cell.get("t")
        text = texts[int(value)] if kind == "s" else _text(cell) if kind == "inlineStr" else value
        if at >= MAX_COLUMNS:
            raise FormatError(f"a cell in column {at + 1:,}")
        cells[at] = text.strip()
    return cells


def _column(letters: str) -> int:
    """A -> 0, Z -> 25, AA -> 26."""
    number = 0
    for letter in letters[:4]:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _text(entry: Element) -> str:
    return "".join(node.text or "" for node in entry.iterfind(".//{*}t"))


def write(path: Path, rows: Iterable[Sequence[str | float]]) -> None:
    """A spreadsheet of one sheet, equal bytes for equal rows."""
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = (
            f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' if isinstance(cell, str) else f"<c><v>{cell}</v></c>"
            for cell in row
        )
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    office = f"{_NAMES}/officeDocument/2006/relationships"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    links = f'<Relationships xmlns="{_NAMES}/package/2006/relationships"><Relationship Id="rId1" '
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_NAMES}/package/2006/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'{links}Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {_MAIN} xmlns:r="{office}"><sheets><sheet name="Sheet1" sheetId="1" '
        'r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{links}Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
        "xl/worksheets/sheet1.xml": f"<worksheet {_MAIN}><sheetData>{''.join(lines)}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in parts.items():
            packed.writestr(zipfile.ZipInfo(name), f'<?xml version="1.0" encoding="UTF-8"?>\n{text}')
