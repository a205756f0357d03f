"""The registry: every `<slug>.toml` in this folder is a source; its reader is the module of the same name.

Other packages add sources by an entry point of the group `hemadata.sources`: its name is the slug, its value the
module that reads; the facts page `<slug>.toml` lies beside that module.
"""

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from hemadata.errors import UsageError
from hemadata.sources.base import Source
from hemadata.sources.facts import read_facts

GROUP = "hemadata.sources"
_HERE = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Slugs of all sources, sorted; nothing is imported or parsed.

    Raises:
        UsageError: two packages bring a source of the same name.
    """
    return tuple(sorted({*_own(), *_foreign()}))


@cache
def get(name: str) -> Source:
    """The source of that slug.

    Raises:
        UsageError: no such source (the nearest names are told), or the package that brings it is not sound.
    """
    if name in _own():
        page = _HERE / f"{name}.toml"
        return Source(read_facts(page), import_module(f"{__name__}.{name.replace('-', '_')}"), page.read_bytes())
    if name in _foreign():
        return _load_foreign(_foreign()[name])
    near = get_close_matches(name, names(), n=3, cutoff=0.5)
    hint = f" Did you mean {_either(near)}?" if near else ""
    raise UsageError(f'No source is called "{name}".{hint}   (hemadata sources list)')


def every(foreign: bool = True) -> tuple[Source, ...]:
    """All sources, in the order of the paper's tables; those outside the tables come last.

    Args:
        foreign: also those of other packages.
    """
    sources = [get(name) for name in names() if foreign or name in _own()]
    return tuple(sorted(sources, key=lambda s: (s.facts.table or 99, s.facts.row or 0, s.name)))


def _own() -> set[str]:
    return {page.stem for page in _HERE.glob("*.toml")}


@cache
def _foreign() -> dict[str, EntryPoint]:
    """Slug -> entry point of an installed package."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        other = found.get(entry.name)
        if entry.name in _own() or (other is not None and other.value != entry.value):
            also = _package(other) if other else "hemadata itself"
            raise UsageError(
                f'{_package(entry)} and {also} both bring a source called "{entry.name}". Uninstall one of them.'
            )
        found[entry.name] = entry
    return found


def _load_foreign(entry: EntryPoint) -> Source:
    try:
        spec = find_spec(entry.module)
        module = import_module(entry.module)
    except Exception as error:  # whatever another package does when it is imported
        raise UsageError(
            f"{_package(entry)} brings the source {entry.name}, but {entry.module} cannot be imported: {error}. "
            "Repair or uninstall the package."
        ) from error
    page = Path(spec.origin if spec and spec.origin else ".").with_name(f"{entry.name}.toml")
    if not page.is_file():
        raise UsageError(f"{_package(entry)} brings the source {entry.name} without its facts page {page}.")
    facts = read_facts(page)
    if facts.name != entry.name or facts.table is not None:
        raise UsageError(
            f'{page}: name = "{facts.name}", table = {facts.table}; expected name = "{entry.name}" and no table: the '
            "rows of the paper belong to hemadata."
        )
    return Source(facts, module, page.read_bytes(), is_foreign=True)


def _package(entry: EntryPoint) -> str:
    return f"The package {entry.dist.name if entry.dist else entry.module}"


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
