"""What a repository really serves at a revision: the footer of every shard, its first row, and that row's picture."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from huggingface_hub import HfFileSystem

from hemadata.build.records import Shard
from hemadata.corpus import Corpus
from hemadata.errors import HubError
from hemadata.hub.remote import Remote
from hemadata.report.write import Progress


def verify(remote: Remote, revision: str, view: Corpus, progress: Progress | None = None) -> None:
    """Compare the shards of a revision with those of the view, by a few ranges of each.

    Args:
        remote: the repository.
        revision: commit.
        view: open corpus in the staging folder.
        progress: called with name, done, total.

    Raises:
        HubError: a shard is not the one that was sent.
    """
    files = HfFileSystem(endpoint=remote.api.endpoint, token=remote.token, skip_instance_cache=True)
    every = [shard for manifest in view.manifests.values() for shard in manifest.shards]
    for done, shard in enumerate(every, 1):
        compared = _Compared(remote, files, revision, view, shard)
        if fault := remote.persist(compared.fault):
            raise HubError(
                f"{shard.path} at {remote.url}/tree/{revision} is not what was sent: {fault}. Nothing was merged. "
                "Run the same push again; if that does not help, close the pull request by hand first."
            )
        if progress:
            progress("verify", done, len(every))


class _Compared:
    """A shard here and there."""

    def __init__(self, remote: Remote, files: HfFileSystem, revision: str, view: Corpus, shard: Shard) -> None:
        self._files, self._view, self._shard = files, view, shard
        self._there = f"datasets/{remote.repo}@{revision}/{shard.path}"

    def fault(self) -> str | None:
        """What differs, in words; None where nothing does."""
        here = pq.ParquetFile(self._view.path / self._shard.path)
        with self._files.open(self._there, "rb", cache_type="none") as file:
            try:
                there = pq.ParquetFile(file)
                if there.metadata.num_rows != self._shard.rows:
                    return f"{there.metadata.num_rows} rows, {self._shard.rows} were sent"
                if not there.schema_arrow.equals(here.schema_arrow, check_metadata=True):
                    return "other columns"
                if _groups(there) != _groups(here):
                    return "other row groups"
                if _first(there) != _first(here):
                    return "another first row"
            except (pa.ArrowInvalid, json.JSONDecodeError) as error:
                return f"it cannot be read ({error})"
            row = self._view.index.filter(pc.equal(self._view.index["file"], self._shard.path)).slice(0, 1)
            (first,) = row.select(["sample_id", "offset", "length"]).to_pylist()
            file.seek(first["offset"])
            if file.read(first["length"]) != self._view.image(first["sample_id"]):
                return "another first picture"
        return None


def _groups(file: pq.ParquetFile) -> list[tuple[int, int]]:
    meta = file.metadata
    return [(meta.row_group(n).num_rows, meta.row_group(n).total_byte_size) for n in range(meta.num_row_groups)]


def _first(file: pq.ParquetFile) -> dict[str, Any]:
    """The first row without its pictures."""
    names = [name for name in file.schema_arrow.names if name not in ("image", "mask")]
    read: Callable[..., Any] = file.iter_batches
    row: dict[str, Any] = next(read(batch_size=1, row_groups=[0], columns=names)).to_pylist()[0]
    return row
