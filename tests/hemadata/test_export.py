"""Exports, read back by libraries of others: every value that a format claims to keep is compared with the corpus."""

import csv
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import hemadata
import numpy as np
import pyarrow.parquet as pq
import pytest
from hemadata import export as exporting
from hemadata import schema
from hemadata.build import Options, build
from hemadata.corpus import Corpus
from hemadata.errors import CorpusError, HemaError, UsageError
from hemadata.export import FORMATS, export
from hemadata.export.format import DECIDED, leaves
from hemadata.export.walk import MAX_STEM, Names
from PIL import Image
from pycocotools import mask as run_lengths
from pycocotools.coco import COCO

ROOT = Path(__file__).parents[2]
SPLITS = {"train": "train", "val": "validation", "test": "test"}
Found = dict[str, dict[str, Any]]  # sample_id -> column -> value


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of every task with crowds, empty images, odd words and ids that no file system likes."""
    out = tmp_path_factory.mktemp("export") / "corpus"
    names = ["bccd", "wbc-image-dataset", "raabin", "leukemiaattri", "wbcatt-vqa", "leukemiaattri-mlm"]
    assert not [r.error for r in build(names, Path("nowhere"), out, Options(phantom=12)) if r.error]
    odd = {0: "bccd/../../outside", 1: "bccd/A.b", 2: "bccd/a_b", 3: "bccd/" + "long" * 60, 4: "bccd/ä b\\c:d"}
    renamed: dict[str, str] = {}
    for path in sorted(out.glob("data/detection/bccd/*.parquet")):
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            number = len(renamed)
            renamed[row["sample_id"]] = row["sample_id"] = odd.get(number, row["sample_id"])
            if number % 4 == 1:
                row["objects"] = []
            elif number % 4 == 2:
                crowd, plain = row["objects"][:2]
                crowd |= {"flags": ["crowd"], "rle": rle_of(crowd["bbox"], row["height"], row["width"])}
                plain |= {"label": None, "label_raw": 'is <"this"> & that, é?', "ratings": [rating()], "source_id": "7"}
                plain["bbox"] = [0.25, 0.5, 10.125, 7.3]
            elif number == 7:
                row["objects"] = None
        pq.write_table(schema_table(rows), path)
    index = out / "index" / "bccd.parquet"
    table = pq.read_table(index)
    ids = [renamed[sample_id] for sample_id in table["sample_id"].to_pylist()]
    pq.write_table(table.set_column(table.schema.get_field_index("sample_id"), "sample_id", [ids]), index)
    return out


def schema_table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema.arrow_schema("detection"))


def rating() -> dict[str, str]:
    return {"rater": "one", "raw": "R", "label": "red_blood_cell"}


def rle_of(bbox: list[float], height: int, width: int) -> dict[str, Any]:
    """A ring inside a box, so that its area is not that of the box."""
    x, y, w, h = map(int, bbox)
    canvas = np.zeros((height, width), np.uint8, order="F")
    canvas[y : y + h, x : x + w] = 1
    canvas[y + 2 : y + h - 2, x + 2 : x + w - 2] = 0
    found = run_lengths.encode(canvas)
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


@pytest.fixture(scope="module")
def real(raw_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [name for name in ("bccd", "wbc-image-dataset", "acevedo", "wbcatt") if (raw_root / name).is_dir()]
    if "bccd" not in names or "wbc-image-dataset" not in names:
        pytest.skip(f"{raw_root} lacks bccd or wbc-image-dataset")
    out = tmp_path_factory.mktemp("real") / "corpus"
    results = build(names, raw_root, out, Options(check="none", limit=60))
    assert not [result.error for result in results if result.error]
    return out


def values(row: dict[str, Any], leaf: str) -> Any:
    """A column of `leaves` as the corpus has it."""
    name, _, part = leaf.partition(".")
    value = row[name]
    if not part or value is None:
        return value
    return value[part] if isinstance(value, dict) else [entry[part] for entry in value]


def rows_of(path: Path, tasks: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    with hemadata.open(path) as corpus:
        for task in tasks:
            names = [column.name for column in schema.columns(task)]
            for row in corpus.rows(task, columns=[*names, *DECIDED]):
                if row["split"] != "excluded":
                    yield task, row


# One reader per format; none of them uses hemadata


def of_coco(out: Path) -> Found:
    found: Found = {}
    for path in sorted(out.glob("annotations/*.json")):
        kind, split = path.stem.split("_")
        coco = COCO(str(path))
        licenses = {entry["id"]: entry["name"] for entry in coco.dataset["licenses"]}
        for image in coco.imgs.values():
            row = found.setdefault(image["sample_id"], {})
            row |= {leaf: image.get(leaf) for leaf in leaves() if "." not in leaf}
            row |= {"split": SPLITS[split], "license": licenses.get(image.get("license"))}
            row["image.bytes"] = (out / split / image["file_name"]).read_bytes()
            regions = image.get("mask_classes")
            for part in ("value", "label", "label_raw", "cell", "pixels"):
                row[f"mask_classes.{part}"] = None if regions is None else [entry[part] for entry in regions]
            entries = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
            names = [coco.cats[entry["category_id"]]["name"] for entry in entries]
            if kind == "stuff":
                row["mask.bytes"] = np.zeros((image["height"], image["width"]), int)
                for entry in entries:
                    row["mask.bytes"][coco.annToMask(entry) == 1] = entry["category_id"]
                assert names == [hemadata_region(entry["category_id"]) for entry in entries]
                continue
            row["objects.label"] = [None if name == "unlabelled" else name for name in names]
            row["objects.rle"] = [entry["segmentation"] or None for entry in entries]
            for part in (
                "bbox",
                "bbox_raw",
                "label_raw",
                "label_relation",
                "attributes",
                "ratings",
                "source_id",
                "flags",
            ):
                row[f"objects.{part}"] = [entry.get(part) for entry in entries]
            for entry in entries:
                assert entry["iscrowd"] == ("crowd" in (entry.get("flags") or []))
                if entry["segmentation"]:
                    assert entry["area"] == coco.annToMask(entry).sum() < entry["bbox"][2] * entry["bbox"][3]
    return found


OF_OBJECT = ("bbox", "bbox_raw", "label_raw", "label_relation", "attributes", "ratings", "source_id", "flags")


def hemadata_region(value: int) -> str:
    return next(region.name for region in exporting.REGIONS.values() if region.value == value)


def of_yolo(out: Path) -> Found:
    supervision = pytest.importorskip("supervision")
    with (out / "samples.csv").open(newline="", encoding="utf-8") as file:
        samples = {line.pop("file"): line for line in csv.DictReader(file)}
    found: Found = {}
    for split in sorted((out / "images").iterdir()):
        labels = out / "labels" / split.name
        data = supervision.DetectionDataset.from_yolo(str(split), str(labels), str(out / "data.yaml"))
        for path in data.image_paths:
            boxes, name = data.annotations[path], Path(path).name
            sample = samples.pop(f"images/{split.name}/{name}")
            row: dict[str, Any] = {key: value or None for key, value in sample.items()}
            row |= {"width": int(sample["width"]), "height": int(sample["height"])}
            row["image.bytes"] = Path(path).read_bytes()
            classes = [data.classes[number] for number in (boxes.class_id if len(boxes) else [])]
            row["objects.label"] = [None if name == "unlabelled" else name for name in classes]
            row["objects.bbox"] = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in boxes.xyxy.tolist()]
            found[sample["sample_id"]] = row
    assert not samples
    return found


def of_voc(out: Path) -> Found:
    torchvision = pytest.importorskip("torchvision")
    home = out.parent / "devkit" / "VOCdevkit"
    home.mkdir(parents=True)
    (home / "VOC2007").symlink_to(out)
    found: Found = {}
    for kind, reader in (("Main", "VOCDetection"), ("Segmentation", "VOCSegmentation")):
        for path in sorted(out.glob(f"ImageSets/{kind}/*.txt")):
            read = getattr(torchvision.datasets, reader)(str(home.parent), "2007", path.stem)
            for number, target in enumerate(read.targets):
                page = out / "Annotations" / f"{Path(target).stem}.xml"
                whole = torchvision.datasets.VOCDetection.parse_voc_xml(ElementTree.parse(page).getroot())["annotation"]
                row = found.setdefault(whole["hemadata"]["sample_id"], {})
                assert SPLITS[path.stem] == whole["hemadata"]["split"]
                row |= {leaf: whole["hemadata"].get(leaf) for leaf in leaves() if "." not in leaf}
                row |= {side: int(whole["size"][side]) for side in ("width", "height")}
                row["image.bytes"] = (out / "JPEGImages" / whole["filename"]).read_bytes()
                if whole["filename"].endswith("jpg"):
                    assert read[number][0].size == (row["width"], row["height"])
                if kind == "Segmentation":
                    assert whole["segmented"] == "1"
                    row["mask.bytes"] = Path(read.masks[number]).read_bytes()
                    continue
                entries = whole.get("object", [])
                names = [entry["name"] for entry in entries]
                row["objects.label"] = [None if name == "unlabelled" else name for name in names]
                row["objects.bbox"] = [of_corners(entry["bndbox"]) for entry in entries]
                for part in ("label_raw", "label_relation", "source_id"):
                    row[f"objects.{part}"] = [entry.get(part) for entry in entries]
                row["objects.attributes"] = [of_attributes(entry) for entry in entries]
                row["crowds"] = [entry["difficult"] == "1" for entry in entries]
    return found


def of_corners(box: dict[str, str]) -> list[float]:
    x0, y0, x1, y1 = (float(box[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
    return [x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1]


def of_attributes(entry: dict[str, Any]) -> list[dict[str, Any]] | None:
    listed = entry.get("attribute")
    if listed is None:
        return None
    listed = [listed] if isinstance(listed, dict) else listed
    return [{key: attribute.get(key) for key in ("name", "value", "value_raw")} for attribute in listed]


def of_imagefolder(out: Path) -> Found:
    datasets = pytest.importorskip("datasets")
    found: Found = {}
    for split, part in datasets.load_dataset("imagefolder", data_dir=str(out), streaming=True).items():
        for column in {"image", "mask"} & set(part.features):
            part = part.cast_column(column, datasets.Image(decode=False))
        for row in part:
            assert row["split"] == str(split)
            for column in {"image", "mask"} & set(row):
                row[column] = row[column] and {"bytes": Path(row[column]["path"]).read_bytes()}
            found[row["sample_id"]] = {leaf: values(row, leaf) for leaf in leaves() if known(row, leaf)}
    return found


def known(row: dict[str, Any], leaf: str) -> bool:
    return leaf.partition(".")[0] in row and not leaf.endswith(".path")


def of_webdataset(out: Path) -> Found:
    webdataset = pytest.importorskip("webdataset")
    found: Found = {}
    for shard in sorted(out.glob("*.tar")):
        for sample in webdataset.WebDataset(str(shard), shardshuffle=False):
            row = dict.fromkeys(leaf.partition(".")[0] for leaf in leaves()) | json.loads(sample["json"])
            assert shard.name.startswith(row["split"])
            row["image"] = {"bytes": next(sample[kind] for kind in ("jpg", "png", "webp") if kind in sample)}
            row["mask"] = {"bytes": sample["mask.png"]} if "mask.png" in sample else None
            found[row["sample_id"]] = {leaf: values(row, leaf) for leaf in leaves() if not leaf.endswith(".path")}
    return found


def of_unihema(out: Path) -> Found:
    """As their reader does: the task by the keys, in their order."""
    found: Found = {}
    for path in (out / f"{split}.json" for split in SPLITS):
        coco = COCO(str(path))
        for image in coco.imgs.values():
            entries = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
            assert entries, "their training breaks on images without annotation"
            row = found.setdefault(image["sample_id"], {name: [] for name in LISTED})
            row |= {leaf: image[leaf] for leaf in ("sample_id", "source", "license", "width", "height")}
            row |= {"image.bytes": (out / "images" / image["file_name"]).read_bytes(), "split": SPLITS[path.stem]}
            first = entries[0]
            if "mask_name" in first and "class_name" not in first:
                row["mask.bytes"] = np.asarray(Image.open(out / first["mask_name"]))
                row["disease"] = first["prompt"]
            elif "class_name" in first:
                row |= {"label": (first["category_id"], first["class_name"]), "label_raw": first["label_raw"]}
            elif "masked_comment" in first:
                assert len(entries) == 1
                row["texts.masked_text"].append(first["masked_comment"])
                row["texts.text"].append(first["completed_text"])
            elif "Question" in first:
                assert len(entries) == 1
                row["qa.question"].append(first["Question"])
                row["qa.answer"].append(first["Answer"])
            else:
                row["objects.bbox"] = [entry["bbox"] for entry in entries]
                row["objects.label"] = [(entry["category_id"], entry.get("label")) for entry in entries]
                row["objects.label_raw"] = [entry.get("label_raw") for entry in entries]
                row["objects.attributes"] = [tuple(entry.get(key, 4) for key in SIX) for entry in entries]
                row["disease"] = first["prompt"]
    return found


LISTED = ("objects.bbox", "qa.question", "qa.answer", "texts.masked_text", "texts.text")
SIX = ("nuclear_chromatio", "nuclear_shape", "nucleolus", "cytoplasm", "cytoplasmic_basophilia", "cytoplasmic_vacuoles")
READERS: dict[str, Callable[[Path], Found]] = {
    "coco": of_coco,
    "yolo": of_yolo,
    "voc": of_voc,
    "imagefolder": of_imagefolder,
    "webdataset": of_webdataset,
    "unihema-json": of_unihema,
}


def expected(to: str, corpus: Corpus, row: dict[str, Any], leaf: str) -> Any:
    """What a reader should get; where a format says the same in its own way, that way."""
    value = values(row, leaf)
    if leaf == "mask.bytes" and to in ("coco", "unihema-json") and value is not None:
        pixels = np.asarray(Image.open(BytesIO(value))).astype(int)
        wanted = [exporting.REGIONS[name].value for name in row["foreground"]]
        return pixels if to == "coco" else np.isin(pixels, wanted) * 255
    if to == "yolo" and leaf.startswith("objects."):
        return [v for v, o in zip(value, row["objects"], strict=True) if "crowd" not in (o["flags"] or [])]
    if to == "unihema-json" and leaf == "disease":
        return (value or "unknown").title()  # the word of the paper's table 14
    if to == "unihema-json" and value is not None:
        if leaf == "label":
            view = corpus.view("uni_hema_45")
            number = view.id(row["source"], row["label_raw"], value)
            return number, view.classes[number or 0]
        if leaf == "qa.question":
            return [f"Q: {question}" for question in value]
        if leaf.startswith("objects."):
            view = corpus.view("uni_hema_det_30")
            numbers = [view.id(row["source"], o["label_raw"], o["label"]) for o in row["objects"]]
            if leaf == "objects.label":
                value = list(zip(numbers, value, strict=True))
            if leaf == "objects.attributes":
                value = [six_of(attributes) for attributes in value]
            return [v for v, number in zip(value, numbers, strict=True) if number is not None]
    return value


def six_of(attributes: list[dict[str, Any]] | None) -> tuple[int, ...]:
    """By the raw codes of LeukemiaAttri, which are the authors' own."""
    raw = {attribute["name"]: attribute["value_raw"] for attribute in attributes or []}
    names = ("nuclear_chromatin", *SIX[1:])
    return tuple(int(raw[name]) if raw.get(name) in ("0", "1") else 4 for name in names)


def is_held(to: str, corpus: Corpus, task: str, row: dict[str, Any]) -> bool:
    """Whether a format has room for a row."""
    if to in ("coco", "voc"):
        return row["objects"] is not None or row.get("mask") is not None
    if to == "yolo":
        return row["objects"] is not None
    if to == "unihema-json" and task == "detection":
        view = corpus.view("uni_hema_det_30")
        return any(view.id(row["source"], o["label_raw"], o["label"]) is not None for o in row["objects"] or ())
    if to == "unihema-json" and task == "classification":
        return corpus.view("uni_hema_45").id(row["source"], row["label_raw"], row["label"]) is not None
    return True


def same(one: Any, other: Any, leaf: str, to: str) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if leaf == "objects.bbox" and to in ("yolo", "voc") and one is not None:
        return np.allclose(np.reshape(one, (-1, 4)), np.reshape(other, (-1, 4)), rtol=0, atol=1e-3) and len(one) == len(
            other
        )
    return bool(one == other)


def compare(to: str, corpus_path: Path, out: Path) -> None:
    read, due = READERS[to](out), set()
    with hemadata.open(corpus_path) as corpus:
        for task, row in rows_of(corpus_path, FORMATS[to].tasks):
            if not is_held(to, corpus, task, row):
                continue
            sample_id = row["sample_id"]
            due.add(sample_id)
            for leaf in FORMATS[to].survivors:
                if leaf not in leaves((task,)) or (values(row, leaf) is None and leaf not in read[sample_id]):
                    continue
                if to == "unihema-json" and not keeps(task, leaf):
                    continue
                wanted, got = expected(to, corpus, row, leaf), read[sample_id][leaf]
                assert same(wanted, got, leaf, to), f"{sample_id} {leaf}: {wanted!r} became {got!r}"
        record = json.loads((out / "export.json").read_text())
        assert set(read) == due and sum(record["images"].values()) == len(due) and due
        assert record["corpus_id"] == corpus.corpus_id
        for source in record["images"]:
            assert record["sources"][source]["license"] == corpus.manifests[source].facts["license"]


def keeps(task: str, leaf: str) -> bool:
    """Columns that only some tasks keep in the authors' JSON."""
    of = {"disease": ("detection", "segmentation"), "label": ("classification",), "label_raw": ("classification",)}
    is_object = leaf.startswith("objects.")
    return task in of.get(leaf, (task,)) and (not is_object or task == "detection")


@pytest.mark.parametrize("to", FORMATS)
def test_every_surviving_value_of_a_phantom_comes_back(to: str, phantom: Path, tmp_path: Path) -> None:
    done = export(phantom, to, tmp_path / "out")
    assert sum(done.images.values()) > 12
    compare(to, phantom, tmp_path / "out")


@pytest.mark.parametrize("to", FORMATS)
def test_every_surviving_value_of_real_data_comes_back(to: str, real: Path, tmp_path: Path) -> None:
    export(real, to, tmp_path / "out")
    compare(to, real, tmp_path / "out")


def test_crowd_is_passed_over_by_voc_and_yolo(phantom: Path, tmp_path: Path) -> None:
    export(phantom, "voc", tmp_path / "voc", sources=["bccd"])
    read = of_voc(tmp_path / "voc")
    for _, row in rows_of(phantom, ("detection",)):
        if row["source"] == "bccd" and row["objects"]:
            assert read[row["sample_id"]]["crowds"] == ["crowd" in (o["flags"] or []) for o in row["objects"]]
    done = export(phantom, "yolo", tmp_path / "yolo", sources=["bccd"])
    (note,) = done.notes
    assert "crowd" in note and done.notes[note] == sum(sum(row.get("crowds", [])) for row in read.values()) > 0


def test_nothing_is_left_out_silently(phantom: Path, tmp_path: Path) -> None:
    done = export(phantom, "yolo", tmp_path / "out")
    with hemadata.open(phantom) as corpus:
        for source, manifest in corpus.manifests.items():
            assert done.images[source] + sum(done.left_out.get(source, {}).values()) == manifest.images
    assert done.left_out["bccd"] == {"its source publishes no boxes": 1}
    assert json.loads((tmp_path / "out" / "export.json").read_text())["left_out"] == done.left_out


def test_names_are_safe_and_never_alike(phantom: Path) -> None:
    with hemadata.open(phantom) as corpus:
        names = Names(corpus)
        ids = corpus.index["sample_id"].to_pylist()
        stems = {sample_id: names.stem(sample_id) for sample_id in ids}
    assert len({stem.lower() for stem in stems.values()}) == len(ids) == 72
    assert all(
        stem.isascii() and not set(stem) & set("./\\: ") and len(stem) <= MAX_STEM + 17 for stem in stems.values()
    )
    assert stems["bccd/A.b"].startswith("bccd__A_b-") and stems["bccd/a_b"].startswith("bccd__a_b-")
    assert stems["bccd/../../outside"] == "bccd" + "_" * 10 + "outside"


def test_folder_appears_whole_or_not_at_all(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, seen = tmp_path / "deep" / "out", []

    def broken(self: Any, row: dict[str, Any], stem: str) -> str | None:
        seen.append(out.exists())
        self.save("kept.txt", b"")  # the second row is refused: a file is never replaced
        return None

    with monkeypatch.context() as patched:
        patched.setattr(FORMATS["webdataset"].writer, "add", broken)
        with pytest.raises(CorpusError, match=r"kept\.txt would be written twice"):
            export(phantom, "webdataset", out)
    assert seen == [False, False] and list(out.parent.iterdir()) == []
    (out.parent / ".out.partial" / "content").mkdir(parents=True)
    (out.parent / ".out.partial" / "content" / "left-by-a-killed-run").touch()
    export(phantom, "webdataset", out)
    assert sorted(path.name for path in out.parent.iterdir()) == ["out"]
    assert not (out / "left-by-a-killed-run").exists()
    with pytest.raises(UsageError, match="is there already"):
        export(phantom, "webdataset", out)


def test_equal_corpora_give_equal_bytes(phantom: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export(phantom, "webdataset", tmp_path / name)
        export(phantom, "coco", tmp_path / f"{name}-coco")
    for one in (p for p in tmp_path.rglob("*") if p.is_file() and p.relative_to(tmp_path).parts[0].startswith("one")):
        first, *rest = one.relative_to(tmp_path).parts
        assert one.read_bytes() == tmp_path.joinpath(first.replace("one", "two"), *rest).read_bytes()


def test_torchvision_reads_a_classification_set_by_its_folders(phantom: Path, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    export(phantom, "imagefolder", tmp_path / "out", sources=["raabin"], splits=["train"])
    read = torchvision.datasets.ImageFolder(str(tmp_path / "out" / "train"))
    with hemadata.open(phantom) as corpus:
        rows = list(corpus.rows("classification", "train", source="raabin"))
    assert sorted(read.classes[number] for _, number in read.samples) == sorted(row["label"] for row in rows)


@pytest.mark.parametrize(
    ("to", "wanted", "message"),
    [
        ("coko", {}, "No format .* coco, yolo"),
        ("yolo", {"tasks": ["vqa"]}, "yolo has no room for vqa; it holds detection"),
        ("yolo", {"tasks": ["detecion"]}, "detecion"),
        ("yolo", {"sources": ["raabin"]}, "raabin is a set for classification"),
        ("coco", {"sources": ["bcd"]}, 'called "bcd"'),
        ("coco", {"splits": ["val"]}, 'called "val"'),
        ("coco", {"splits": ["excluded"]}, "Nothing to export as coco"),
    ],
)
def test_what_cannot_be_exported_is_told(
    to: str, wanted: dict[str, Any], message: str, phantom: Path, tmp_path: Path
) -> None:
    with pytest.raises(HemaError, match=message):
        export(phantom, to, tmp_path / "out", **wanted)
    assert list(tmp_path.iterdir()) == []


def test_tables_of_surviving_columns_are_rendered_from_the_formats() -> None:
    assert (ROOT / "docs" / "export.md").read_text() == exporting.render(), (
        "python -c \"from hemadata.export import render; print(render(), end='')\" > docs/export.md"
    )
    for to in FORMATS.values():
        assert set(to.places) <= set(leaves(to.tasks)) and set(to.lost) <= set(leaves(to.tasks)), to.name


def test_command_tells_what_it_wrote_and_what_not(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hemadata import cli

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["hemadata", "export", str(phantom), *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    code, out, _ = run("--to", "yolo", "--out", str(tmp_path / "yolo"))
    assert code == 0 and "raabin: 12 rows left out: yolo has no room for classification" in out
    code, out, _ = run("--to", "coco", "--out", str(tmp_path / "coco"), "--source", "bccd", "--json")
    assert code == 0 and json.loads(out)["images"] == {"bccd": 11}
    code, _, err = run("--to", "coco", "--out", str(tmp_path / "coco"))
    assert code == 2 and "is there already" in err
