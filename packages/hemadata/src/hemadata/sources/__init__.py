"""The registry: every `<slug>.toml` in this folder is a source; its reader is the module of the same name."""

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path

from hemadata.errors import UsageError
from hemadata.sources.base import Source
from hemadata.sources.facts import read_facts

_HERE = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Slugs of all sources, sorted; nothing is imported or parsed."""
    return tuple(sorted(page.stem for page in _HERE.glob("*.toml")))


@cache
def get(name: str) -> Source:
    """The source of that slug.

    Raises:
        UsageError: no such source; the nearest names are told.
    """
    page = _HERE / f"{name}.toml"
    if name not in names():
        near = get_close_matches(name, names(), n=3, cutoff=0.5)
        hint = f" Did you mean {_either(near)}?" if near else ""
        raise UsageError(f'No source is called "{name}".{hint}   (hemadata sources list)')
    return Source(read_facts(page), import_module(f"{__name__}.{name.replace('-', '_')}"), page.read_bytes())


def every() -> tuple[Source, ...]:
    """All sources, in the order of the paper's tables; those outside the tables come last."""
    sources = [get(name) for name in names()]
    return tuple(sorted(sources, key=lambda s: (s.facts.table or 99, s.facts.row or 0, s.name)))


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
