"""Writes `uv.lock` in its neutral form: versions and hashes, no download address, so that it serves behind any index.

    python tools/neutral_lock.py            make uv.lock neutral
    python tools/neutral_lock.py --check    fail where the committed lock is not neutral, or where restoring it changes
                                            a version or a hash (uv itself does not compare them)

A registry source becomes `index`, the address of a file its name, and the members' metadata tables are dropped.
`uv sync` and `uv run` resolve again, keep every pinned version, and write the full lock beside you.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def neutral(lock: str) -> str:
    """The neutral form of a lock file's text."""
    lock = re.sub(r'registry = "[^"]*"', 'registry = "index"', lock)
    lock = re.sub(r'url = "[^"]*/([^"/]+)"', r'filename = "\1"', lock)
    # A member's metadata table holds what its pyproject.toml says; with the table, uv would trust it and not resolve.
    return re.sub(r"\n\[package\.metadata(?:\.[^\]]*)?\]\n(?:(?!\n?\[).*\n)*", "", lock)


def pins(lock: str) -> set[tuple[str, str, str]]:
    """(package, version, hash) of every file in a lock."""
    found = set()
    for package in tomllib.loads(lock)["package"]:
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        found |= {(package["name"], package.get("version", ""), file["hash"]) for file in files}
    return found


def check() -> list[str]:
    """What is wrong with the committed lock; empty when nothing is."""
    committed = subprocess.run(
        ["git", "show", "HEAD:uv.lock"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    if "://" in committed:
        return ["The committed uv.lock holds download addresses: run python tools/neutral_lock.py and commit it."]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for page in [ROOT / "pyproject.toml", *ROOT.glob("packages/*/pyproject.toml")]:
            target = copy / page.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(page.read_bytes())
        (copy / "uv.lock").write_text(committed)
        done = subprocess.run(["uv", "lock"], cwd=copy, capture_output=True, text=True, check=False)
        if done.returncode:
            return [f"The committed uv.lock cannot be restored: {done.stderr.strip()}"]
        gone, new = pins(committed) - pins(restored := (copy / "uv.lock").read_text()), pins(restored) - pins(committed)
    return (
        [f"Restoring the committed uv.lock changes {sorted({name for name, *_ in gone | new})}."] if gone or new else []
    )


def main() -> int:
    """Command line."""
    if "--check" in sys.argv[1:]:
        problems = check()
        print("\n".join(problems) or "uv.lock is neutral, and restoring it keeps every version and hash.")
        return bool(problems)
    path = ROOT / "uv.lock"
    path.write_text(neutral(path.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
