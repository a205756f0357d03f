"""Memory of a build whose pictures lie in a deflated .npz: `python benchmarks/spool.py [--sizes 28 224] [--json]`.

An .npz with as many pictures as BloodMNIST (17,092) is made for each size, of drawn cells with noise, so that it packs
to about half; then `hemadata build --source bloodmnist --jobs 1` runs as a process of its own, from the packed file to
the finished corpus. Printed are the peak of its resident memory, the packed and the unpacked size, and the time. The
224-pixel set must stay below 400 MB: it unpacks to 2.6 GB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hemadata.phantom import Smear
from hemadata.sources.bloodmnist import KINDS

PARTS = {"train": 11959, "val": 1712, "test": 3421}
LIMIT = 400 << 20  # bytes
PEAK = (
    "import resource, sys\nfrom hemadata.cli import main\n"
    "try:\n    main()\nfinally:\n    sys.stdout.flush()\n"
    "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)\n"
)


def make(path: Path, side: int, share: float) -> int:
    """Write the .npz of one size, picture by picture; returns its unpacked bytes."""
    smear, random = Smear(0, (side, side)), np.random.default_rng(0)
    cells = [np.asarray(smear.single_cell(number, KINDS[number % len(KINDS)]).image) for number in range(16)]
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part, published in PARTS.items():
            count = max(1, round(published * share))
            with archive.open(f"{part}_images.npy", "w", force_zip64=True) as member:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, side, side, 3)}
                np.lib.format.write_array_header_1_0(member, header)
                for number in range(count):
                    noise = random.integers(0, 8, (side, side, 3), dtype=np.uint8)
                    member.write((cells[number % len(cells)] & 0xF8 | noise).tobytes())
            with archive.open(f"{part}_labels.npy", "w") as member:
                np.lib.format.write_array(member, (np.arange(count) % 8).astype(np.uint8).reshape(-1, 1))
        return sum(info.file_size for info in archive.infolist())


def measure(side: int, share: float) -> dict[str, Any]:
    """Make the set of one size, build it, and say what that took."""
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw", Path(folder) / "corpus"
        archive = raw / "bloodmnist" / ("bloodmnist.npz" if side == 28 else f"bloodmnist_{side}.npz")
        unpacked = make(archive, side, share)
        words = ["build", "--source", "bloodmnist", "--raw", str(raw), "--out", str(out), "--jobs", "1", "--json"]
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", PEAK, *words], capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - began
        built = json.loads(done.stdout.splitlines()[-1])["sources"]["bloodmnist"]
        assert not (out / ".building").exists(), "the spool was not removed"
        return {
            "side": side,
            "images": built["images"],
            "packed_bytes": archive.stat().st_size,
            "unpacked_bytes": unpacked,
            "peak_bytes": int(done.stderr.splitlines()[-1]),
            "seconds": round(seconds, 1),
        }


def main() -> None:
    """Measure each size; exit 1 where the limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[28, 224], help="sides in pixels")
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures, to try the script")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = [measure(side, options.share) for side in options.sizes]
    if options.json:
        print(json.dumps(found))
    else:
        for entry in found:
            print(
                f"{entry['side']:>4} px  {entry['images']:,} images  {entry['packed_bytes'] / 1e6:,.0f} MB packed  "
                f"{entry['unpacked_bytes'] / 1e6:,.0f} MB unpacked  peak {entry['peak_bytes'] / 1e6:,.0f} MB  "
                f"{entry['seconds']:,.0f} s"
            )
    sys.exit(any(entry["peak_bytes"] > LIMIT for entry in found))


if __name__ == "__main__":
    main()
