"""Split files: one name a line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hemadata.formats.rawtree import RawTree


def read_splits(tree: RawTree, pattern: str, splits: Mapping[str, str]) -> dict[str, str]:
    """Name -> split of the corpus, from one file per split.

    Args:
        tree: where to look; a file that is not there contributes nothing.
        pattern: file name with `{}` for the upstream split.
        splits: upstream split -> split of the corpus.

    Raises:
        FormatError: a file is not UTF-8.
    """
    split_of: dict[str, str] = {}
    for upstream, split in splits.items():
        if file := tree.get(pattern.format(upstream)):
            split_of |= dict.fromkeys(filter(None, map(str.strip, file.text().splitlines())), split)
    return split_of


def write_splits(folder: Path, names: Sequence[str], shares: Mapping[str, float]) -> None:
    """Deal names out to `<split>.txt` files by share, in order; the last split takes the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    start = 0
    for number, (split, share) in enumerate(shares.items()):
        end = len(names) if number == len(shares) - 1 else start + round(share * len(names))
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names[start:end]))
        start = end
