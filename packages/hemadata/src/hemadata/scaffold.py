"""`hemadata sources new`: the two files of a source that is to be written, with everything that must be filled in."""

import re
from pathlib import Path

from hemadata import sources
from hemadata.atomic import write_text
from hemadata.errors import UsageError

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
TO_FILL = "FILL IN"  # no finished page holds these words; the contract test looks for them


def scaffold(name: str, task: str, folder: Path | None = None) -> list[Path]:
    """Write `<name>.toml` and `<name>.py`.

    Args:
        name: slug, in lower case with hyphens.
        task: of `schema.TASKS`.
        folder: where; default: beside the sources of hemadata.

    Returns:
        The two files.

    Raises:
        UsageError: the name is taken or no slug, or a file is there.
    """
    if len(name) > 40 or not SLUG.fullmatch(name) or not name.replace("-", "_").isidentifier():
        raise UsageError(f'"{name}" is no slug: lower case letters, digits and hyphens, a letter first, at most 40.')
    if name in sources.names():
        raise UsageError(f"There is a source called {name} already (hemadata sources show {name}).")
    folder = folder or Path(sources.__file__).parent
    page, module = folder / f"{name}.toml", folder / f"{name.replace('-', '_')}.py"
    for path in (page, module):
        if path.exists():
            raise UsageError(f"{path} is there already. Remove it, or choose another name.")
    extra = _SEGMENTATION if task == "segmentation" else ""
    write_text(page, _PAGE.format(name=name, task=task, fill=TO_FILL, foreground=_FOREGROUND if extra else "") + extra)
    write_text(module, _MODULE.format(name=name, fill=TO_FILL))
    return [page, module]


_PAGE = """# {fill}: which data set this is, and the page that its facts come from.
name = "{name}"
title = "{fill}"
task = "{task}"
annotation_origin = "published"    # published, derived or none
version = "{fill}"
citation = "{fill}"
homepage = "https://example.org"   # {fill}
license = "unknown"                # {fill}: SPDX, from the list in sources/facts.py
access = "open"                    # open, registration or request
{foreground}instructions = \"\"\"
1. {fill}: how a person gets the data, where no [[download]] below can be fetched by a program.\"\"\"

[domain]
modality = "single-cell"           # {fill}: or field-of-view; then disease, specimen, stain, magnification

# [[download]]
# url = "https://example.org/archive.zip"
# file = "archive.zip"
# kind = "zip"
# sha256 = ""                      # only where one is published

[labels]                           # {fill}: every raw word -> node of ontology/cells.toml
"""
_FOREGROUND = 'foreground = ["blood_cell"]              # the binary target, of the regions in [mask.values]\n'
_SEGMENTATION = """
[mask.values]                      # pixel value -> region
0 = "background"
255 = "blood_cell"
"""
_MODULE = '''"""{name}: {fill}. Facts beside this file, in the .toml of the same name."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.errors import HemaError
from hemadata.sources.base import Raw, Ref


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per image, in name order; no picture is opened here."""
    raise HemaError(
        f"{{raw.facts.name}}: index(raw) is not written yet. Yield one Ref per image of raw.own, in the layout of the "
        "archive; sources/bccd.py and sources/raabin.py are short examples."
    )


def draw(out: Path, n: int, seed: int) -> None:
    """`n` images in exactly the published layout below the raw folder, with the defects that the page declares."""
    raise HemaError(
        "{name}: draw(out, n, seed) is not written yet. "
        "Write n valid images below out / raw folder; hemadata.phantom draws them, sources/bccd.py is a short example."
    )
'''
