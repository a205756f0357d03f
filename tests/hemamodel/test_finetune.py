"""A run trained on with one source and its own classes."""

import json
from pathlib import Path

import hemadata
import pytest
import torch
from hemadata.errors import UsageError
from hemadata.ontology import load as ontology
from hemamodel.cli import app
from hemamodel.config import load_preset
from hemamodel.model.unihema import build_model
from hemamodel.train.runs import Run, all_runs, find_parent
from hemamodel.train.start import Call, load_run, train
from hemamodel.train.swap import matching, swapped
from small import SMALL
from typer.testing import CliRunner

CELLS = (
    "tasks.classification.image.sizes=[64]",
    "tasks.classification.image.evaluation_size=64",
    "batch_size=4",
    "epochs=1",
)


@pytest.fixture(scope="module")
def parent(phantom_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A complete run with the 45 classes of the paper's head."""
    out = tmp_path_factory.mktemp("parent")
    changes = (*SMALL, *CELLS, "data.train={classification: {raabin: 1}}")
    return train(Call(1, phantom_corpus, out, "tiny", assignments=changes, overfit=4, device="cpu"))


def test_own_classes_keep_the_rows_that_have_their_name(phantom_corpus: Path, parent: Run, tmp_path: Path) -> None:
    given = ["--source", "raabin", "--init-from", str(parent.path), "--corpus", str(phantom_corpus), "--device", "cpu"]
    changes = [part for change in (*CELLS, "lr=1e-9", "lr_backbone=1e-9") for part in ("--set", change)]
    done = CliRunner().invoke(app, ["finetune", *given, "--out", str(tmp_path), "--workers", "0", *changes])
    assert done.exit_code == 0, done.output
    with hemadata.open(phantom_corpus) as corpus:
        labels = sorted({row["label"] for row in corpus.rows("classification", "train", ["label"], "raabin")})
    assert f"Head of classification: 45 classes become {len(labels)}. Kept by name: " in done.stdout
    run, model, _ = load_run(tmp_path / "stage1-tiny-001")
    assert run.settings.stage.data.views == {"classification": "nodes:" + ",".join(labels)}
    before = load_run(parent.path)[1].state_dict()["classifier.6.weight"]
    after = model.state_dict()["classifier.6.weight"]
    old = ontology().view("uni_hema_45")
    for number, label in enumerate(labels):
        (place,) = (n for n, nodes in enumerate(old.members) if nodes == (label,))
        assert torch.allclose(after[number], before[place], atol=1e-6), label
    scored = CliRunner().invoke(
        app, ["evaluate", str(run.path), "--corpus", str(phantom_corpus), "--split", "train", "--json"]
    )
    assert scored.exit_code == 0, scored.output
    # It may have read what the stages hold out: none of them takes it by itself.
    found = find_parent(all_runs(tmp_path), (1,), "tiny", "paper", run.settings.corpus_id)
    assert run.settings.finetuned == "raabin" and found.parent is None and found.skipped == (run,)


def test_a_view_of_the_same_classes_changes_no_head(phantom_corpus: Path, parent: Run, tmp_path: Path) -> None:
    given = ["--source", "raabin", "--init-from", str(parent.path), "--corpus", str(phantom_corpus), "--device", "cpu"]
    changes = [part for change in CELLS for part in ("--set", change)]
    done = CliRunner().invoke(
        app, ["finetune", *given, "--view", "uni_hema_45", "--out", str(tmp_path), "--dry-run", "--json", *changes]
    )
    assert done.exit_code == 0, done.output
    assert "become" not in done.output and json.loads(done.stdout)["steps"] >= 1


def test_every_head_of_detection_is_swapped() -> None:
    tree = ontology()
    before, after = (
        tree.view("uni_hema_det_30"),
        tree.view("nodes:plasmodium_gametocyte,red_blood_cell"),
    )
    torch.manual_seed(0)
    old = build_model(load_preset("tiny", SMALL), 100).state_dict()
    torch.manual_seed(1)
    model = build_model(load_preset("tiny", [*SMALL, "classes.detection=2"]), 100)
    found, kept = swapped(old, model, "detection", before, after)
    model.load_state_dict(found)
    pairs = matching(before, after)
    assert kept == [after.classes[new] for new, _ in pairs] and pairs
    for name in ("selection.label.weight", "det_heads.label.bias", "denoising.label.weight"):
        for new, place in pairs:
            assert torch.equal(found[name][new], old[name][place])
    assert torch.equal(found["denoising.label.weight"][-1], old["denoising.label.weight"][-1]), "the empty slot"
    assert all(torch.equal(found[name], old[name]) for name in old if "label" not in name)


def test_what_cannot_be_tuned_is_a_sentence(phantom_corpus: Path, parent: Run, tmp_path: Path) -> None:
    given = ["--init-from", str(parent.path), "--corpus", str(phantom_corpus), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, ["finetune", "--source", "nowhere", *given])
    assert isinstance(done.exception, UsageError) and "has no source 'nowhere'; it has bccd" in str(done.exception)
    with pytest.raises(UsageError, match="no node"):
        ontology().view("nodes:basophil,basofil")
    with pytest.raises(UsageError, match="twice"):
        ontology().view("nodes:basophil,basophil")
