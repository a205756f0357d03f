"""`hemasynth check` on our lines and on other people's files."""

import json
import sys
from pathlib import Path

import pytest
from hemasynth import cli
from hemasynth.checkfile import check_line, record
from hemasynth.errors import RecordError

TABLE = """img_name,label,cell_size,cell_shape,nucleus_shape,nuclear_cytoplasmic_ratio,chromatin_density,\
cytoplasm_vacuole,cytoplasm_texture,cytoplasm_colour,granule_type,granule_colour,granularity,path
BNE_1.jpg,Neutrophil,big,round,unsegmented-band,low,densely,no,clear,light blue,small,pink,yes,x/neutrophil/BNE_1.jpg
LY_2.jpg,Lymphocyte,small,round,unsegmented-round,high,densely,no,clear,blue,nil,nil,no,x/lymphocyte/LY_2.jpg
"""


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    folder = tmp_path / "wbcatt"
    folder.mkdir()
    head, *rows = TABLE.splitlines(keepends=True)
    for name, lines in (("train", rows[:1]), ("val", rows[1:]), ("test", [])):
        (folder / f"pbc_attr_v1_{name}.csv").write_text(head + "".join(lines))
    return folder


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["hemasynth", "check", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_line_of_leukemiaattri_in_published_keys_and_codes() -> None:
    line = {
        "id": "a",
        "source": "leukemiaattri",
        "label": "Myeloblast",
        "attributes": {"nuclear_chromatio": 0, "nucleolus": 4, "cytoplasm": "scanty"},
        "text": "A myeloblast with open chromatin and scanty cytoplasm.",
    }
    assert check_line(line)["verdict"] == "supported"
    assert check_line({**line, "text": "Its nucleolus is prominent."})["verdict"] == "unsupported"  # code 4: unknown
    assert check_line({**line, "text": "The chromatin is coarse."})["verdict"] == "contradicted"
    (claim,) = check_line({**line, "text": "The chromatin is coarse."})["claims"]  # type: ignore[misc]
    assert claim["attribute"] == "nuclear_chromatin"
    assert (claim["value"], claim["polarity"], claim["span"]) == ("coarse", "positive", [17, 23])


@pytest.mark.parametrize(
    ("attributes", "message"), [({"colour": "x"}, "no attribute"), ({"cell_size": "tall"}, "knows big, small")]
)
def test_record_that_the_source_cannot_hold_is_told(attributes: dict[str, object], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        record("wbcatt", "neutrophil", attributes)


def test_authors_pairs_in_both_forms(
    tmp_path: Path, labels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"Question": "What colour are the granules?", "Answer": "The granules are pink."}
    whole = {
        "images": [{"id": 1, "file_name": "merge/BNE_1.jpg"}, {"id": 2, "file_name": "LY_2.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 1, **asked, "task": "QA"},
            {"id": 2, "image_id": 2, **asked, "task": "QA"},
            {"id": 3, "image_id": 2, "masked_comment": "The <extra_id_0>.", "completed_text": "The cell."},
        ],
    }
    file = tmp_path / "Q_A_test.json"
    file.write_text(json.dumps(whole))
    assert call(monkeypatch, str(file), "--labels", str(labels), "--json") == 1
    verdicts = [json.loads(line)["verdict"] for line in capsys.readouterr().out.splitlines()]
    assert verdicts == ["supported", "contradicted"]
    raw = [{"cell_image": "BNE_1.jpg", "q1": asked["Question"], "a1": asked["Answer"], "q2": "Size?"}]
    file.write_text(json.dumps(raw))
    assert call(monkeypatch, str(file), "--labels", str(labels), "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1  # a question without its answer is no pair


def test_captions_give_a_table_of_accuracy(
    tmp_path: Path, labels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "captions.csv"
    file.write_text(
        "image_filename,caption\n"
        "train_neutrophil_BNE_1.jpg,neutrophil of big size with an unsegmented - band nucleus and small pink granules\n"
        'val_lymphocyte_LY_2.jpg,"small size, round overall shape, unsegmented - band nucleus and no granules"\n'
    )
    assert call(monkeypatch, str(file), "--labels", str(labels)) == 1
    out = capsys.readouterr().out
    rows, exact = ({line.split("  ")[0]: line.split() for line in part.splitlines()} for part in out.split("\n\n"))
    assert rows["Feature"][1:] == ["captions"]
    assert list(rows)[3:] == [
        "Cell type",
        "Nuclear shape",
        "Overall shape",
        "Cell size",
        *list(rows)[7:],
    ]  # as in the paper
    assert (rows["Cell size"][-1], rows["Nuclear shape"][-1]) == ("100.00", "50.00")
    assert exact["Cell type"][-3:] == ["1", "of", "2"]
    assert exact["Cell size"][-3:] == ["2", "of", "2"]


def test_models_and_test_sets_stand_beside_each_other(
    tmp_path: Path, labels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "lora.csv", tmp_path / "base.csv"
    first.write_text(
        "image,caption,model,test_set\nBNE_1.jpg,A big cell.,LoRA,Int.\nLY_2.jpg,A big neutrophil.,LoRA,Ext.\n"
    )
    second.write_text("image,caption\nBNE_1.jpg,A small cell.\n")
    assert call(monkeypatch, str(first), str(second), "--labels", str(labels)) == 1
    table = [line.split() for line in capsys.readouterr().out.split("\n\n")[0].splitlines()[2:]]
    assert table == [
        ["Feature", "LoRA", "base"],
        ["Int.", "Ext."],
        ["Cell", "type", "-", "0.00", "-"],
        ["Cell", "size", "100.00", "0.00", "0.00"],
    ]


def test_files_that_name_pictures_need_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "captions.csv"
    file.write_text("image,caption\nBNE_1.jpg,A neutrophil.\n")
    assert call(monkeypatch, str(file)) == 3
    assert "--labels" in capsys.readouterr().err


def test_picture_in_no_table_is_named(
    tmp_path: Path, labels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "captions.csv"
    file.write_text("image,caption\nXX_9.jpg,A neutrophil.\n")
    assert call(monkeypatch, str(file), "--labels", str(labels)) != 0
    assert "XX_9.jpg" in capsys.readouterr().err
