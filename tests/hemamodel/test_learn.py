"""The learning benchmark runs: a few steps of each row, on the real data. Its figures are not asked for here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LEARN = Path(__file__).parents[2] / "benchmarks" / "learn.py"


@pytest.mark.parametrize(
    ("row", "keys", "baselines"),
    [
        ("segmentation", {"nucleus_dice", "cell_dice"}, {"nucleus_mean_mask", "cell_pixel_classifier"}),
        ("detection", {"ap50", "test_ap50"}, set()),
        ("vqa", {"exact_match", "exchanged_images_give_the_others_answer"}, {"text_only_exact_matches"}),
    ],
)
def test_row_prints_its_score_beside_its_baselines(
    row: str, keys: set[str], baselines: set[str], raw_root: Path, tmp_path: Path
) -> None:
    call = [sys.executable, str(LEARN), "--only", row, "--raw", str(raw_root), "--work", str(tmp_path), "--json"]
    done = subprocess.run(
        [*call, "--scale", "0.01"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)[row]
    assert keys <= found.keys() and baselines <= found.get("baselines", {}).keys() and isinstance(found["meets"], bool)
