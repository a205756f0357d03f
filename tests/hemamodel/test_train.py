"""Runs: from a corpus to weights on disk, resumed exactly, found again by the next stage."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hemamodel.data import Batch
from hemamodel.errors import ConfigError, DivergedError, InputMissingError, UsageError, WeightsError
from hemamodel.stages import load
from hemamodel.train import checkpoint, loop
from hemamodel.train.checkpoint import load_weights, save_weights
from hemamodel.train.runs import Run, all_runs, find_parent, read_run
from hemamodel.train.schedule import factor
from hemamodel.train.settings import choose
from hemamodel.train.start import Call, load_run, train
from safetensors import SafetensorError
from small import SMALL
from torch import nn

CELLS = (
    "data.train={classification: {raabin: 1}}",
    "tasks.classification.image.sizes=[64]",
    "tasks.classification.image.evaluation_size=64",
    "batch_size=4",
    "epochs=2",
)
TEXTS = (
    "data.train={vqa: {wbcatt-vqa: 1}, mlm: {}}",
    "tasks.vqa.image.sizes=[64]",
    "tasks.vqa.image.evaluation_size=64",
    "batch_size=4",
    "epochs=1",
)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_run(run.path)[1].state_dict()


def equal(one: Run, other: Run) -> bool:
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def cells(corpus: Path, out: Path, *more: str, **call: object) -> Run:
    """Stage 1, a few small steps."""
    said: list[str] = call.pop("said", [])  # type: ignore[assignment]
    assignments = (*SMALL, *CELLS, *more)
    return train(
        Call(stage=1, corpus=corpus, out=out, preset="tiny", assignments=assignments, device="cpu", **call), said.append
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(phantom_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A complete run of stage 1, alone in its folder; not to be changed."""
    return cells(phantom_corpus, tmp_path_factory.mktemp("finished"), overfit=10)


def test_a_run_says_what_it_is(finished: Run) -> None:
    about = json.loads((finished.path / "run.json").read_text())
    assert finished.name == "stage1-tiny-001"
    assert about["status"] == "complete" and about["step"] == about["steps"] == 2 * 3, "10 images, 4 a step, 2 epochs"
    assert about["parent"] is None and about["stage"] == 1 and about["corpus_id"] == finished.settings.corpus_id
    assert read_run(finished.path) == finished
    assert not list(finished.path.glob("checkpoint-*")), "a complete run keeps its weights, not its optimiser"
    lines = [json.loads(line) for line in (finished.path / "log.jsonl").read_text().splitlines()]
    assert lines and {"step", "loss", "lr", "classification/classification"} <= lines[0].keys()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(
    finished: Run, phantom_corpus: Path, tmp_path: Path, workers: int
) -> None:
    """Dropout, augmentation, order and optimiser go on as if nothing had happened, in mid-epoch too."""
    stopped = cells(phantom_corpus, tmp_path, overfit=10, stop_after=2)
    assert not stopped.complete and stopped.step == 2
    said: list[str] = []
    resumed = cells(phantom_corpus, tmp_path, overfit=10, workers=workers, said=said)
    assert resumed.path == stopped.path and resumed.complete
    assert said[0] == f"Goes on with {stopped.path}, which stopped after step 2 of 6."
    assert equal(resumed, finished)


def test_two_tasks_and_dropout_resume_exactly(phantom_corpus: Path, tmp_path: Path) -> None:
    def both(name: str, **call: object) -> Run:
        assignments = (
            *SMALL,
            "data.train={detection: {bccd: 1}, segmentation: {wbc-image-dataset: 1}, classification: {raabin: 1}}",
            "data.held_out=[]",
            "epochs=1",
            *(f"tasks.{task}.image.sizes=[64]" for task in ("detection", "segmentation", "classification")),
        )
        return train(
            Call(3, phantom_corpus, tmp_path / name, "tiny", assignments=assignments, overfit=6, device="cpu", **call)  # type: ignore[arg-type]
        )

    straight = both("straight")
    both("stopped", stop_after=1)
    assert equal(both("stopped"), straight) and straight.steps == 3


def test_seed_and_settings_decide_the_weights(finished: Run, phantom_corpus: Path, tmp_path: Path) -> None:
    assert not equal(cells(phantom_corpus, tmp_path, overfit=10, seed=1), finished)
    unlike = cells(phantom_corpus, tmp_path, "lr=2e-4", overfit=10)
    assert unlike.name == "stage1-tiny-002" and not equal(unlike, finished)


def test_stop_before_the_first_checkpoint_is_finished_leaves_the_one_before(
    finished: Run, phantom_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = cells(phantom_corpus, tmp_path, overfit=10, stop_after=2)
    half = stopped.path / ".checkpoint-000003.tmp"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    (stopped.path / "log.jsonl").open("a").write('{"step": 3, "lo')
    assert equal(cells(phantom_corpus, tmp_path, overfit=10), finished)
    assert not half.exists()


def test_the_next_stage_starts_from_the_nearest_complete_run(
    finished: Run, phantom_corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished.path, tmp_path / finished.name)
    cells(phantom_corpus, tmp_path, "lr=2e-4", overfit=10, stop_after=1)
    said: list[str] = []
    call = Call(6, phantom_corpus, tmp_path, "tiny", assignments=TEXTS, overfit=4, device="cpu")
    later = train(call, said.append)
    assert said[0] == f"Skips {tmp_path / 'stage1-tiny-002'}: it stopped after step 1 of 6."
    assert said[1] == f"Starts from {tmp_path / finished.name} (stage 1, complete)."
    assert later.settings.parent == finished.name == json.loads((later.path / "run.json").read_text())["parent"]
    assert later.settings.model == finished.settings.model, "sizes come from the run before"
    before, after = weights(finished), weights(later)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(name.startswith(("text.", "cmf.")) for name in moved)
    assert any("mlm: is left out" in line for line in said), "what the corpus lacks is said"


def test_parents_have_the_same_corpus_preset_and_variant(finished: Run) -> None:
    settings = finished.settings
    known = ((2, 1), "tiny", "paper", settings.corpus_id)
    found = find_parent(all_runs(finished.path.parent), *known)
    assert found.parent == finished and found.skipped == ()
    for place, value in ((1, "base"), (2, "released"), (3, "another")):
        other = (*known[:place], value, *known[place + 1 :])
        assert find_parent(all_runs(finished.path.parent), *other).parent is None  # type: ignore[arg-type]
    assert find_parent(all_runs(finished.path.parent), (2,), *known[1:]).parent is None


def test_from_scratch_is_said_in_one_line(phantom_corpus: Path, tmp_path: Path) -> None:
    said: list[str] = []
    cells(phantom_corpus, tmp_path, overfit=4, stop_after=1, said=said)
    assert said.count("Starts from scratch: no earlier run, and no pretrained weights for backbone and text.") == 1


def test_another_corpus_is_refused(phantom_corpus: Path, tmp_path: Path) -> None:
    stopped = cells(phantom_corpus, tmp_path, overfit=10, stop_after=1)
    settings = json.loads((stopped.path / "settings.json").read_text())
    (stopped.path / "settings.json").write_text(json.dumps(settings | {"corpus_id": "another"}))
    with pytest.raises(UsageError, match=r"stopped at step 1 of 6 on corpus another.*--accept-data-change"):
        cells(phantom_corpus, tmp_path, overfit=10)
    assert cells(phantom_corpus, tmp_path, overfit=10, accept_data_change=True).path == stopped.path
    assert len(all_runs(tmp_path)) == 1


def test_a_run_is_trained_by_one_process(phantom_corpus: Path, tmp_path: Path) -> None:
    from fcntl import LOCK_EX, flock

    stopped = cells(phantom_corpus, tmp_path, overfit=10, stop_after=1)
    with (stopped.path / ".lock").open("w") as file:
        flock(file, LOCK_EX)
        with pytest.raises(UsageError, match="another process"):
            cells(phantom_corpus, tmp_path, overfit=10)


def test_a_loss_that_is_not_finite_names_its_term_and_images(
    phantom_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: nn.Module, tokenizer: object, batch: Batch, seed: int, **_: object) -> dict[str, torch.Tensor]:
        return {"classification": next(p for p in model.parameters() if p.requires_grad).sum() * torch.nan}

    cells(phantom_corpus, tmp_path, overfit=10, stop_after=2)
    monkeypatch.setattr(loop, "step_loss", broken)
    with pytest.raises(DivergedError, match=r"Step 3: the loss classification/classification is nan.*raabin/"):
        cells(phantom_corpus, tmp_path, overfit=10)
    assert read_run(tmp_path / "stage1-tiny-001").step == 2, "the checkpoint before is kept"


def test_unknown_settings_and_heads_that_do_not_fit(phantom_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'epoch' is unknown.*'epochs'"):
        choose(1, "tiny", "paper", ["epoch=3"])
    with pytest.raises(ConfigError, match=r"cmf\.image"):
        choose(1, "tiny", "paper", ["cmf.imge=encoder"])
    model, stage = choose(1, "tiny", "paper", ["classes.classification=8", "lr=1e-3"])
    assert model.classes.classification == stage.classes["classification"] == 8 and stage.lr == 1e-3
    with pytest.raises(ConfigError, match="the view uni_hema_45 has 45 classes, the head 8"):
        cells(phantom_corpus, tmp_path, "classes.classification=8")
    assert not tmp_path.joinpath("stage1-tiny-001").exists(), "nothing is written for a call that cannot run"


def test_what_is_not_there_is_named(phantom_corpus: Path, tmp_path: Path, finished: Run) -> None:
    with pytest.raises(InputMissingError, match="hemamodel train --stage 1"):
        read_run(tmp_path)
    with pytest.raises(InputMissingError, match="hemadata build"):
        cells(tmp_path / "nowhere", tmp_path)
    stopped = cells(phantom_corpus, tmp_path, overfit=10, stop_after=1)
    with pytest.raises(UsageError, match="stopped after step 1 of 6"):
        load_run(stopped.path)
    with pytest.raises(UsageError, match="not complete"):
        cells(phantom_corpus, tmp_path / "new", init_from=stopped.path)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_weights(nn.Linear(3, 2), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"weight: \[2, 3\] instead of \[2, 4\]"):
        load_weights(nn.Linear(4, 2), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="bias: not in the model"):
        load_weights(nn.Linear(3, 2, bias=False), tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_weights(nn.Linear(3, 2), tmp_path / "a.safetensors")


def test_a_full_disk_is_a_sentence_and_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_weights(nn.Linear(3, 2), tmp_path / "a.safetensors")
    before = (tmp_path / "a.safetensors").read_bytes()

    def full(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(WeightsError, match=r"a\.safetensors cannot be written: .*No space left.*is kept"):
        save_weights(nn.Linear(3, 2), tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_rates_follow_the_schedule() -> None:
    stage = load(1)
    assert [factor(stage, step, 10, 240) for step in (0, 219, 220, 239)] == [1, 1, 0.1, 0.1], "drop after 22 epochs"
    cosine = stage.model_copy(update={"schedule": "cosine", "warmup": 4})
    rates = [factor(cosine, step, 10, 240) for step in range(240)]
    assert rates[0] == pytest.approx(0.2) and max(rates) == rates[4] and rates[-1] < 1e-3
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_weights_can_be_read_by_others(finished: Run) -> None:
    """safetensors writes files that only their owner may read; a run is shared like any other file."""
    assert finished.weights.stat().st_mode & 0o777 == (finished.path / "run.json").stat().st_mode & 0o777
