"""Frozen features, ours and others'."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hemamodel.cli import app
from hemamodel.evaluate.encoders import statistics
from hemamodel.evaluate.probe import by_type, readers
from hemamodel.train.start import Call, load_run, train
from small import SMALL
from typer.testing import CliRunner

SIZE = ("tasks.classification.image.sizes=[64]", "tasks.classification.image.evaluation_size=64")


def test_readers_find_what_is_there() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(3, 8)) * 4
    kinds = random.integers(0, 3, 90)
    x = centres[kinds] + random.normal(size=(90, 8)) * 0.2
    y = [("a", "b", "c")[kind] for kind in kinds]
    found = readers(x[:60], y[:60], x[60:])
    assert set(found) == {"linear", "knn_1", "knn_20"}
    assert all(answers == y[60:] for answers in found.values())


def test_the_probe_is_the_same_wherever_features_lie_and_however_long_they_are() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(1)
    y = random.choice(["a", "b", "c"], 120)
    x = random.normal(size=(120, 6)) + (y == "a")[:, None]
    plain = LogisticRegression(C=3 * 80 / 100, max_iter=10_000, tol=1e-8).fit(x[:80], y[:80]).predict(x[80:]).tolist()
    assert len(set(plain)) == 3
    assert readers(x[:80], y[:80].tolist(), x[80:])["linear"] == plain
    assert readers(x[:80] + 50, y[:80].tolist(), x[80:] + 50)["linear"] == plain


def test_kind_alone_tells_what_is_common_in_it() -> None:
    kinds, values = ["n", "n", "n", "l", None], ["lobed", "lobed", "round", "round", "round"]
    assert by_type(kinds, values, ["n", "l", "unseen"]) == ["lobed", "round", "round"]


def test_a_run_and_another_encoder_are_probed(phantom_corpus: Path, tmp_path: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model

    changes = (*SMALL, *SIZE, "batch_size=4", "epochs=1", "data.train={classification: {raabin: 1}}")
    run = train(Call(1, phantom_corpus, tmp_path, "tiny", assignments=changes, overfit=4, device="cpu"))
    call = ["--source", "wbcatt", "--corpus", str(phantom_corpus), "--device", "cpu", "--workers", "0"]
    done = CliRunner().invoke(app, ["probe", str(run.path), *call, "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert found["features"] == 32 and found["train"] > found["test"] > 0
    assert set(found["targets"]["label"]) == {"linear", "knn_1", "knn_20", "majority"}
    assert "nucleus_shape" in found["targets"] and "type_majority" in found["targets"]["nucleus_shape"]
    over = found["targets"]["nucleus_shape"]["linear"]["over_type_majority"]["macro_f1"]
    both = (found["targets"]["nucleus_shape"][name]["macro_f1"] for name in ("linear", "type_majority"))
    assert over["difference"] == pytest.approx(next(both) - next(both)) and over["low"] <= over["high"]
    assert found["targets"]["label"]["linear"]["samples"] == found["test"]
    whole = CliRunner().invoke(app, ["probe", str(run.path), *call, "--json", "--maps", "--symmetries"])
    assert whole.exit_code == 0, (whole.output, whole.exception)
    about = json.loads(whole.stdout)
    channels = load_run(run.path)[1].backbone.channels
    assert about["features"] == 32 + 2 * sum(channels) and about["symmetries"] and not found["symmetries"]
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 224, "patch_size": 56}
    Dinov2Model(Dinov2Config(**sizes)).save_pretrained(tmp_path / "dino")
    other = CliRunner().invoke(app, ["probe", "--encoder", str(tmp_path / "dino"), *call])
    assert other.exit_code == 0, (other.output, other.exception)
    assert "16 features" in other.stdout and "nucleus_shape" in other.stdout


def test_mean_and_spread_of_a_map_leave_padding_out() -> None:
    level = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    padding = torch.zeros(2, 4, 6, dtype=torch.bool)
    padding[1, :, 4:] = padding[1, 3] = True
    inner = [level[0], level[1, :, :3, :4]]
    wanted = [torch.cat([each.mean((1, 2)), each.std((1, 2), correction=0)]) for each in inner]
    assert torch.allclose(statistics(level, padding), torch.stack(wanted))


def test_what_cannot_be_probed_is_a_sentence(phantom_corpus: Path, tmp_path: Path) -> None:
    for given, words in (
        ([], "Name a run to be probed"),
        (["--encoder", str(tmp_path)], "No encoder can be read from"),
        (["--encoder", str(tmp_path), "--maps"], "--maps is for a run's own encoder"),
    ):
        done = CliRunner().invoke(app, ["probe", *given, "--corpus", str(phantom_corpus)])
        assert done.exit_code and words in str(done.exception)
    with pytest.raises(Exception, match="no source of single cells called 'bccd'"):
        from hemamodel.evaluate.encoders import Encoder
        from hemamodel.evaluate.probe import probe

        probe(Encoder("none", 64, lambda batch: batch.images), phantom_corpus, "bccd")  # type: ignore[arg-type, return-value]
