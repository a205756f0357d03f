"""Which files of a repository are hemadata's: by their names, which no push ever changes."""

import re

from hemadata import schema

RECORD, CROISSANT, CARD, RECIPES = "hemadata.json", "croissant.json", "README.md", "recipes"
_SLUG = r"[A-Za-z0-9][A-Za-z0-9._-]*"

SHARD = re.compile(rf"data/(?:{'|'.join(schema.TASKS)})/{_SLUG}/(?:{'|'.join(schema.SPLITS)})-[0-9a-f]+\.parquet")
_OURS = re.compile(
    rf"(?:index|fingerprints)/{_SLUG}\.parquet|assignment/v\d+\.parquet|duplicates/pairs\.parquet"
    rf"|manifest/{_SLUG}\.json|(?:ontology|prompts)/{_SLUG}\.toml"
    r"|reports/(?:quarantine\.csv|leakage\.csv|stats\.json|index\.html)"
    rf"|{RECIPES}/{_SLUG}/(?:source\.toml|rows\.parquet|recipe\.json)|{re.escape(RECORD)}|{re.escape(CROISSANT)}"
)


def is_ours(path: str) -> bool:
    """Whether a file of a repository that hemadata has filled is hemadata's; the card is shared with its people."""
    return bool(SHARD.fullmatch(path) or _OURS.fullmatch(path))
