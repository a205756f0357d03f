"""Recipes: what may be told of a source whose pictures may not be passed on, enough to make the same rows again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hemadata import schema, sources
from hemadata.arrow import write_tables
from hemadata.atomic import write_bytes, write_text
from hemadata.build.records import Manifest
from hemadata.errors import CorpusError, UsageError
from hemadata.hub.layout import RECIPES
from hemadata.schema import Column

_ASSIGNMENT = {column.name: column for column in schema.ASSIGNMENT}
COLUMNS = (
    _ASSIGNMENT["sample_id"],
    Column("sha256", schema.STRING, "hex, of the original bytes; null: the picture was withheld"),
    *(_ASSIGNMENT[name] for name in ("split", "split_basis", "group_id", "dup_cluster", "own_group")),
)
ARROW = schema.to_arrow_schema(COLUMNS)
MAX_BYTES = 512 << 20  # of one file of a recipe; a hundred bytes a picture are usual


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the corpus said of a source.

    Args:
        source: slug.
        schema: version of the columns.
        source_version: of the raw data.
        phantom: number of drawn pictures, where they were drawn.
        options: of the build that decide what rows say.
        digests: shard -> its `rows_digest`.
    """

    source: str
    schema: str
    source_version: str
    phantom: int | None
    options: Mapping[str, str]
    digests: Mapping[str, str]


def write_recipe(folder: Path, manifest: Manifest, assignment: pa.Table, index: pa.Table) -> None:
    """Write the recipe of a source below `recipes/`: its page of facts, its rows, and how they were made.

    Args:
        folder: of the view.
        manifest: of the source.
        assignment: its rows; names as the view says them.
        index: its rows.
    """
    place = folder / RECIPES / manifest.source
    at = pc.index_in(assignment["sample_id"], index["sample_id"].combine_chunks())
    table = assignment.append_column(ARROW.field("sha256"), index["sha256"].take(at)).select(ARROW.names)
    place.mkdir(parents=True)
    write_tables(place / "rows.parquet", [table.cast(ARROW)], durable=False)
    digests = {shard.path: shard.rows_digest for shard in manifest.shards}
    recipe = Recipe(
        manifest.source,
        schema.SCHEMA_VERSION,
        manifest.source_version,
        manifest.phantom,
        manifest.options,
        digests,
    )
    write_text(place / "recipe.json", json.dumps(asdict(recipe), indent=1) + "\n", durable=False)
    try:
        write_bytes(place / "source.toml", sources.get(manifest.source).toml, durable=False)
    except UsageError as error:
        raise CorpusError(f"No recipe of {manifest.source} can be written: {error}") from error


def read_recipe(folder: Path, source: str) -> tuple[Recipe, pa.Table]:
    """A recipe and its rows.

    Args:
        folder: of the corpus.
        source: slug.

    Raises:
        CorpusError: it is not a recipe of this release, or names rows that are not of its source.
    """
    place = folder / RECIPES / source
    try:
        for path in (place / "recipe.json", place / "rows.parquet"):
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"{path.name} has more than {MAX_BYTES >> 20} MB")
        told: dict[str, Any] = json.loads((place / "recipe.json").read_text(encoding="utf-8"))
        recipe = Recipe(**told)
        rows = pq.read_table(place / "rows.parquet", schema=ARROW)
        _refuse_nonsense(source, recipe, rows)
    except (OSError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        raise CorpusError(f"{place} is not a recipe that can be followed: {error}. Download it again.") from error
    return recipe, rows


def _refuse_nonsense(source: str, recipe: Recipe, rows: pa.Table) -> None:
    if recipe.source != source:
        raise ValueError(f'it is of "{recipe.source}"')
    if recipe.schema != schema.SCHEMA_VERSION:
        raise ValueError(f"it was written for schema {recipe.schema}, this release has {schema.SCHEMA_VERSION}")
    if not (isinstance(recipe.options, dict) and isinstance(recipe.digests, dict)):
        raise ValueError("options and digests are not objects")
    names = rows["sample_id"].to_pylist()
    strange = [name for name in names if not (name or "").startswith(f"{source}/")]
    if strange or len(set(names)) != len(names):
        raise ValueError(f"it names rows that are not of {source}, or rows twice: {(strange or names)[0]!r}")
    if strange := [split for split in pc.unique(rows["split"]).to_pylist() if split not in schema.SPLITS]:
        raise ValueError(f"no split is called {strange[0]!r}")
    if rows["group_id"].null_count or rows["own_group"].null_count:
        raise ValueError("rows without a group")


def recipes(folder: Path) -> list[str]:
    """Slugs of the recipes below a folder."""
    return sorted(path.parent.name for path in (folder / RECIPES).glob("*/recipe.json"))
