"""WebDataset: tar files of samples, each an image, perhaps a mask, and a JSON page."""

import io
import tarfile
from typing import Any

from hemadata import schema
from hemadata.export.format import Format, Writer, image_name, said
from hemadata.export.page import dumps

SHARD_BYTES, SHARD_SAMPLES = 1 << 29, 10_000


class WebDatasetWriter(Writer):
    """Shards of at most `SHARD_SAMPLES` samples that are closed beyond `SHARD_BYTES`; equal rows, equal bytes."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._shard: tarfile.TarFile | None = None
        self._split, self._number, self._samples = "", 0, 0

    def add(self, row: dict[str, Any], stem: str) -> str | None:
        """Append a sample; rows come split by split."""
        shard = self._shard_for(row["split"])
        _, _, kind = image_name(row, stem).rpartition(".")
        _append(shard, f"{stem}.{kind}", row["image"]["bytes"])
        if row.get("mask") is not None:
            _append(shard, f"{stem}.mask.png", row["mask"]["bytes"])
        _append(shard, f"{stem}.json", dumps(said(row, "image", "mask")).encode())
        self._samples += 1
        return None

    def finish(self) -> None:
        """Close the last shard."""
        if self._shard:
            self._shard.close()

    def _shard_for(self, split: str) -> tarfile.TarFile:
        shard = self._shard
        if shard and split == self._split and self._samples < SHARD_SAMPLES and shard.offset < SHARD_BYTES:
            return shard
        self.finish()
        self._number = self._number + 1 if split == self._split else 0
        self._split, self._samples = split, 0
        path = self.path(f"{split}-{self._number:06d}.tar")
        self._shard = self.open_files.enter_context(tarfile.TarFile(path, "x", format=tarfile.PAX_FORMAT))
        return self._shard


def _append(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    shard.addfile(member, io.BytesIO(data))


FORMAT = Format(
    name="webdataset",
    summary="WebDataset, for training that streams. A sample is `<key>.jpg` (or png, webp), `<key>.mask.png` where "
    "there is a mask, and `<key>.json` with every other column; a null is an absent key.",
    layout="<split>-<number>.tar",
    tasks=schema.TASKS,
    places={"image.bytes": "`jpg`, `png` or `webp`, untouched", "mask.bytes": "`mask.png`, untouched"},
    rest="`json`, `{}`",
    lost=frozenset({"image.path", "mask.path"}),
    writer=WebDatasetWriter,
)
