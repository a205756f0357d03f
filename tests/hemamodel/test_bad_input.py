"""What a person, a disk or a crash may do to training and prediction: a sentence, and nothing lost."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hemadata.phantom import draw_boxes
from hemamodel.cli import app
from hemamodel.config import load_preset
from hemamodel.data import Batch
from hemamodel.device import device_of
from hemamodel.errors import ConfigError, UsageError, WeightsError
from hemamodel.model.tokenizer import word_tokenizer
from hemamodel.model.unihema import build_model
from hemamodel.train import checkpoint, step_loss
from hemamodel.train.checkpoint import load_checkpoint, save_checkpoint
from hemamodel.train.loop import Machine, check_parts
from hemamodel.train.runs import Run, all_runs, find_parent, find_unfinished, new_run
from hemamodel.train.settings import choose
from hemamodel.train.start import Call, parent_of
from hemamodel.train.words import keep_text
from PIL import Image
from safetensors import SafetensorError
from small import SMALL
from torch import nn
from typer.testing import CliRunner


@pytest.fixture
def shelf(detector: Run, tmp_path: Path) -> Path:
    """A folder with one good run and one of every damage."""
    shutil.copytree(detector.path, tmp_path / "stage4-tiny-001")

    def damaged(name: str, **files: str | None) -> None:
        shutil.copytree(detector.path, tmp_path / name)
        for file, text in files.items():
            path = tmp_path / name / file.replace("_", ".")
            path.unlink() if text is None else path.write_text(text)

    damaged("cut-record", run_json='{"name": "cut')
    damaged("deep-record", run_json="[" * 100_000)
    damaged("empty-record", run_json="{}")
    damaged("no-record", run_json=None)
    damaged("no-settings", settings_json=None)
    damaged("no-weights", model_safetensors=None)
    damaged("odd-settings", settings_json='{"model": 3}')
    damaged("odd-status", run_json=(detector.path / "run.json").read_text().replace("complete", "done"))
    weights = detector.weights.read_bytes()
    shutil.copytree(detector.path, tmp_path / "half-weights")
    (tmp_path / "half-weights" / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    (tmp_path / "somebody's notes").mkdir()
    return tmp_path


def test_a_damaged_run_is_named_and_stops_no_other(shelf: Path, detector: Run) -> None:
    said: list[str] = []
    found = all_runs(shelf, said.append)
    assert [run.name for run in found] == ["stage4-tiny-001"]
    assert [line.split("/")[-1].split(",")[0] for line in sorted(line.partition(",")[0] for line in said)] == sorted(
        path.name for path in shelf.iterdir() if path.name not in ("stage4-tiny-001", "somebody's notes")
    )
    assert all(line.startswith(f"Skips {shelf}/") and "Mend it or remove the folder." in line for line in said)
    assert all("\n" not in line for line in said)
    settings = detector.settings
    assert find_unfinished(found, settings) is None
    assert find_parent(found, (4,), "tiny", "paper", settings.corpus_id).parent == found[0]
    assert new_run(shelf, settings).name == "stage4-tiny-002"


@pytest.mark.parametrize(
    ("asked", "found"), [({"variant": "released"}, "variant is paper"), ({"preset": "base"}, "preset is tiny")]
)
def test_a_run_of_another_variant_or_size_is_no_start(detector: Run, asked: dict[str, Any], found: str) -> None:
    nothing: Any = None
    with pytest.raises(UsageError, match=rf"--init-from .*its {found}, --\w+ \w+ is asked for"):
        parent_of(Call(4, init_from=detector.path, **asked), nothing, [], print)
    assert parent_of(Call(4, init_from=detector.path), nothing, [], print) == detector


def test_half_a_checkpoint_is_said_with_what_to_do(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    save_checkpoint(tmp_path, 4, model, optimiser)
    for name in ("model.safetensors", "optimiser.safetensors"):
        path = tmp_path / "checkpoint-000004" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-5])
        with pytest.raises(WeightsError, match=rf"{name} cannot be read: .* --fresh starts a run beside it"):
            load_checkpoint(tmp_path, model, optimiser)
        path.unlink()
        with pytest.raises(WeightsError, match=rf"{name} cannot be read"):
            load_checkpoint(tmp_path, model, optimiser)
        path.write_bytes(whole)
    assert load_checkpoint(tmp_path, model, optimiser) == 4


@pytest.mark.parametrize("room", [0, 1])
def test_a_disk_that_fills_up_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Full at the weights, or behind them at the optimiser; what was begun is cleared away."""
    model = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    save_checkpoint(tmp_path, 4, model, optimiser)
    left, real = room, checkpoint.save_file

    def save(tensors: Any, path: Path) -> None:
        nonlocal left
        if left == 0:
            path.write_bytes(b"half")
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        left -= 1
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", save)
    with pytest.raises(WeightsError, match="No space left on device"):
        save_checkpoint(tmp_path, 8, model, optimiser)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000004"]
    assert load_checkpoint(tmp_path, model, optimiser) == 4


def test_a_disk_that_is_full_from_the_start(detector: Run, tmp_path: Path) -> None:
    class Full:
        def save_pretrained(self, folder: Path) -> None:
            folder.mkdir(parents=True)
            raise Exception("No space left on device (os error 28)")  # as tokenizers does

    unused: Any = Full()
    with pytest.raises(WeightsError, match=r"text cannot be written: No space left on device"):
        keep_text(Run(tmp_path / "run", detector.settings), unused, unused)
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("boxes", [0, 1500])
def test_no_boxes_and_1500(boxes: int) -> None:
    """Many more than queries: as many as there are queries are matched."""
    tokenizer = word_tokenizer(["find cells"], 20)
    torch.manual_seed(0)
    model = build_model(load_preset("tiny", [*SMALL, "decoder_layers=1"]), len(tokenizer))
    classes = model.config.classes.detection
    batch = Batch(
        task="detection",
        sample_ids=["a"],
        sources=["bccd"],
        prompts=["find cells"],
        original_sizes=torch.tensor([[64, 64]]),
    )
    batch = replace(
        batch,
        images=torch.randn(1, 3, 64, 64),
        padding=torch.zeros(1, 64, 64, dtype=torch.bool),
        sizes=torch.tensor([[64, 64]]),
        boxes=[torch.rand(boxes, 4) * 0.4 + 0.1],
        box_labels=[torch.randint(0, classes, (boxes,))],
        box_attributes=[torch.zeros(boxes, 6, dtype=torch.long)],
        classes_annotated=torch.ones(1, classes),
    )
    terms = step_loss(model, tokenizer, batch)
    total = torch.stack(list(terms.values())).sum()
    total.backward()
    assert torch.isfinite(total) and all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_device_that_is_not_there_and_a_batch_that_cannot_be_cut() -> None:
    for name in ("gpu", "cuda:99", "meta", ""):
        if name:
            with pytest.raises(UsageError, match=rf"--device {name}: there is none here; there is cpu"):
                device_of(name)
    assert device_of("cpu").type == "cpu"
    _, stage = choose(6, "tiny", "paper", ["batch_size=4"])
    with pytest.raises(ConfigError, match="vqa: 3 samples a step do not divide among 1 process in 2 parts"):
        check_parts(stage, ["vqa"], Machine(parts=2))
    check_parts(stage, ["vqa"], Machine(parts=3))  # mlm, one a step, is not read


def test_a_table_that_is_misspelt_names_the_place() -> None:
    with pytest.raises(ConfigError, match=r"classification\.raabin:1: Input should be a valid number"):
        choose(1, "tiny", "paper", ["data.train={classification:{raabin:1}}"])


def test_a_box_thinner_than_a_pixel_is_drawn() -> None:
    drawn = draw_boxes(Image.new("RGB", (1, 1), "white"), [((0.0, 0.0, 0.06, 0.1), "cell 0.16", "#1f5fbf")])
    assert drawn.size == (1, 1)


def test_the_record_of_a_run_says_what_is_missing(shelf: Path) -> None:
    said: list[str] = []
    all_runs(shelf, said.append)
    line = next(line for line in said if "empty-record" in line)
    assert "run.json has no 'status'" in line
    assert json.loads((shelf / "stage4-tiny-001" / "run.json").read_text())["status"] == "complete"


def test_a_file_that_is_no_picture_is_named_and_the_others_are_answered(detector: Run, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    (tmp_path / "junk.png").write_text("no picture")
    call = ["predict", "--run", str(detector.path), "--task", "classification", "--device", "cpu"]
    some = CliRunner().invoke(app, [*call, str(tmp_path)])
    assert some.exit_code == 1 and "junk.png cannot be read as a picture" in some.stderr
    assert [Path(json.loads(line)["image"]).name for line in some.stdout.splitlines()] == ["one.png"]
    assert CliRunner().invoke(app, [*call, str(tmp_path / "junk.png")]).exit_code == 3
