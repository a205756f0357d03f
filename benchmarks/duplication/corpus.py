"""A real corpus of 84,000 fields and 616,000 crops: what it costs to read its index, to join clusters and to split.

Pictures are a few hundred bytes each, all of other bytes, built with `--check none`; only rows count here. Each step
runs in a fresh process. One row in twenty is in a planted pair, half of them across the published split.
"""

import json
import random
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from hemadata.build import Options, build
from PIL import Image

from duplication.common import Row

FIELDS, CROPS, PAIRED = 84_000, 616_000, 0.05
FOLDERS = {"basophil": "BA", "eosinophil": "EO", "erythroblast": "ERB", "lymphocyte": "LY", "monocyte": "MO"}
BOX = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>12</xmax><ymax>12</ymax></bndbox></object>"
PAGE = "<annotation><size><width>16</width><height>16</height><depth>3</depth></size>{}</annotation>"

START = """
import random, re, resource, sys, time
from pathlib import Path
corpus = Path(sys.argv[1])
import hemadata
from hemadata.audit import duplicates, leakage, splitting
from hemadata.audit.pictures import Joined, Pair, Pictures
from hemadata.audit.contract import check
start = time.process_time()
"""
END = """
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
print(round(time.process_time() - start, 1), peak)
"""
STEPS = {
    "index": "hemadata.open(corpus).index",
    "exact": "p = Pictures.of(hemadata.open(corpus)); j = Joined(p); [j.join(pair) for pair in duplicates.exact(p)]",
    "clusters": """
names, chance = hemadata.open(corpus).index["sample_id"].to_pylist(), random.Random(0)
ends = chance.sample(names, int(len(names) * {paired}) // 2 * 2)
pairs = [Pair(*sorted(two), "near", "none", 0.9, 0.9) for two in zip(ends[::2], ends[1::2])]
leakage.keep(corpus, duplicates.Found(pairs=pairs))
""".replace("{paired}", str(PAIRED)),
    "split": "print(splitting.split(corpus).moved)",
    "split again": "splitting.split(corpus)",
    "check none": "assert not check(corpus, 'none').findings",
}


def drawn(root: Path, fields: int, crops: int) -> None:
    """Raw trees of two sources."""
    out = BytesIO()
    Image.effect_noise((16, 16), 60).convert("RGB").save(out, "JPEG")
    start, rest = out.getvalue()[:2], out.getvalue()[2:]

    def write(path: Path, number: int) -> None:
        comment = f"{path.name} {number}".encode()
        path.write_bytes(start + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + rest)

    for number in range(crops):
        folder, prefix = list(FOLDERS.items())[number % len(FOLDERS)]
        path = root / "acevedo" / "PBC_dataset_normal_DIB" / folder / f"{prefix}_{number}.jpg"
        if number < len(FOLDERS):
            path.parent.mkdir(parents=True)
        write(path, number)
    tree, chance = root / "bccd" / "BCCD", random.Random(0)
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tree / name).mkdir(parents=True)
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number in range(fields):
        stem = f"BloodImage_{number:05}"
        write(tree / "JPEGImages" / f"{stem}.jpg", number)
        boxes = "".join(BOX.format(word, 2 + number % 5) for word in ("RBC", "WBC"))
        (tree / "Annotations" / f"{stem}.xml").write_text(PAGE.format(boxes))
        lists[chance.choice(["train", "train", "train", "val", "test"])].append(stem)
    for name, stems in lists.items():
        (tree / "ImageSets" / "Main" / f"{name}.txt").write_text("\n".join(stems))


def run(args: Namespace) -> Iterator[Row]:
    """CPU seconds and peak memory of each step."""
    with tempfile.TemporaryDirectory() as folder:
        raw, corpus = Path(folder) / "raw", Path(folder) / "corpus"
        drawn(raw, round(FIELDS * args.share), round(CROPS * args.share))
        results = build(["acevedo", "bccd"], raw, corpus, Options(check="none", jobs=2))
        assert not any(result.error for result in results), results
        yield {"images": sum(result.images for result in results), "shards": sum(result.shards for result in results)}
        for step, text in STEPS.items():
            done = subprocess.run(
                [sys.executable, "-c", START + text + END, str(corpus)], capture_output=True, text=True, check=True
            )
            cpu, peak = json.loads(f"[{done.stdout.splitlines()[-1].replace(' ', ',')}]")
            yield {"step": step, "cpu_s": cpu, "peak_mb": peak}
