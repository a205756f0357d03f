"""Which sources of a corpus may go where: decided by licence, and by how people get the data."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow.compute as pc

from hemadata.corpus import Corpus
from hemadata.errors import HemaError, UsageError
from hemadata.sources.facts import FREE_LICENSES, LICENSES

Where = Literal["public", "gated", "nowhere"]
Kind = Literal["public", "gated"]

_RECIPE, _PAGE = "`hemadata hydrate --source {0}` fills it from your own download", "`hemadata sources show {0}` tells"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source of the corpus, and where its rows may be published.

    Args:
        source: slug.
        task: its task.
        licence: all licences of its rows, the facts page's first.
        where: `public` for what everyone may pass on, `gated` for what has conditions, `nowhere` for the unknown.
        recipe: whether ids, checksums and splits may be published: not where the data are got under an agreement.
        images: rows.
        bytes: of its shards.
        homepage: where a person finds it.
        phantom: whether its pictures are drawn.
    """

    source: str
    task: str
    licence: str
    where: Where
    recipe: bool
    images: int
    bytes: int
    homepage: str
    phantom: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What a push publishes.

    Args:
        kind: of the repository.
        goes: sources whose rows go.
        recipes: sources of which a recipe goes.
        stays: sources whose rows do not go.
    """

    kind: Kind
    goes: tuple[Candidate, ...]
    recipes: tuple[Candidate, ...]
    stays: tuple[Candidate, ...]

    @property
    def left_out(self) -> list[dict[str, Any]]:
        """What the card says of the sources that stay."""
        with_recipe = {one.source for one in self.recipes}
        return [
            asdict(one) | {"why": why(one), "how": (_RECIPE if one.source in with_recipe else _PAGE).format(one.source)}
            for one in self.stays
        ]


def where(licences: Iterable[str]) -> Where:
    """Where rows of these licences may go: as far as the strictest allows; a licence nobody listed is unknown."""
    licences = set(licences)
    if not licences or "unknown" in licences or not licences <= set(LICENSES):
        return "nowhere"
    return "public" if licences <= set(FREE_LICENSES) else "gated"


def why(one: Candidate) -> str:
    """Why a source is not in a view."""
    return {
        "nowhere": "nobody says under which licence it may be passed on",
        "gated": "its licence has conditions: only for a gated repository",
        "public": "it may go to everyone: it belongs in the public repository",
    }[one.where]


def candidates(corpus: Corpus, only: Sequence[str] = ()) -> tuple[Candidate, ...]:
    """Every source of the corpus.

    Args:
        corpus: an open corpus.
        only: slugs; none: all.

    Raises:
        UsageError: a slug is not in the corpus.
    """
    if missing := sorted(set(only) - set(corpus.sources)):
        raise UsageError(f"{corpus.path} has no source {', '.join(missing)}; it has {', '.join(corpus.sources)}.")
    return tuple(_candidate(corpus, name) for name in corpus.sources if not only or name in only)


def _candidate(corpus: Corpus, name: str) -> Candidate:
    manifest, index = corpus.manifests[name], corpus.index
    facts = manifest.facts
    of_rows = pc.unique(index.filter(pc.equal(index["source"], name))["license"]).to_pylist()
    licences = dict.fromkeys([facts.get("license") or "unknown", *(licence or "unknown" for licence in of_rows)])
    return Candidate(
        source=name,
        task=manifest.task,
        licence=", ".join(licences),
        where=where(licences),
        recipe=facts.get("access") in ("open", "made"),
        images=manifest.images,
        bytes=sum(shard.bytes for shard in manifest.shards),
        homepage=facts.get("homepage") or "",
        phantom=manifest.phantom is not None,
    )


def refusal(found: Collection[Candidate]) -> str:
    """Why a push is refused: the sources of unknown licence; "" where there are none."""
    unknown = [f"  {one.source} ({one.licence})" for one in found if one.where == "nowhere"]
    if not unknown:
        return ""
    these = f"these {len(unknown)} sources" if len(unknown) > 1 else "this source"
    first = f"Refused: nobody says under which licence {these} may be passed on:"
    last = "To publish the others without them: --skip-unknown. To name what goes: --source."
    return "\n".join([first, *unknown, last])


def choose(found: Collection[Candidate], kind: Kind, skip_unknown: bool = False, recipes: bool = False) -> Choice:
    """Decide what goes.

    Args:
        found: of the corpus.
        kind: of the repository.
        skip_unknown: leave sources of unknown licence out, where they would be refused.
        recipes: publish recipes of what stays, as far as that is allowed.

    Raises:
        HemaError: a source has no known licence, or nothing is left to publish.
    """
    if not skip_unknown and (refused := refusal(found)):
        raise HemaError(refused)
    goes = tuple(one for one in found if one.where == kind and one.images)
    stays = tuple(one for one in found if one not in goes and one.images)
    if not goes:
        there = ", ".join(f"{one.source} ({one.licence})" for one in found) or "no source"
        could_be_gated = kind == "public" and any(one.where == "gated" for one in stays)
        hint = " Restricted sources go to a gated repository: --gated." if could_be_gated else ""
        raise HemaError(f"Nothing to publish: of {there} nothing is for a {kind} repository.{hint}")
    return Choice(kind, goes, tuple(one for one in stays if recipes and one.recipe), stays)
