"""Both text sets, from raw data to a trained model, through the corpus and the three programs alone."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hemadata
import pytest
from hemadata import cli as hemadata_cli
from hemasynth import cli as hemasynth_cli

pytest.importorskip("torch")
Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a program in the folder of the test, and return the JSON object that it ends with."""
    from hemamodel import cli as hemamodel_cli

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    mains = {"hemadata": hemadata_cli.main, "hemasynth": hemasynth_cli.main, "hemamodel": hemamodel_cli.main}

    def run(*words: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", [*words, "--json"])
        try:
            mains[words[0]]()
        except SystemExit as end:
            assert not end.code, capsys.readouterr().err
        told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return told

    return run


def test_stages_two_and_six_train_on_both_sets(tmp_path: Path, call: Call) -> None:
    from hemadata import sources

    for slug in ("wbcatt", "leukemiaattri"):
        sources.get(slug).draw(tmp_path / "raw", 40, 0)
    built = call("hemadata", "build", "--source", "wbcatt", "--source", "leukemiaattri", "--jobs", "1")
    assert {name: each["images"] for name, each in built["sources"].items()} == {"leukemiaattri": 40, "wbcatt": 40}
    pairs = call("hemasynth", "vqa", "--engine", "template")
    sentences = call("hemasynth", "mlm", "--engine", "template")
    assert pairs["build"]["sources"]["wbcatt-vqa"]["images"] == 40
    assert sentences["build"]["sources"]["leukemiaattri-mlm"]["images"] == sentences["fields"] == 20
    assert pairs["refused"] == sentences["refused"] == 0
    with hemadata.open(tmp_path / "corpus") as corpus:
        assert sum(len(row["qa"]) for row in corpus.rows("vqa")) == pairs["pairs"]
        rows = list(corpus.rows("mlm"))
        assert sum(len(row["texts"]) for row in rows) == sentences["sentences"]
        of_patient = {row["native_group"]: row["split"] for row in rows}
        assert all(of_patient[row["native_group"]] == row["split"] for row in rows)

    common = ("--preset", "tiny", "--device", "cpu", "--workers", "0")
    small = ("--set", "epochs=1", "--set", "batch_size=16")
    for stage, extra in (("2", ("--scratch",)), ("6", ())):
        trained = call("hemamodel", "train", "--stage", stage, *common, *small, *extra)
        assert (trained["status"], trained["step"] > 0) == ("complete", True)
        scores = call("hemamodel", "evaluate", trained["run"], "--device", "cpu", "--workers", "0", "--limit", "4")
        assert scores["sources"] == {"vqa": ["wbcatt-vqa"], "mlm": ["leukemiaattri-mlm"]}
        assert all(scores["scores"][task]["samples"] > 0 for task in ("vqa", "mlm"))
        assert scores["corpus_id"] == trained["corpus_id"]
