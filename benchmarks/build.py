"""What a build costs, against the least that could be done: `python benchmarks/build.py [--raw DIR] [--json]`.

Real BCCD fields, copied with a JPEG comment each so that all files differ. Page cache warm, one process, CPU seconds
beside wall; every pair runs the baseline and the build one after the other, and the ratios of pairs are given as
median and quartiles.

* header: against a bare pyarrow loop that reads the same files, parses the same XML and writes the same bytes and
  boxes.
* datasets: the same build against `datasets.Dataset.from_generator` + `to_parquet` on the same rows.
* full: against a bare Pillow loop that opens and decodes every file.
* memory: peak of a worker process that builds 300 images, and 30,000.
"""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hemadata.build import Options, build
from PIL import Image

Boxes = list[dict[str, Any]]
ROW = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("objects", pa.list_(pa.struct([("bbox", pa.list_(pa.float32(), 4)), ("label", pa.string())]))),
    ]
)


def copy_fields(raw: Path, target: Path, count: int) -> Path:
    """A BCCD tree of `count` fields: real files, each copy made distinct by a JPEG comment."""
    source, top = raw / "bccd" / "BCCD", target / "bccd" / "BCCD"
    (top / "JPEGImages").mkdir(parents=True)
    (top / "Annotations").mkdir()
    originals = sorted((source / "JPEGImages").glob("*.jpg"))
    for number in range(count):
        original = originals[number % len(originals)]
        data, note = original.read_bytes(), f"copy {number}".encode()
        comment = b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note
        name = f"BloodImage_{number:06d}"
        (top / "JPEGImages" / f"{name}.jpg").write_bytes(data[:2] + comment + data[2:])
        page = (source / "Annotations" / f"{original.stem}.xml").read_bytes()
        (top / "Annotations" / f"{name}.xml").write_bytes(page)
    return target


def read_page(path: Path) -> Boxes:
    boxes = []
    for node in ElementTree.fromstring(path.read_bytes()).iter("object"):
        frame = node.find("bndbox")
        x0, y0, x1, y1 = (float(frame.findtext(side)) for side in ("xmin", "ymin", "xmax", "ymax"))
        boxes.append({"bbox": [x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1], "label": node.findtext("name")})
    return boxes


def rows(tree: Path) -> Iterator[dict[str, Any]]:
    top = tree / "bccd" / "BCCD"
    for path in sorted((top / "JPEGImages").glob("*.jpg")):
        page = top / "Annotations" / f"{path.stem}.xml"
        yield {"image": {"bytes": path.read_bytes(), "path": path.name}, "objects": read_page(page)}


def bare_pyarrow(tree: Path, out: Path) -> None:
    """Read, parse, write: row groups of 32 MB, image bytes uncompressed."""
    out.mkdir()
    leaves = {"image.bytes": "NONE", "image.path": "ZSTD"}
    leaves |= {f"objects.list.element.{leaf}": "ZSTD" for leaf in ("bbox.list.element", "label")}
    with pq.ParquetWriter(out / "bare.parquet", ROW, compression=leaves, use_dictionary=False) as writer:
        batch, size = [], 0
        for row in rows(tree):
            batch.append(row)
            size += len(row["image"]["bytes"])
            if size > 32 << 20:
                writer.write_table(pa.Table.from_pylist(batch, ROW))
                batch, size = [], 0
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, ROW))


def from_generator(tree: Path, out: Path) -> None:
    import datasets

    out.mkdir()
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "objects": datasets.List(
                {"bbox": datasets.List(datasets.Value("float32"), length=4), "label": datasets.Value("string")}
            ),
        }
    )
    made = datasets.Dataset.from_generator(
        rows, features=features, gen_kwargs={"tree": tree}, cache_dir=str(out / "cache")
    )
    made.to_parquet(out / "made.parquet")


def bare_decode(tree: Path, out: Path) -> None:
    for path in sorted((tree / "bccd" / "BCCD" / "JPEGImages").glob("*.jpg")):
        with Image.open(path) as image:
            image.load()


def hema(check: str) -> Callable[[Path, Path], None]:
    def run(tree: Path, out: Path) -> None:
        (result,) = build(["bccd"], tree, out, Options(check=check, jobs=1))
        if result.error:
            raise result.error

    return run


def measure(function: Callable[[Path, Path], None], tree: Path, scratch: Path) -> tuple[float, float]:
    """CPU and wall seconds of one run into a fresh folder."""
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    gc.collect()
    os.sync()  # else the first fsync of a build pays for what the run before has left unwritten
    wall, cpu = time.perf_counter(), time.process_time()
    function(tree, out)
    return time.process_time() - cpu, time.perf_counter() - wall


def compare(
    name: str, base: Callable, ours: Callable, tree: Path, scratch: Path, images: int, pairs: int
) -> dict[str, Any]:
    measure(base, tree, scratch)  # warm: page cache, imports
    measure(ours, tree, scratch)
    runs = []
    for _ in range(pairs):
        runs.append((measure(base, tree, scratch), measure(ours, tree, scratch)))
    cpu = np.array([ours[0] / base[0] for base, ours in runs])
    wall = np.array([ours[1] / base[1] for base, ours in runs])
    low, middle, high = np.percentile(cpu, [25, 50, 75])
    return {
        "row": name,
        "pairs": pairs,
        "images": images,
        "cpu_ratio": round(float(middle), 3),
        "cpu_quartiles": [round(float(low), 3), round(float(high), 3)],
        "wall_ratio": round(float(np.median(wall)), 3),
        "base_cpu_us_per_image": round(float(np.median([base[0] for base, _ in runs])) / images * 1e6, 1),
        "hema_cpu_us_per_image": round(float(np.median([ours[0] for _, ours in runs])) / images * 1e6, 1),
        "hema_wall_us_per_image": round(float(np.median([ours[1] for _, ours in runs])) / images * 1e6, 1),
    }


# VmHWM, not ru_maxrss: the latter still remembers the process that started this one.
WORKER = """
import atexit, re, sys
from pathlib import Path
from hemadata.cli import app
status = lambda: Path("/proc/self/status").read_text()
atexit.register(lambda: print(re.search(r"VmHWM:\\s+(\\d+)", status())[1], file=sys.stderr))
app()
"""


def peak_memory(tree: Path, scratch: Path) -> int:
    """Peak resident MB of a fresh process that builds the tree as one worker (Linux)."""
    out = scratch / "memory"
    shutil.rmtree(out, ignore_errors=True)
    words = ["build", "--source", "bccd", "--raw", str(tree), "--out", str(out), "--jobs", "1", "--json"]
    done = subprocess.run([sys.executable, "-c", WORKER, *words], capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]) >> 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("../shared/raw"))
    parser.add_argument("--images", type=int, default=7280)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--memory", type=int, nargs="*", default=[300, 30_000], help="numbers of images; none: skip")
    parser.add_argument("--only", choices=["header", "datasets", "full", "memory"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    wanted = {args.only} if args.only else {"header", "datasets", "full", "memory"}
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tree = copy_fields(args.raw, scratch / "tree", args.images)
        cases = [
            ("header", bare_pyarrow, "header", 1.6),
            ("datasets", from_generator, "header", 1.0),
            ("full", bare_decode, "full", 1.25),
        ]
        for name, base, check, bar in cases:
            if name in wanted:
                results.append(
                    compare(name, base, hema(check), tree, scratch, args.images, args.pairs) | {"asked": bar}
                )
                show(results[-1], args.json)
        for count in args.memory if "memory" in wanted else []:
            many = copy_fields(args.raw, scratch / f"tree{count}", count)
            results.append({"row": "memory", "images": count, "peak_mb": peak_memory(many, scratch), "asked": 400})
            show(results[-1], args.json)
            shutil.rmtree(many)
    if args.json:
        print(json.dumps(results))


def show(result: dict[str, Any], as_json: bool) -> None:
    if not as_json:
        print("  ".join(f"{key} {value}" for key, value in result.items()), flush=True)


if __name__ == "__main__":
    main()
