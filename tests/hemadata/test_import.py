"""Pages of the Uni-Hema authors: our export comes back, kinds are told by keys, bad records are named."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import hemadata
import numpy as np
import pyarrow.parquet as pq
import pytest
from hemadata import cli, schema, sources
from hemadata.build import Options, build
from hemadata.errors import FormatError, InputMissingError, UsageError
from hemadata.export import export
from hemadata.export.unihema import CLASSIFICATION, DETECTION
from hemadata.formats import coco
from hemadata.formats.rawfile import RawFile
from hemadata.importing import import_unihema
from PIL import Image
from pycocotools.coco import COCO

NAMES = ["bccd", "wbc-image-dataset", "raabin", "leukemiaattri", "wbcatt-vqa", "leukemiaattri-mlm"]
PAGE = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": []}
MORPHOLOGY = {"nuclear_chromatio": 1, "nuclear_shape": 0, "nucleolus": 0, "cytoplasm": 4, "cytoplasmic_basophilia": 1}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("import") / "corpus"
    assert not [r.error for r in build(NAMES, Path("nowhere"), out, Options(phantom=10)) if r.error]
    return out


def rows_in(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Imported rows by task and sample_id; the split is the page's name."""
    found = {}
    for path in folder.glob("*/*.parquet"):
        assert pq.read_schema(path).equals(schema.arrow_schema(path.parent.name))
        for row in pq.read_table(path).to_pylist():
            found[path.parent.name, row["sample_id"]] = row
    return found


def grey(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)))


def test_what_was_exported_comes_back(corpus: Path, tmp_path: Path) -> None:
    done = export(corpus, "unihema-json", tmp_path / "pages")
    result = import_unihema(tmp_path / "pages", tmp_path / "tables")
    assert result.problems == []
    found = rows_in(tmp_path / "tables")
    assert len(found) == sum(done.images.values()) == result.rows.total() > 40
    seen = set()
    with hemadata.open(corpus) as opened:
        boxes, cells = opened.view(DETECTION), opened.view(CLASSIFICATION)
        for task in schema.TASKS:
            names = [column.name for column in schema.columns(task)]
            for row in opened.rows(task, columns=[*names, "split"]):
                got = found.get((task, row["sample_id"]))
                if got is None:
                    assert row["split"] == "excluded" or task in ("detection", "classification")
                    continue
                seen.add(task)
                for name in ("source", "license", "width", "height"):
                    assert got[name] == row[name]
                assert got["image"]["bytes"] == row["image"]["bytes"]
                assert got["split_upstream"] == row["split"]
                if task == "classification":
                    number = cells.id(row["source"], row["label_raw"], row["label"])
                    assert got["label"] in cells.members[number or 0] and got["label_raw"] == row["label_raw"]
                elif task == "segmentation":
                    regions = [hemadata.export.REGIONS[name].value for name in row["foreground"]]
                    wanted = np.isin(grey(row["mask"]["bytes"]), regions)
                    assert (wanted == (grey(got["mask"]["bytes"]) > 0)).all() and got["disease"] == row["disease"]
                elif task == "vqa":
                    pairs = [(q["question"], q["answer"]) for q in row["qa"]]
                    assert [(q["question"], q["answer"]) for q in got["qa"]] == pairs
                elif task == "mlm":
                    texts = [(t["masked_text"], t["text"]) for t in row["texts"]]
                    assert [(t["masked_text"], t["text"]) for t in got["texts"]] == texts
                else:
                    held = [
                        o for o in row["objects"] if boxes.id(row["source"], o["label_raw"], o["label"]) is not None
                    ]
                    for name in ("bbox", "label_raw"):
                        assert [o[name] for o in got["objects"]] == [o[name] for o in held]
                    for mine, theirs in zip(got["objects"], held, strict=True):
                        assert theirs["label"] in (None, mine["label"])
                        judged = {a["name"]: a["value"] for a in theirs["attributes"] or () if a["value"]}
                        again = {a["name"]: a["value"] for a in mine["attributes"] or () if a["value"]}
                        assert again == {name: value for name, value in judged.items() if name in again}
    assert seen == set(schema.TASKS)


def written(folder: Path, page: dict[str, Any], name: str = "train.json") -> Path:
    """A folder of the authors: pictures a.png to f.png, a mask in a folder of its own."""
    (folder / "sub" / "dir").mkdir(parents=True, exist_ok=True)
    for number, letter in enumerate("abcdef"):
        Image.new("RGB", (20, 10), (number * 9, 80, 90)).save(folder / f"{letter}.png")
    mask = np.zeros((10, 20), np.uint8)
    mask[2:5, 3:9] = 255
    Image.fromarray(mask).save(folder / "sub" / "dir" / "m.png")
    (folder / name).write_text(json.dumps(page))
    return folder


def test_six_kinds_are_told_by_their_keys(tmp_path: Path) -> None:
    images = [{"id": number, "file_name": f"{letter}.png"} for number, letter in enumerate("abcdef")]
    annotations = [
        {"image_id": 0, "id": 1, "bbox": [1, 2, 3, 4], "category_id": 3, "prompt": "Leukemia", "iscrowd": 1},
        {"image_id": 1, "id": 2, "bbox": [1, 2, 3, 4], "category_id": 1, "prompt": "leukemia"} | MORPHOLOGY,
        {"image_id": 2, "id": 3, "category_id": 1, "mask_name": "sub/dir/m.png", "prompt": "anemia"},
        {"image_id": 3, "id": 4, "category_id": 12, "class_name": "monocyte", "mask_name": "sub/dir/m.png"},
        {"image_id": 4, "id": 5, "category_id": 1, "task": "QA", "Question": "Q: What?", "Answer": "A cell."},
        {
            "image_id": 5,
            "id": 6,
            "masked_comment": "<extra_id_0> nuclei",
            "completed_text": "Round nuclei",
            "Question": "",
        },
    ]
    folder = written(tmp_path / "theirs", {"images": images, "annotations": annotations, "categories": []})
    done = import_unihema(folder, tmp_path / "out", "full")
    assert done.problems == []
    assert done.rows == {"detection": 2, "segmentation": 1, "classification": 1, "vqa": 1, "mlm": 1}
    found = {key: row for key, row in rows_in(tmp_path / "out").items()}
    box = found["detection", "unihema-json/a"]["objects"][0]
    assert (box["bbox"], box["label"], box["label_raw"]) == ([1, 2, 3, 4], "neutrophil", "neutrophil")
    assert box["flags"] == ["crowd"] and box["attributes"] is None
    judged = {
        a["name"]: (a["value"], a["value_raw"])
        for a in found["detection", "unihema-json/b"]["objects"][0]["attributes"]
    }
    assert judged["nuclear_chromatin"] == ("coarse", "1") and judged["cytoplasm"] == (None, "4")
    assert judged["cytoplasmic_vacuoles"] == ("absent", "0"), "a key that is absent is class 0 where others are there"
    mask = found["segmentation", "unihema-json/c"]
    assert (grey(mask["mask"]["bytes"]) > 0).sum() == 18 and mask["disease"] == "anemia"
    assert found["classification", "unihema-json/d"]["label"] == "monocyte"
    assert found["vqa", "unihema-json/e"]["qa"][0]["question"] == "What?"
    assert found["mlm", "unihema-json/f"]["texts"][0]["masked_text"] == "<extra_id_0> nuclei"
    assert all(row["license"] == "unknown" and row["pixel_hash"] for row in found.values())


@pytest.mark.parametrize(
    ("annotation", "reason", "told"),
    [
        ({"image_id": 9, "id": 1, "bbox": [1, 2, 3, 4], "category_id": 3}, "unreadable_annotation", "image_id 9"),
        (["no object"], "unreadable_annotation", "list"),
        ({"image_id": 1, "id": 7, "bbox": [1, 2, 3], "category_id": 3}, "incomplete_annotation", "four numbers"),
        ({"image_id": 1, "id": 7, "bbox": [1, 2, 3, "4"], "category_id": 3}, "incomplete_annotation", "annotation 7"),
        ({"image_id": 1, "id": 7, "bbox": [1, 2, 3, 4], "category_id": 30}, "incomplete_annotation", "0 to 29"),
        ({"image_id": 1, "id": 7, "bbox": [1, 2, 99, 4], "category_id": 3}, "box_outside", "99"),
        ({"image_id": 1, "class_name": "monocyte", "category_id": -1}, "unreadable_annotation", "0 to 44"),
        ({"image_id": 1, "mask_name": "../m.png"}, "missing_annotation", "../m.png"),
        ({"image_id": 1, "mask_name": "b.txt"}, "missing_annotation", "b.txt"),
        ({"image_id": 1, "id": 7, "Question": "", "Answer": "x"}, "incomplete_annotation", "Question or Answer"),
        ({"image_id": 1, "id": 7, "masked_comment": "x"}, "incomplete_annotation", "completed_text"),
    ],
)
def test_bad_record_is_named_and_the_rest_is_read(annotation: Any, reason: str, told: str, tmp_path: Path) -> None:
    good = {"image_id": 2, "id": 8, "category_id": 12, "class_name": "monocyte"}
    images = [*PAGE["images"], {"id": 2, "file_name": "b.png"}]
    folder = written(tmp_path / "theirs", {"images": images, "annotations": [annotation, good]})
    done = import_unihema(folder, tmp_path / "out")
    named = [(p.reason, f"{p.record} {p.detail}") for p in done.problems]
    assert any(found == reason and told in text for found, text in named), named
    assert ("classification", "unihema-json/b") in rows_in(tmp_path / "out")
    assert told.split()[-1] in (tmp_path / "out" / "quarantine.csv").read_text()


@pytest.mark.parametrize("name", ["gone.png", "../../outside.png", "/etc/hostname"])
def test_picture_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    entry = {"image_id": 1, "id": 1, "category_id": 2, "class_name": "basophil"}
    page = {"images": [{"id": 1, "file_name": name}, {"id": 2, "file_name": "a.png"}], "annotations": [entry]}
    done = import_unihema(written(tmp_path / "theirs", page), tmp_path / "out")
    assert {(p.reason, p.record) for p in done.problems} == {("missing_image", name), ("missing_annotation", "a.png")}
    assert done.rows.total() == 0


def test_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="is no folder"):
        import_unihema(tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputMissingError, match=r"no \*\.json page"):
        import_unihema(tmp_path / "empty", tmp_path / "out")
    for text in ("{", "[]", '{"images": []}', '{"images": {}, "annotations": []}'):
        (tmp_path / "empty" / "train.json").write_text(text)
        with pytest.raises(FormatError, match=r"train\.json"):
            import_unihema(tmp_path / "empty", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(UsageError, match="is there already"):
        import_unihema(written(tmp_path / "theirs", PAGE), tmp_path / "out")


def test_command_tells_rows_and_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path / "theirs", PAGE)

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["hemadata", "import", "unihema-json", str(folder), *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().out

    code, out = run("--out", str(tmp_path / "one"))
    assert code == 0 and "missing_annotation" in out and "a.png" in out
    code, out = run("--out", str(tmp_path / "two"), "--strict", "--json")
    assert code == 1 and [p["record"] for p in json.loads(out)["problems"]] == ["a.png"]


def test_crowd_of_a_coco_page_is_flagged(tmp_path: Path) -> None:
    entries = [{"id": n, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": n} for n in (0, 1)]
    page = {"images": PAGE["images"], "annotations": entries, "categories": [{"id": 1, "name": "cell"}]}
    (tmp_path / "page.json").write_text(json.dumps(page))
    ((_, boxes),) = coco.read(RawFile(str(tmp_path / "page.json"), "page.json"))
    assert boxes.flags == ((), ("crowd",)) and [box.flags for box in boxes] == [(), ("crowd",)]


def test_crowd_goes_through_build_and_export(tmp_path: Path) -> None:
    sources.get("leukemiaattri").draw(tmp_path / "raw", 8, 0)
    pages = sorted((tmp_path / "raw").rglob("json_labels/*.json"))
    for path in pages:
        page = json.loads(path.read_text())
        page["annotations"][0]["iscrowd"] = 1
        path.write_text(json.dumps(page))
    (result,) = build(["leukemiaattri"], tmp_path / "raw", tmp_path / "corpus")
    assert result.error is None
    with hemadata.open(tmp_path / "corpus") as opened:
        flags = [o["flags"] for row in opened.rows("detection") for o in row["objects"]]
        assert flags.count(["crowd"]) == len(pages) > 1 and set(map(str, flags)) == {"None", "['crowd']"}
    splits = ["train", "validation", "test", "excluded"]
    export(tmp_path / "corpus", "coco", tmp_path / "coco", splits=splits)
    crowds = [e["iscrowd"] for p in (tmp_path / "coco" / "annotations").iterdir() for e in COCO(str(p)).anns.values()]
    assert sum(crowds) == len(pages) and len(crowds) == len(flags)
