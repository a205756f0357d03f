"""The command line, as a person and as a program read it."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from hemamodel.cli import app
from hemamodel.errors import UsageError
from hemamodel.stages import GROUPS
from typer.testing import CliRunner


def test_info_counts_the_groups() -> None:
    result = CliRunner().invoke(app, ["info", "--preset", "tiny", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert set(found) == {"variant", "preset", "trainable_parameters", "groups"}
    assert set(found["groups"]) == set(GROUPS)
    assert found["trainable_parameters"] == sum(found["groups"].values()), "from scratch, everything can learn"


def test_info_of_the_released_form_has_the_authors_counts() -> None:
    """Reference figures: the authors' own listing of the released checkpoint."""
    whole = json.loads(CliRunner().invoke(app, ["info", "--variant", "released", "--json"]).output)
    assert whole["trainable_parameters"] == 300_152_702
    found = whole["groups"]
    assert found["cmf"] == 2_583_296
    assert found["tgvr"] == 657_152
    assert found["upsampler"] == 2_141_953
    assert found["text_encoder"] + found["text_decoder"] == 247_577_856


def test_unknown_setting_names_the_nearest() -> None:
    result = CliRunner().invoke(app, ["info", "--set", "cmf.imge=encoder"])
    assert "cmf.image" in str(result.exception)


def test_train_evaluate_as_a_user_calls_them(
    phantom_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stage 5 finds stage 1 by itself; every command answers in JSON and for a person."""
    small = ["queries=10", "dim=32", "hidden=32", "text.dim=32", "text.layers=1", "backbone.width=8"]
    image = ["image.sizes=[64]", "image.evaluation_size=64"]

    def train(stage: int, task: str, source: str, *more: str, sizes: list[str] = small) -> Result:
        settings = [*sizes, f"data.train={{{task}: {{{source}: 1}}}}", "epochs=1", "batch_size=4"]
        settings += [f"tasks.{task}.{each}" for each in image]
        call = ["train", "--stage", str(stage), "--preset", "tiny", "--corpus", str(phantom_corpus), "--overfit", "8"]
        call += ["--out", str(tmp_path), "--device", "cpu", "--workers", "0", *more]
        return CliRunner().invoke(app, call + [part for each in settings for part in ("--set", each)])

    first = train(1, "classification", "raabin", "--json")
    assert first.exit_code == 0, first.output
    about = json.loads(first.stdout)
    assert (
        about["run"] == str(tmp_path / "stage1-tiny-001") and about["status"] == "complete" and about["parent"] is None
    )
    rehearse = ("--dry-run", "--device", "meta")
    monkeypatch.setenv("RANK", "1")
    assert train(1, "classification", "raabin", *rehearse).stdout, "alone, whatever a cluster has set"
    monkeypatch.setenv("WORLD_SIZE", "2")  # of torchrun's processes the first speaks
    other = train(1, "classification", "raabin", *rehearse)
    assert other.exit_code == 0 and not other.stdout
    monkeypatch.delenv("WORLD_SIZE")
    second = train(5, "segmentation", "wbc-image-dataset", sizes=[])
    assert second.exit_code == 0, second.output
    assert f"Starts from {about['run']} (stage 1, complete)." in second.output
    assert "Learns: qgmf" in second.output and "Frozen: backbone" in second.output
    call = ["evaluate", str(tmp_path / "stage5-tiny-001"), "--corpus", str(phantom_corpus), "--split", "train"]
    told, found = CliRunner().invoke(app, call), CliRunner().invoke(app, [*call, "--json"])
    scores = json.loads(found.stdout)["scores"]["segmentation"]
    assert 0 <= scores["iou"] <= scores["dice"] <= 1 and f"dice {scores['dice']:.3f}" in told.output
    unknown = CliRunner().invoke(app, [*call, "--task", "counting"])
    assert isinstance(unknown.exception, UsageError) and "There is no task 'counting'" in str(unknown.exception)
