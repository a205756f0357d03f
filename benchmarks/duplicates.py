"""How well and how fast copies are found: `python benchmarks/duplicates.py [--crops | --search | --scale | ...]`.

Without a part named, whole copies of real images; each part, in benchmarks/duplication, says what it does and prints
its table.

* --crops: crops inside their field, recall and precision.
* --search: what the search of crops costs, in a family of large fields.
* --scale: 84,000 fields and 616,000 crops as fingerprints, 5 % planted copies, 20 buckets of 5,000 look-alikes.
* --corpus: reading the index, clusters and `hemadata split` at 700,000 rows.
* --cost: CPU of a build with `--check full` that makes fingerprints, against the same build without.
"""

import argparse
import importlib
import json
from pathlib import Path

PARTS = {
    "crops": "cells cut from fields instead of whole copies",
    "search": "cost of looking for crops",
    "scale": "the large fixture instead of real images",
    "corpus": "index, clusters and split of a large corpus",
    "cost": "of fingerprints in the decode pass",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("../shared/raw"))
    for part, told in PARTS.items():
        parser.add_argument(f"--{part}", action="store_true", help=told)
    parser.add_argument("--share", type=float, default=1.0, help="of the large fixtures, or of the fields")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes of --search")
    parser.add_argument(
        "--key", type=int, default=23, help="signs per key, as a corpus of 700,000 images has; 0: as few"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = []
    part = next((name for name in PARTS if getattr(args, name)), "quality")
    for row in importlib.import_module(f"duplication.{part}").run(args):
        rows.append(row)
        if not args.json:
            closest = row.pop("closest_rejected", [])
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            for a, b, share in closest:
                print(f"    {a:28} {b:28} {share:6.3f} of the thresholds")
    if args.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
