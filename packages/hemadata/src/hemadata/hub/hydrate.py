"""`hemadata hydrate`: the rows that a recipe tells of, made from a person's own download.

Every picture of the download is compared with the recipe before anything is written; afterwards the rows are, by the
digests of the shards. What comes out is what the publisher's corpus holds.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock

from hemadata import sources
from hemadata.build import Options, build
from hemadata.build.assign import ARROW, read_assignment, write_assignment
from hemadata.build.engine import draw_phantom
from hemadata.build.images import Check
from hemadata.build.plan import make_plan
from hemadata.build.records import read_manifest
from hemadata.errors import CorpusError, DefectError, InputMissingError, UsageError
from hemadata.formats.spool import Spool
from hemadata.hub.layout import RECIPES
from hemadata.hub.recipe import Recipe, read_recipe, recipes
from hemadata.hub.view import Tell
from hemadata.report.write import Progress
from hemadata.sources.base import Ref, Source


@dataclass(slots=True)
class Hydrated:
    """What became of one recipe.

    Args:
        source: slug.
        images: rows in the corpus now.
        faults: in what the download, or the rows made from it, differ from the recipe.
        is_new: False where the corpus held those rows already.
    """

    source: str
    images: int = 0
    faults: list[str] = field(default_factory=list)
    is_new: bool = True


def hydrate(
    corpus: Path,
    raw: Sequence[Path],
    only: Sequence[str] = (),
    jobs: int = 1,
    variant: str | None = None,
    tell: Tell = lambda line: None,
    progress: Progress | None = None,
) -> list[Hydrated]:
    """Fill recipes of a downloaded corpus.

    Args:
        corpus: its folder; holds `recipes/`.
        raw: folders with one raw folder per slug.
        only: slugs; none: every recipe whose raw data are there.
        jobs: worker processes.
        variant: layout to read where raw data have several.
        tell: told what is done, in a line for a person.
        progress: called with name, done, total.

    Raises:
        InputMissingError: there are no recipes, or no raw data for them.
        CorpusError: a recipe cannot be followed.
        HemaError: the raw data are not as the source's page says.
    """
    known = recipes(corpus)
    if not known:
        raise InputMissingError(
            f"{corpus / RECIPES} holds no recipe. Download a corpus that has some: "
            f"hf download ORG/NAME --repo-type dataset --local-dir {corpus}"
        )
    if missing := sorted(set(only) - set(known)):
        raise UsageError(f"{corpus} has no recipe of {', '.join(missing)}; it has {', '.join(known)}.")
    todo = {name: read_recipe(corpus, name) for name in known if not only or name in only}
    there = {n for n, (recipe, _) in todo.items() if recipe.phantom or sources.get(n).is_there(raw)}
    if absent := sorted(set(todo) - there):
        told = f"Their raw data are not in {' or '.join(map(str, raw))}: {', '.join(absent)}."
        if only or not there:
            raise InputMissingError(f"{told} hemadata sources show {absent[0]} tells where they come from.")
        tell(told)
    order = sorted(there, key=lambda name: (sources.get(name).facts.anchor not in (None, name), name))
    return [_hydrate(corpus, raw, *todo[name], jobs, variant, tell, progress) for name in order]


def _hydrate(
    corpus: Path,
    raw: Sequence[Path],
    recipe: Recipe,
    rows: pa.Table,
    jobs: int,
    variant: str | None,
    tell: Tell,
    progress: Progress | None,
) -> Hydrated:
    done, source = Hydrated(recipe.source), sources.get(recipe.source)
    options = _options(recipe, jobs, variant)
    before = read_manifest(corpus, recipe.source)
    if before and {shard.path: shard.rows_digest for shard in before.shards} == recipe.digests:
        done.images, done.is_new = before.images, False
        return done
    tell(f"{recipe.source}: comparing {rows.num_rows:,} pictures with the recipe.")
    spool = Spool(corpus / ".building" / f"{recipe.source}-spool", tell)  # the build finds what is unpacked here
    with _raw(source, raw, options) as roots:
        done.faults = _compare(source, roots, rows, spool, variant, progress)
    if done.faults:
        return done
    _assign(corpus, source, rows)
    (built,) = build([recipe.source], list(raw), corpus, options, progress, tell)
    if built.error:
        raise built.error
    done.images = built.images
    made = read_manifest(corpus, recipe.source)
    digests = {shard.path: shard.rows_digest for shard in made.shards} if made else {}
    wrong = sorted(path for path in {*digests, *recipe.digests} if digests.get(path) != recipe.digests.get(path))
    done.faults = [f"{path}: its rows are not those that were published" for path in wrong]
    page = corpus / RECIPES / recipe.source / "source.toml"
    if wrong and page.exists() and page.read_bytes() != source.toml:
        done.faults.append(f"this release of hemadata has another page of {recipe.source} than {page}")
    return done


def _options(recipe: Recipe, jobs: int, variant: str | None) -> Options:
    check: Check | None = next((c for c in get_args(Check) if c == recipe.options.get("check")), None)
    if check is None:
        raise CorpusError(f"The recipe of {recipe.source} says --check {recipe.options.get('check')}; no such depth.")
    prompt = recipe.options.get("prompt") or None
    return Options(check, jobs, phantom=recipe.phantom, prompt=prompt, variant=variant)


@contextmanager
def _raw(source: Source, raw: Sequence[Path], options: Options) -> Iterator[Sequence[Path]]:
    """Folders with the raw data; a drawn corpus is drawn again."""
    if options.phantom is None:
        yield raw
        return
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_phantom(source, Path(folder) / "phantom", options)
        assert drawn
        yield [drawn]


def _compare(
    source: Source, roots: Sequence[Path], rows: pa.Table, spool: Spool, variant: str | None, progress: Progress | None
) -> list[str]:
    """In what a download differs from a recipe, picture by picture; nothing is written."""
    plan = make_plan(source, source.open_raw(roots, spool, variant))
    spool.fill()
    wanted = dict(zip(rows["sample_id"].to_pylist(), rows["sha256"].to_pylist(), strict=True))
    changed, unknown, seen = list[str](), list[str](), set[str]()
    for done, ref in enumerate(plan.refs, 1):
        sample_id = f"{source.name}/{ref.key}"
        seen.add(sample_id)
        if sample_id not in wanted:
            unknown.append(f"{ref.image.name}: the recipe does not know {sample_id}: another version of the data")
        elif wanted[sample_id] and (found := _sha256(source, ref)) != wanted[sample_id]:
            changed.append(f"{ref.image.name}: {found}, the recipe says {wanted[sample_id]} for {sample_id}")
        if progress and (done % 256 == 0 or done == plan.images):
            progress(f"compare {source.name}", done, plan.images)
    missing = [f"{name}: not in the download" for name, sha in wanted.items() if sha and name not in seen]
    return changed + unknown + missing


def _sha256(source: Source, ref: Ref) -> str:
    try:
        return hashlib.sha256(source.load(ref).image).hexdigest()
    except (DefectError, OSError) as error:
        return f"unreadable ({error})"


def _assign(corpus: Path, source: Source, rows: pa.Table) -> None:
    """Put the recipe's splits and groups in force; the build keeps them."""
    mine = rows.append_column(ARROW.field("source"), pa.array([source.name] * rows.num_rows, pa.string()))
    (corpus / "assignment").mkdir(exist_ok=True)
    with FileLock(corpus / "assignment" / ".lock"):
        table = read_assignment(corpus)
        others = table.filter(pc.not_equal(table["source"], source.name))
        write_assignment(corpus, pa.concat_tables([others.cast(ARROW), mine.select(ARROW.names).cast(ARROW)]))
