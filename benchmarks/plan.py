"""What the plan of a large source costs: `python benchmarks/plan.py [--images 200000] [--families voc yolo] [--json]`.

A tree of names only (pictures and pages are a few files with many names) is planned by a fresh process, as `build
--dry-run` does it before it opens any picture. Printed are its seconds, on the wall and of the processor, and its peak
memory, for

* folders: hrls, a folder per class.
* voc: bccd, one page of about twenty boxes per picture; voc_zip is the same tree in one archive.
* yolo: txl-pbc, one text of twenty boxes per picture.
* coco: parasite, one page of twenty boxes for each of all pictures.
* attributes: leukemiaattri, one page with six cells of each picture and seven attributes of each cell.
* csv: bccd as a Roboflow export, one table of twenty boxes of each picture.

The bounds that the project keeps are 60 s and 500 MB for 200,000 images.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hemadata import ontology, sources

LINKS = 60_000
BOXES = [1000 * n + 7 * n * n for n in range(1, 21)]  # twenty; numbers of six digits to make coordinates of

PLAN = """
import json, re, resource, sys, time
from pathlib import Path
from hemadata import sources
from hemadata.build.plan import make_plan
from hemadata.build.units import collector_paused, memory_given_back

wall, cpu = time.perf_counter(), time.process_time()
with collector_paused(), memory_given_back():
    source = sources.get(sys.argv[1])
    plan = make_plan(source, source.open_raw([Path(sys.argv[2])]))
    objects = sum(len(ref.objects or ()) for ref in plan.refs)
seconds = {"seconds": round(time.perf_counter() - wall, 1), "cpu_seconds": round(time.process_time() - cpu, 1)}
status = Path("/proc/self/status")
if status.exists():  # ru_maxrss still remembers the process that started this one
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) * 1024 / 1e6
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps({"images": plan.images, "objects": objects, **seconds, "peak_mb": round(peak)}))
"""


def folders(root: Path, images: int) -> str:
    """HRLS: nine class folders, pictures numbered through them; a plan opens none, so one byte does for all."""
    classes = list(sources.get("hrls").facts.labels)
    for number, label in enumerate(classes):
        names = (f"{cell}.bmp" for cell in range(number, images, len(classes)))
        link(root / "large" / "hrls" / "Labelled" / label, names, b"x")
    return "hrls"


def link(folder: Path, names: Iterable[str], *contents: bytes) -> None:
    """Files of these contents in turn, under many names: a file system allows some ten thousands for one file."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[int, Path] = {}
    for number, name in enumerate(names):
        target, which = folder / name, number % len(contents)
        if number % LINKS < len(contents):
            target.write_bytes(contents[which])
            files[which] = target
        else:
            target.hardlink_to(files[which])


def voc(root: Path, images: int) -> str:
    """BCCD: a page and a picture per field."""
    sources.get("bccd").draw(root / "small", 4, 0)
    small, large = (root / part / "bccd" / "BCCD" for part in ("small", "large"))
    for part in ("JPEGImages", "Annotations"):
        files = sorted((small / part).iterdir())
        names = (f"BloodImage_{number:06d}{files[0].suffix}" for number in range(images))
        link(large / part, names, *(file.read_bytes() for file in files))
    return "bccd"


def voc_zip(root: Path, images: int) -> str:
    """BCCD, as one archive."""
    voc(root / "tree", images)
    (root / "large" / "bccd").mkdir(parents=True)
    top = root / "tree" / "large" / "bccd"
    with zipfile.ZipFile(root / "large" / "bccd" / "BCCD.zip", "w") as packed:
        for file in sorted(top.rglob("*.*")):
            packed.write(file, file.relative_to(top))
    return "bccd"


def yolo(root: Path, images: int) -> str:
    """TXL-PBC: a label file and a picture each."""
    top = root / "large" / "txl-pbc" / "TXL_PBC"
    link(top / "images" / "train", (f"{number:032x}.jpg" for number in range(images)), bytes(200))
    page = "".join(f"1 0.{n:06d} 0.{n + 7:06d} 0.{n // 3:06d} 0.{n // 4:06d}\n" for n in BOXES)
    link(top / "labels" / "train", (f"{number:032x}.txt" for number in range(images)), page.encode())
    return "txl-pbc"


def coco(root: Path, images: int) -> str:
    """Parasite: the export of Roboflow that its page asks for."""
    top = root / "large" / "parasite" / "train"
    names = [f"field_{number:06d}_jpg.rf.{number:032x}.jpg" for number in range(images)]
    link(top, names, b"x")
    word = next(iter(sources.get("parasite").facts.labels))
    boxes = ({"bbox": [n / 1000, n / 999, 40.5, 38]} for n in BOXES)
    write_page(top / "_annotations.coco.json", names, word, list(boxes))
    return "parasite"


def attributes(root: Path, images: int) -> str:
    """LeukemiaAttri: one subset."""
    top = root / "large" / "leukemiaattri" / "LeukemiaAttri_Dataset" / "H_100X_C2"
    names = [f"{number % 40}_{number}_1000_ALL.png" for number in range(images)]
    link(top / "Images" / "train", names, b"x")
    keys = [attribute.key for attribute in ontology.load().morphology("leukemiaattri").attributes.values()]
    cells = [{"bbox": [n / 1000, 1.0, 40.5, 38]} | {key: n >> at & 1 for at, key in enumerate(keys)} for n in BOXES[:6]]
    (top / "json_labels").mkdir()
    write_page(top / "json_labels" / "train.json", names, "lymphocyte", cells)
    return "leukemiaattri"


def write_page(page: Path, names: list[str], word: str, boxes: list[dict[str, Any]]) -> None:
    """A COCO page with the same boxes for every picture, in the order of the format: categories last."""
    with page.open("w") as file:
        for key in ("images", "annotations"):
            file.write('{"images": [' if key == "images" else '], "annotations": [')
            for number, name in enumerate(names):
                entries = [{"id": number, "file_name": name, "width": 640, "height": 480}]
                if key == "annotations":
                    shared = {"image_id": number, "category_id": 1, "area": 9, "iscrowd": 0, "segmentation": []}
                    entries = [{"id": number * len(boxes) + n} | shared | box for n, box in enumerate(boxes)]
                file.write(", " * (number > 0) + ", ".join(map(json.dumps, entries)))
        file.write(f'], "categories": [{{"id": 1, "name": "{word}"}}]}}')


def csv(root: Path, images: int) -> str:
    """BCCD as Roboflow exports it: one table of boxes."""
    top = root / "large" / "bccd" / "train"
    names = [f"BloodImage_{number:06d}_jpg.rf.{number:032x}.jpg" for number in range(images)]
    link(top, names, b"x")
    with (top / "_annotations.csv").open("w") as table:
        table.write("filename,width,height,class,xmin,ymin,xmax,ymax\n")
        for name in names:
            table.writelines(f"{name},640,480,RBC,{n % 600},{n % 400},{n % 600 + 40},{n % 400 + 38}\n" for n in BOXES)
    return "bccd"


FAMILIES = (folders, voc, voc_zip, yolo, coco, attributes, csv)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200_000)
    every = [make.__name__ for make in FAMILIES]
    parser.add_argument("--families", nargs="+", choices=every, default=every)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measured = {}
    for make in [make for make in FAMILIES if make.__name__ in options.families]:
        with tempfile.TemporaryDirectory() as folder:
            name = make(Path(folder), options.images)
            command = [sys.executable, "-c", PLAN, name, str(Path(folder) / "large")]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
            measured[make.__name__] = {"source": name, **json.loads(done.stdout)}
    if options.json:
        print(json.dumps(measured))
        return
    for family, found in measured.items():
        print(
            f"{family:10} {found['source']:13} {found['images']:,} images, {found['objects']:,} objects: "
            f"{found['seconds']} s ({found['cpu_seconds']} s of CPU), {found['peak_mb']} MB"
        )


if __name__ == "__main__":
    main()
