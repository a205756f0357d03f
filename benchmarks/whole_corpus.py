"""What reading a whole corpus costs: `python benchmarks/whole_corpus.py CORPUS [--only check ...] [--json]`.

Each command runs in a fresh process. Printed are its CPU seconds (user and system), rows a second of CPU, and peak
resident memory (Linux), and the size and pictures of the page of `report`. A corpus of any size is left by
`benchmarks/build.py --only scale --keep DIR`.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COMMAND = """
import re, sys, time
from pathlib import Path
from hemadata.cli import main
try:
    main()
except SystemExit as ended:
    code = ended.code
status = Path("/proc/self/status").read_text()
print(code or 0, time.process_time(), int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) >> 10, file=sys.stderr)
"""


def run(words: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a command of hemadata costs, and the JSON object that it prints."""
    done = subprocess.run([sys.executable, "-c", COMMAND, *words], capture_output=True, text=True, check=True)
    code, cpu, peak = done.stderr.splitlines()[-1].split()
    told = json.loads(done.stdout.splitlines()[-1])
    return {"command": re.sub(r"/\S*/", "", " ".join(words)), "exit": int(code), "cpu_s": round(float(cpu), 1)} | {
        "peak_mb": int(peak)
    }, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--only", nargs="+", choices=["stats", "report", "check", "export"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    wanted, results = args.only or ["stats", "report", "check", "export"], list[dict[str, Any]]()
    corpus = str(args.corpus.resolve())
    rows = sum(json.loads(path.read_text())["images"] for path in (args.corpus / "manifest").glob("*.json"))
    with tempfile.TemporaryDirectory(dir=args.corpus.resolve().parent) as folder:
        cases = {
            "stats": [["stats", corpus, "--json"]],
            "report": [["report", corpus, "--json"]],
            "check": [["check", corpus, "--check", depth, "--json"] for depth in ("none", "header")],
            "export": [["export", corpus, "--to", "coco", "--out", f"{folder}/coco", "--json"]],
        }
        for name in wanted:
            for words in cases[name]:
                cost, told = run(words)
                cost |= {"rows": rows, "rows_per_cpu_s": round(rows / cost["cpu_s"])}
                cost |= {key: told[key] for key in ("bytes", "thumbnails") if key in told}
                results.append(cost)
                if not args.json:
                    print("  ".join(f"{key} {value}" for key, value in cost.items()), flush=True)
    if args.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
