"""Graphs that run without hemamodel say what the model says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hemamodel import export as exporting
from hemamodel.cli import app
from hemamodel.errors import HemaError, UsageError
from hemamodel.export import export
from hemamodel.train.runs import Run
from typer.testing import CliRunner


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_onnxruntime_says_what_the_model_says(detector: Run, tmp_path: Path, task: str) -> None:
    import onnxruntime

    file = tmp_path / "graph.onnx"
    call = ["export", str(detector.path), "--task", task, "--size", "64x128", "--out", str(file), "--json"]
    done = CliRunner().invoke(app, [*call, *(["--disease", "malaria"] if task != "classification" else [])])
    assert done.exit_code == 0, (done.output, done.exception)
    assert json.loads(done.stdout.splitlines()[-1])["difference"] < 1e-3
    session = onnxruntime.InferenceSession(str(file))
    about = json.loads(file.with_suffix(".json").read_text())
    assert [each.name for each in session.get_outputs()] == about["outputs"]
    outputs = session.run(None, {"images": np.zeros((5, 3, 64, 128), np.float32)})
    assert all(len(each) == 5 and np.isfinite(each).all() for each in outputs), "any number of images"
    if task != "classification":
        assert "Malaria" in about["prompt"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["graph.json", "graph.onnx"]


def test_torch_export_is_read_back(detector: Run, tmp_path: Path) -> None:
    done = export(detector.path, tmp_path / "graph.pt2", "detection", "torch-export", (64, 64))
    assert done.difference < 1e-5
    scores, boxes, _ = torch.export.load(done.file).module()(torch.zeros(2, 3, 64, 64))
    assert scores.shape == (2, 10, 30) and boxes.shape == (2, 10, 4)


def test_what_cannot_be_a_graph(detector: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="vqa writes its answer word by word"):
        export(detector.path, tmp_path / "a.onnx", "vqa")
    with pytest.raises(UsageError, match="multiples of 64, as 128 x 128"):
        export(detector.path, tmp_path / "a.onnx", "detection", size=(100, 100))
    monkeypatch.setattr(exporting, "_apart", lambda *_: 0.5)
    with pytest.raises(HemaError, match=r"0\.5 away from the model"):
        export(detector.path, tmp_path / "a.pt2", "classification", "torch-export", (64, 64))
    assert not list(tmp_path.iterdir())
