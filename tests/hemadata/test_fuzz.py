"""`benchmarks/fuzz.py` with fixed seeds and counted examples: its own errors or quarantine, nothing written outside."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# A minute in all, on one core: pages are quick, whole builds and commands over a corpus are not.
EXAMPLES = {"build": 60, "corpus": 20, "archives": 80, "roboflow": 60, "npz": 60, "drawn-boxes": 20, "pictures": 120}
PAGES = 100
SEED = 5

sys.path.insert(0, str(BENCHMARKS))
try:
    import fuzz
    from fuzzing.guard import Box, hook
    from fuzzing.seeds import Seeds
    from fuzzing.targets import TARGETS
finally:
    sys.path.pop(0)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Any:
    hook()
    folder = tmp_path_factory.mktemp("seeds")
    return Seeds(folder), Box(folder / "box")


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "pixel-bombs"])
def test_hostile_input_is_read_refused_or_put_in_quarantine(target: str, seeds: Any) -> None:
    """A failure names its number: `benchmarks/fuzz.py --only TARGET --seed 5 --input NUMBER` makes it again."""

    @settings(max_examples=EXAMPLES.get(target, PAGES))
    @given(number=st.integers(0, 10**6))
    def run(number: int) -> None:
        assert fuzz.once(target, SEED, number, *seeds) in ("read", "refused", "quarantined")

    run()


def test_pixel_bombs_stay_within_the_memory(tmp_path: Path) -> None:
    """In a process of its own with a bound on address space: whatever a header promises."""
    words = [sys.executable, str(BENCHMARKS / "fuzz.py"), "--only", "pixel-bombs", "--inputs", "40", "--seed", "5"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\| pixel-bombs \| 40 \|", done.stdout)


def test_what_must_not_happen_is_seen(tmp_path: Path) -> None:
    """The guard itself can fail."""
    from fuzzing.guard import Breach, bounded_time

    hook()
    box = Box(tmp_path / "box")
    box.clean()
    with pytest.raises(Breach, match="changed"), box.watched():
        (box.outside / "new").write_text("x")
    with pytest.raises(Breach, match="written outside"), box.watched():
        (tmp_path / "out-of-the-box").write_text("x")
    with box.watched():
        (box.tmp / "new").write_text("x")
    with pytest.raises(Breach, match="more than"), bounded_time(0.05):
        while True:
            pass
