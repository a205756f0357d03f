"""What the plan of a large source costs: `python benchmarks/plan.py [--images 200000] [--json]`.

A tree of names only (pictures and pages are a few files with many names) is planned by a fresh process, as `build
--dry-run` does it before it opens any picture. Printed are its seconds, on the wall and of the processor, and its peak
memory, for

* classification: hrls, a folder per class.
* detection: bccd, one VOC page of about twenty boxes per picture.

The bounds that the project keeps are 60 s and 500 MB for 200,000 images.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hemadata import sources

LINKS = 100_000

PLAN = """
import json, resource, sys, time
from pathlib import Path
from hemadata import sources
from hemadata.build.plan import make_plan
from hemadata.build.units import collector_paused

wall, cpu = time.perf_counter(), time.process_time()
with collector_paused():
    source = sources.get(sys.argv[1])
    plan = make_plan(source, source.open_raw([Path(sys.argv[2])]))
    objects = sum(len(ref.objects or ()) for ref in plan.refs)
seconds = {"seconds": round(time.perf_counter() - wall, 1), "cpu_seconds": round(time.process_time() - cpu, 1)}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
print(json.dumps({"images": plan.images, "objects": objects, **seconds, "peak_mb": round(peak)}))
"""


def classification(root: Path, images: int) -> str:
    """HRLS: nine class folders, pictures numbered through them; a plan opens none, so one byte does for all."""
    classes = list(sources.get("hrls").facts.labels)
    for number, label in enumerate(classes):
        target = root / "large" / "hrls" / "Labelled" / label
        target.mkdir(parents=True)
        first = target / f"{number}.bmp"
        first.write_bytes(b"x")
        for cell in range(number + len(classes), images, len(classes)):
            (target / f"{cell}.bmp").hardlink_to(first)
    return "hrls"


def detection(root: Path, images: int) -> str:
    """BCCD: a page and a picture per field."""
    sources.get("bccd").draw(root / "small", 4, 0)
    small, large = (root / part / "bccd" / "BCCD" for part in ("small", "large"))
    pictures, pages = (sorted((small / part).iterdir()) for part in ("JPEGImages", "Annotations"))
    for part, files in (("JPEGImages", pictures), ("Annotations", pages)):
        (large / part).mkdir(parents=True)
        for number in range(images):
            file = files[number % len(files)]
            target = large / part / f"BloodImage_{number:06d}{file.suffix}"
            if number % LINKS < len(files):  # a file system allows so many names of one file
                shutil.copy(file, target)
                files[number % len(files)] = target
            else:
                target.hardlink_to(file)
    return "bccd"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measured = {}
    for make in (classification, detection):
        with tempfile.TemporaryDirectory() as folder:
            name = make(Path(folder), options.images)
            command = [sys.executable, "-c", PLAN, name, str(Path(folder) / "large")]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
            measured[make.__name__] = {"source": name, **json.loads(done.stdout)}
    if options.json:
        print(json.dumps(measured))
        return
    for task, found in measured.items():
        print(
            f"{task:15} {found['source']:6} {found['images']:,} images, {found['objects']:,} objects: "
            f"{found['seconds']} s ({found['cpu_seconds']} s of CPU), {found['peak_mb']} MB"
        )


if __name__ == "__main__":
    main()
