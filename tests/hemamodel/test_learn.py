"""The learning benchmark runs: a few steps of each row, on the real data. Its figures are not asked for here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PARTS = {"unlike_any_of_training", "no_type_named", "all"}
LEARN = Path(__file__).parents[2] / "benchmarks" / "learn.py"


@pytest.mark.parametrize(
    "rows",
    [
        {
            "segmentation": (
                {"nucleus_dice", "cell_dice", "nucleus_dice_dataset_2"},
                {"nucleus_mean_mask", "cell_pixel_classifier", "nucleus_pixel_classifier_dataset_2"},
            )
        },
        {"detection": ({"ap50", "test_ap50", "test_interval", "curve"}, set())},
        {
            "attributes": ({"macro_f1", "beyond_type_majority"}, {"type_majority"}),
            "vqa": (PARTS, set()),
            "by_heart": ({"exact_match", "exchanged_images_give_the_others_answer"}, {"text_only_exact_matches"}),
        },
    ],
    ids="+".join,
)
def test_rows_print_their_scores_beside_their_baselines(
    rows: dict[str, tuple[set[str], set[str]]], raw_root: Path, tmp_path: Path
) -> None:
    call = [sys.executable, str(LEARN), "--raw", str(raw_root), "--work", str(tmp_path), "--json"]
    call += [word for row in rows for word in ("--only", row)]
    done = subprocess.run(
        [*call, "--scale", "0.01"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for row, (keys, baselines) in rows.items():
        found = json.loads(done.stdout)[row]
        assert keys <= found.keys() and baselines <= found.get("baselines", {}).keys()
        assert isinstance(found["meets"], bool)
    if "vqa" in rows:
        hard = json.loads(done.stdout)["vqa"]["unlike_any_of_training"]
        assert hard["questions"] > 100 and {"blind", "shuffled", "type_majority"} <= hard["baselines"].keys()
