"""Image folders: one folder per split and label, and every other column in `metadata.parquet`."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hemadata import schema
from hemadata.arrow import to_table
from hemadata.export.format import Format, Writer, columns, image_name
from hemadata.labels import UNLABELLED

BATCH = 1000  # rows of metadata held in memory


class ImageFolderWriter(Writer):
    """`file_name` and `mask_file_name` become the columns `image` and `mask` when `datasets` reads the folder."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        tasks = tuple({self.opened.manifests[source].task for source in self.sources})
        kinds = {column.name: column.type for column in (*schema.COLUMNS, *schema.INDEX_ONLY)}
        names = [name for name in columns(tasks) if name not in ("image", "mask")]
        # `datasets` looks for file_name first, so it stands first.
        files = ["file_name", "mask_file_name"] if "segmentation" in tasks else ["file_name"]
        self._schema = pa.schema([(name, kinds.get(name, pa.string())) for name in (*files, *names)])
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._files: dict[str, pq.ParquetWriter] = {}

    def add(self, row: dict[str, Any], stem: str) -> str | None:
        """Write image and mask; the other columns wait for their batch."""
        split = row["split"]
        folder = row["label"] or UNLABELLED if row["task"] == "classification" else "images"
        names = {"file_name": f"{folder}/{image_name(row, stem)}", "mask_file_name": None}
        self.save(f"{split}/{names['file_name']}", row["image"]["bytes"])
        if row.get("mask") is not None:
            names["mask_file_name"] = f"masks/{stem}.png"
            self.save(f"{split}/{names['mask_file_name']}", row["mask"]["bytes"])
        batch = self._waiting.setdefault(split, [])
        batch.append({name: names.get(name, row.get(name)) for name in self._schema.names})
        if len(batch) >= BATCH:
            self._write(split)
        return None

    def finish(self) -> None:
        """Write what waits."""
        for split in self._waiting:
            self._write(split)
            self._files[split].close()

    def _write(self, split: str) -> None:
        if split not in self._files:
            path = self.path(f"{split}/metadata.parquet")
            self._files[split] = self.open_files.enter_context(pq.ParquetWriter(path, self._schema, compression="ZSTD"))
        if self._waiting[split]:
            self._files[split].write_table(to_table(self._waiting[split], self._schema))
        self._waiting[split] = []


FORMAT = Format(
    name="imagefolder",
    summary='Image folders, as `datasets.load_dataset("imagefolder", data_dir=...)` reads them with all columns, and '
    "torchvision's `ImageFolder` each split of a classification set by its folders. Images of a classification set lie "
    "in a folder named after their label (`unlabelled` for null), all others in `images`.",
    layout="<split>/metadata.parquet  <split>/<label>/<image>  <split>/images/<image>  <split>/masks/<image>.png",
    tasks=schema.TASKS,
    places={
        "image.bytes": "the file, untouched; `file_name`",
        "mask.bytes": "the file, untouched; `mask_file_name`",
    },
    rest="`metadata.parquet`, `{}`",
    lost=frozenset({"image.path", "mask.path"}),
    writer=ImageFolderWriter,
)
