"""Asking a run about picture files: what the files say, in their own pixels."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hemadata.errors import EXIT_FINDINGS, EXIT_INPUT_MISSING
from hemadata.phantom import Smear
from hemamodel.cli import app
from hemamodel.errors import InputMissingError, UsageError
from hemamodel.model.unihema import Found
from hemamodel.predict.predictor import Predictor, find_images, prompt_for
from hemamodel.predict.results import detections
from hemamodel.train.start import Call, train
from PIL import Image
from typer.testing import CliRunner

SETTINGS = (
    "queries=10", "dim=32", "hidden=32", "text.dim=32", "text.layers=1", "backbone.width=8", "epochs=1", "batch_size=4",
    "data.train={classification: {raabin: 1}}",
    "tasks.classification.image.sizes=[64]", "tasks.classification.image.evaluation_size=64",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(phantom_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    return train(Call(1, phantom_corpus, out, "tiny", assignments=SETTINGS, overfit=4, device="cpu")).path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(2):
        Smear(number, (90, 70)).single_cell(number, "lymphocyte", traits={}).image.save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_folder_gives_a_line_for_each_picture(run: Path, pictures: Path, tmp_path: Path) -> None:
    for task, key, more in (
        ("classification", "label", []),
        ("detection", "objects", ["--threshold", "0", "--disease", "malaria"]),
        ("segmentation", "foreground", []),
        ("vqa", "text", ["--question", "Which cell is this?"]),
    ):
        call = ["predict", str(pictures), "--run", str(run), "--task", task, "--overlay", str(tmp_path / task), *more]
        result = CliRunner().invoke(app, call)
        assert result.exit_code == 0, result.output
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert [Path(line["image"]).name for line in lines] == ["0.png", "1.png"]
        assert all(line["task"] == task and key in line for line in lines)
        assert all(Image.open(line["overlay"]).size == (90, 70) for line in lines)
        for each in lines[0].get("objects", []):
            x, y, w, h = each["bbox"]
            assert 0 <= x <= x + w <= 90.01 and 0 <= y <= y + h <= 70.01 and each["attributes"]


def test_boxes_are_in_the_pixels_of_the_stored_image() -> None:
    logits = torch.full((1, 1, 2, 3), -9.0)
    logits[0, 0, 1, 2], logits[0, 0, 0, 0] = 4.0, 2.0
    boxes = torch.tensor([[[[0.5, 0.5, 1.0, 1.0], [0.25, 0.5, 0.5, 0.2]]]])
    outputs = Found(logits, boxes, torch.zeros(1, 1, 2, 6, 2), torch.zeros(1, 2, 4), None, 0)  # type: ignore[arg-type]
    (found,) = detections(outputs, torch.tensor([[100, 200]]), most=2)
    assert found.boxes.tolist() == [pytest.approx([0, 40, 100, 60]), pytest.approx([0, 0, 200, 100])]
    assert found.labels.tolist() == [2, 0] and found.scores[0] > found.scores[1]


def test_a_batch_gives_what_single_pictures_give(run: Path, pictures: Path) -> None:
    predictor = Predictor(run, "cpu")
    files = find_images([pictures])
    single, both = (list(predictor(files, "classification", batch_size=size)) for size in (1, 2))
    for one, other in zip(single, both, strict=True):
        assert one.answer["scores"] == pytest.approx(other.answer["scores"], abs=1e-4)


def test_prompts_are_those_of_the_corpus() -> None:
    assert prompt_for("detection", "malaria") == "This image is for the detection of Malaria of cells."
    assert prompt_for("detection", prompt="all cells") == "all cells"
    assert prompt_for("vqa", question="Which cell?") == "Q: Which cell?"
    with pytest.raises(UsageError, match="needs --question"):
        prompt_for("vqa", question="  ")
    with pytest.raises(UsageError, match="There is no task"):
        prompt_for("counting")


def test_what_is_no_picture_is_named(run: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="holds no picture"):
        find_images([tmp_path])
    with pytest.raises(InputMissingError, match=r"There is no .*nowhere"):
        find_images([tmp_path / "nowhere"])
    with pytest.raises(InputMissingError, match=r"notes\.txt cannot be read as a picture"):
        list(Predictor(run, "cpu")([pictures / "notes.txt"], "classification"))


@pytest.mark.parametrize("size", [(1, 1), (7000, 6000)])
def test_pictures_of_any_size_are_read(run: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, "white").save(tmp_path / "odd.png", compress_level=1)
    (result,) = Predictor(run, "cpu")([tmp_path / "odd.png"], "classification")
    assert result.answer["label"]


def test_masks_boxes_and_features_as_files(run: Path, pictures: Path, tmp_path: Path) -> None:
    """Read back by others: Pillow, pycocotools, numpy without pickle."""
    import numpy as np
    from pycocotools.coco import COCO

    def predict(*more: str) -> list[dict[str, object]]:
        done = CliRunner().invoke(app, ["predict", str(pictures), "--run", str(run), "--device", "cpu", *more])
        assert done.exit_code == 0, (done.output, done.exception)
        return [json.loads(line) for line in done.stdout.splitlines()]

    for line in predict("--task", "segmentation", "--masks", str(tmp_path / "masks")):
        mask = np.asarray(Image.open(str(line["mask"])))
        assert mask.shape == (70, 90) and set(np.unique(mask)) <= {0, 255}
        assert (mask > 0).mean() == pytest.approx(line["foreground"], abs=1e-4)
    lines = predict("--task", "detection", "--threshold", "0", "--coco", str(tmp_path / "new" / "found.json"))
    coco = COCO(str(tmp_path / "new" / "found.json"))
    assert [each["file_name"] for each in coco.loadImgs(coco.getImgIds())] == [line["image"] for line in lines]
    first = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert [each["bbox"] for each in first] == [each["bbox"] for each in lines[0]["objects"]]  # type: ignore[attr-defined]
    names = {each["id"]: each["name"] for each in coco.loadCats(coco.getCatIds())}
    assert [names[each["category_id"]] for each in first] == [each["label"] for each in lines[0]["objects"]]  # type: ignore[attr-defined]
    done = CliRunner().invoke(app, ["embed", str(pictures), "--run", str(run), "--out", str(tmp_path / "cells.npz")])
    assert done.exit_code == 0, done.output
    stored = np.load(tmp_path / "cells.npz", allow_pickle=False)
    assert stored["features"].shape == (2, 32) and [Path(n).name for n in stored["names"]] == ["0.png", "1.png"]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    call = ["embed", str(broken), "--run", str(run), "--out", str(tmp_path / "more.npz")]
    done = CliRunner().invoke(app, [*call, str(pictures)])
    assert done.exit_code == EXIT_FINDINGS and str(broken) in done.stderr
    assert np.array_equal(np.load(tmp_path / "more.npz")["features"], stored["features"])
    (tmp_path / "more.npz").unlink()
    assert CliRunner().invoke(app, call).exit_code == EXIT_INPUT_MISSING and not (tmp_path / "more.npz").exists()
    refused = CliRunner().invoke(app, ["predict", str(pictures), "--run", str(run), "--task", "vqa", "--coco", "x"])
    assert isinstance(refused.exception, UsageError)


def test_a_task_that_no_stage_has_trained_is_told(run: Path, pictures: Path, tmp_path: Path) -> None:
    def asked(run: Path, task: str) -> str:
        done = CliRunner().invoke(app, ["predict", str(pictures), "--run", str(run), "--task", task, "--device", "cpu"])
        assert done.exit_code == 0, done.output
        return done.stderr

    assert "has never learnt detection: its answers are chance" in asked(run, "detection")
    assert not asked(run, "classification")
    orphan = tmp_path / "orphan"
    shutil.copytree(run, orphan)
    settings = json.loads((orphan / "settings.json").read_text())
    (orphan / "settings.json").write_text(json.dumps(settings | {"parent": "stage1-tiny-000"}))
    assert not asked(orphan, "detection"), "the parent is not at hand: it cannot be told"
    (tmp_path / "stage1-tiny-000").mkdir()
    assert not asked(orphan, "detection"), "nor from a parent that cannot be read"


def test_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    from hemamodel.predict.write import unique_names

    files = [tmp_path / "a" / "1.png", tmp_path / "b" / "1.png", tmp_path / "b" / "2.png"]
    names = unique_names(files)
    assert len(set(names.values())) == 3 and names[files[2]] == "2.png"
