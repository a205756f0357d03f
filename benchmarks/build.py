"""What a build costs, against the least that could be done: `python benchmarks/build.py [--raw DIR] [--json]`.

Real BCCD fields, copied with a JPEG comment each so that all files differ. Page cache warm, one process, CPU seconds
(user and system) beside wall; every pair runs the baseline and the build one after the other, and the ratios of pairs
are given as median and quartiles.

* header: against a bare pyarrow loop that reads the same files, parses the same XML and writes the same bytes and
  boxes.
* datasets: against `datasets.Dataset.from_generator` + `to_parquet` with the same columns as the corpus: a generator
  as a person would write it reads the same files, parses the same XML, looks up the size and hashes the file.
* datasets-least: the same, but with the picture and its boxes only.
* datumaro: against Datumaro 1.13, VOC to its own format, pictures saved. It gets an environment of its own (`uv venv`);
  its imports are not counted.
* full: against a bare Pillow loop that opens and decodes every file.
* scale: fields at a quarter of their sides, all distinct. CPU per image of one process without its imports; peak memory
  of that process, and of the planner and the worker where they are two.
"""

import argparse
import contextlib
import gc
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hemadata import schema
from hemadata.build import Options, build
from PIL import Image

# CPU of the build, as a multiple of what it is compared with
BARS = {"header": 1.25, "datasets": 0.8, "datasets-least": 0.8, "datumaro": 0.25, "full": 1.25}
MEMORY = Path("/dev/shm")  # 600,000 small files are made and removed there in seconds; a disk takes minutes
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
        page = (source / "Annotations" / f"{original.stem}.xml").read_text()
        (top / "Annotations" / f"{name}.xml").write_text(page.replace(original.name, f"{name}.jpg"))
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


def whole_rows(tree: Path) -> Iterator[dict[str, Any]]:
    """The columns of the corpus, by hand; what is not named here is null.

    Imports are its own: `datasets` hashes what a generator's globals hold.
    """
    from hemadata import schema as tables
    from hemadata import sources as pages

    facts = pages.get("bccd").facts
    nodes = {raw: to if isinstance(to, str) else to["to"] for raw, to in facts.labels.items()}
    known = {column.name: None for column in tables.columns("detection")} | facts.domain.model_dump()
    known |= {"source": "bccd", "source_version": facts.version, "license": facts.license, "encoding_source": "jpeg"}
    of_object = dict.fromkeys(("bbox_raw", "attributes", "ratings", "rle", "source_id", "flags"))
    for row in rows(tree):
        data, name = row["image"]["bytes"], row["image"]["path"]
        with Image.open(BytesIO(data)) as image:
            width, height = image.size
        objects = [
            of_object | entry | {"label": nodes[entry["label"]], "label_raw": entry["label"], "label_relation": "exact"}
            for entry in row["objects"]
        ]
        stem = name.removesuffix(".jpg")
        found = {"sample_id": f"bccd/{stem}", "image": row["image"], "width": width, "height": height}
        found |= {"source_file": f"BCCD/JPEGImages/{name}", "sha256": hashlib.sha256(data).hexdigest(), "flags": []}
        found |= {"native_group": f"bccd/{stem}", "classes_annotated": facts.classes_annotated, "objects": objects}
        yield known | found


def from_generator_whole(tree: Path, out: Path) -> None:
    import datasets

    out.mkdir()
    features = datasets.Features.from_arrow_schema(schema.arrow_schema("detection"))
    made = datasets.Dataset.from_generator(
        whole_rows, features=features, gen_kwargs={"tree": tree}, cache_dir=str(out / "cache")
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


def measure(
    function: Callable[[Path, Path], tuple[float, float] | None], tree: Path, scratch: Path
) -> tuple[float, float]:
    """CPU and wall seconds of one run into a fresh folder."""
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    gc.collect()
    os.sync()  # else the first fsync of a build pays for what the run before has left unwritten
    wall, cpu = time.perf_counter(), cpu_seconds()
    told = function(tree, out)
    return told or (cpu_seconds() - cpu, time.perf_counter() - wall)


def cpu_seconds() -> float:
    """Of this process and of the children that have ended."""
    who = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in who)


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


DATUMARO = """
import sys, time
from datumaro import Dataset
cpu, wall = time.process_time(), time.perf_counter()
Dataset.import_from(sys.argv[1], "voc_detection").export(sys.argv[2], "datumaro", save_media=True)
print(time.process_time() - cpu, time.perf_counter() - wall)
"""


class Datumaro:
    """Datumaro in an environment of its own.

    Args:
        folder: for the environment and what is converted.
        tree: of BCCD; Datumaro wants lists and a label map, which are put beside links to its folders.

    Raises:
        subprocess.CalledProcessError, OSError: it cannot be installed.
    """

    def __init__(self, folder: Path, tree: Path) -> None:
        self._python, self._voc = folder / "datumaro" / "bin" / "python", folder / "voc"
        quiet: dict[str, Any] = {"check": True, "capture_output": True, "text": True}
        subprocess.run(["uv", "venv", "--python", sys.executable, str(folder / "datumaro")], **quiet)
        subprocess.run(["uv", "pip", "install", "--python", str(self._python), "datumaro==1.13.*"], **quiet)
        top = tree / "bccd" / "BCCD"
        (self._voc / "ImageSets" / "Main").mkdir(parents=True)
        for part in ("JPEGImages", "Annotations"):
            (self._voc / part).symlink_to(top / part)
        stems = sorted(path.stem for path in (top / "JPEGImages").iterdir())
        (self._voc / "ImageSets" / "Main" / "train.txt").write_text("\n".join(stems) + "\n")
        classes = ("background", "RBC", "WBC", "Platelets")
        lines = [f"{name}:{n * 80},0,0::" for n, name in enumerate(classes)]
        (self._voc / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n")

    def __call__(self, tree: Path, out: Path) -> tuple[float, float]:
        """CPU and wall seconds of one conversion."""
        command = [str(self._python), "-c", DATUMARO, str(self._voc), str(out)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        cpu, wall = map(float, done.stdout.split()[-2:])
        saved = sum(1 for _ in (out / "images").rglob("*.jpg"))
        assert saved == sum(1 for _ in (self._voc / "JPEGImages").iterdir()), f"{saved} pictures were saved"
        return cpu, wall


WORKER = """
import sys, time
from pathlib import Path
from hemadata import schema, sources
from hemadata.build import Options, build
if __name__ == "__main__":
    tree, out, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    build(["bccd"], tree, out.with_name("first"), Options(phantom=3))  # so that imports are not counted
    cpu = time.process_time()
    (built,) = build(["bccd"], tree, out, Options(jobs=jobs))
    if built.error:
        raise built.error
    print(built.images, time.process_time() - cpu)
"""


def small_fields(raw: Path, target: Path, count: int) -> Path:
    """A BCCD tree of `count` fields of a quarter of the sides, pages scaled alike, each file made distinct."""
    source, top = raw / "bccd" / "BCCD", target / "small" / "bccd" / "BCCD"
    (top / "JPEGImages").mkdir(parents=True)
    (top / "Annotations").mkdir()
    for path in sorted((source / "JPEGImages").glob("*.jpg"))[:40]:
        with Image.open(path) as image:
            image.resize((image.width // 4, image.height // 4)).save(top / "JPEGImages" / path.name, quality=80)
        page = (source / "Annotations" / f"{path.stem}.xml").read_text()
        quarter = re.sub(r"(?<=<[xy]m..>)\d+(?=<)", lambda found: str(max(1, int(found[0]) // 4)), page)
        (top / "Annotations" / f"{path.stem}.xml").write_text(quarter)
    return copy_fields(target / "small", target / "many", count)


def peaks(tree: Path, scratch: Path, jobs: int) -> tuple[float, list[int]]:
    """CPU seconds of the first process without imports, and peak resident MB of it and of its workers (Linux)."""
    out, script = scratch / "memory", scratch / "worker.py"
    for folder in (out, out.with_name("first")):
        shutil.rmtree(folder, ignore_errors=True)
    script.write_text(WORKER)
    command = [sys.executable, str(script), str(tree), str(out), str(jobs)]
    highest: dict[int, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                for pid in (process.pid, *map(int, children)):
                    # VmHWM, not ru_maxrss: the latter still remembers the process that started this one.
                    if found := re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()):
                        highest[pid] = int(found[1]) >> 10
            time.sleep(0.02)
        assert process.stdout
        _, cpu = process.stdout.read().split()
    workers = [peak for pid, peak in highest.items() if pid != process.pid]
    return float(cpu), [highest[process.pid], max(workers, default=0)]


def scale(raw: Path, scratch: Path, count: int, keep: Path | None) -> dict[str, Any]:
    tree = small_fields(raw, scratch / f"scale{count}", count)
    cpu, (alone, _) = peaks(tree, scratch, 1)
    _, (planner, worker) = peaks(tree, scratch, 2)
    if keep:
        shutil.copytree(scratch / "memory", keep / str(count))
    result = {"row": "scale", "images": count, "cpu_us_per_image": round(cpu / count * 1e6, 1)}
    return result | {"one_process_mb": alone, "planner_mb": planner, "worker_mb": worker}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("../shared/raw"))
    parser.add_argument("--images", type=int, default=7280)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--scale", type=int, nargs="*", default=[3_000, 30_000, 300_000], help="numbers of images")
    parser.add_argument("--keep", type=Path, help="folder for the corpora of the scale table")
    parser.add_argument("--only", nargs="+", choices=[*BARS, "scale"], default=[*BARS, "scale"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tree = copy_fields(args.raw, scratch / "tree", args.images)
        bases = {"header": bare_pyarrow, "datasets": from_generator_whole, "datasets-least": from_generator}
        bases |= {"full": bare_decode}
        if "datumaro" in args.only:
            try:
                bases["datumaro"] = Datumaro(scratch, tree)
            except (subprocess.CalledProcessError, OSError) as error:
                print(f"Datumaro cannot be installed here: {getattr(error, 'stderr', None) or error}", file=sys.stderr)
        for name in (name for name in BARS if name in args.only and name in bases):
            ours = hema("full" if name == "full" else "header")
            found = compare(name, bases[name], ours, tree, scratch, args.images, args.pairs)
            results.append(found | {"asked": BARS[name]})
            show(results[-1], args.json)
        for count in args.scale if "scale" in args.only else []:
            with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as fast:
                results.append(scale(args.raw, Path(fast), count, args.keep))
            show(results[-1], args.json)
    if args.json:
        print(json.dumps(results))


def show(result: dict[str, Any], as_json: bool) -> None:
    if not as_json:
        print("  ".join(f"{key} {value}" for key, value in result.items()), flush=True)


if __name__ == "__main__":
    main()
