"""The set of masked sentences as a whole: ladder, shards, faults, export, report, and pages in place of a corpus."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hemadata import sources
from hemadata.errors import FormatError, InputMissingError, UsageError
from hemadata.formats import captions
from hemasynth import building, cli
from hemasynth.engines.base import Reply, Request
from hemasynth.engines.replay import ReplayEngine
from hemasynth.errors import EngineError
from hemasynth.export import export
from hemasynth.journal import read
from hemasynth.lexicon import load
from hemasynth.mlm import labels
from hemasynth.mlm.command import write
from hemasynth.mlm.run import MlmOutcome
from hemasynth.mlm.template import MlmTemplates
from hemasynth.report import make
from hemasynth.sets import read as read_set

NOWHERE = Path("nowhere")
BAD = {
    "truncated": ('{"cell_types": ["lympho', "length"),
    "schema": ("no JSON", "stop"),
    "undecided": ('{"cell_types": [], "sentence": ""}', "stop"),
    "language": ('{"cell_types": [], "sentence": "Die Zellen haben einen prominenten Nukleolus."}', "stop"),
    "unsupported": ('{"cell_types": [], "sentence": "The patient has leukaemia."}', "stop"),
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlm") / "raw"
    sources.get("leukemiaattri").draw(folder, 40, 0)
    return folder


def made(engine: Any, raw: Path, out: Path, **options: Any) -> MlmOutcome:
    return write(engine, NOWHERE, out, labels=raw / "leukemiaattri", **options)[0]


def tree(out: Path) -> list[bytes]:
    return [(out / "leukemiaattri-mlm" / "hemasynth" / name).read_bytes() for name in ("run.json", "texts.parquet")]


def test_bad_answers_are_counted_and_replaced(raw: Path, tmp_path: Path, scripted: Any) -> None:
    order = list(BAD)

    def script(request: Request) -> Reply:
        number = int(request.item.id.rpartition("-")[2]) + len(request.item.field.image_id)
        if request.attempt == 0:
            text, reason = BAD[order[number % len(order)]]
            return Reply(request, text, reason)
        reply = next(MlmTemplates().generate([request]))
        return Reply(request, reply.text.replace('"sentence": "', '"sentence": "\\t'), model="org/model")

    outcome = made(scripted(script), raw, tmp_path)
    counts = outcome.run["counts"]
    assert counts["planned"] == counts["sentences"] == len(outcome.rows) > 20
    assert set(counts["origin"]) <= {"model_repaired", "template"}
    refused = Counter(gate for entry in _entries(tmp_path) for gate in entry.get("gates", ()))
    assert counts["refusals"] == dict(sorted(refused.items()))
    assert {"truncated", "schema", "language", "unsupported"} <= refused.keys()
    told, _ = make(tmp_path / "leukemiaattri-mlm")
    assert told["acceptance"]["replies"] == told["acceptance"]["accepted"] + told["acceptance"]["refused"]
    assert told["acceptance"]["accepted"] == counts["sentences"]
    second = made(ReplayEngine(_journal(tmp_path)), raw, tmp_path / "again")
    assert [row["text"] for row in second.rows] == [row["text"] for row in outcome.rows]


def _journal(out: Path) -> Path:
    return out / "leukemiaattri-mlm" / ".hemasynth" / "journal.jsonl"


def _entries(out: Path) -> Any:
    return read(_journal(out))[0]


def test_engine_that_fails_halfway_loses_and_repeats_nothing(raw: Path, tmp_path: Path, scripted: Any) -> None:
    asked: list[str] = []

    def script(request: Request) -> Reply:
        if len(asked) == 15:
            asked.append("")
            raise EngineError("gone")
        asked.append(request.item.id)
        return next(MlmTemplates().generate([request]))

    with pytest.raises(EngineError, match="gone"):
        made(scripted(script), raw, tmp_path / "a")
    made(scripted(script), raw, tmp_path / "a")
    made(scripted(lambda request: next(MlmTemplates().generate([request]))), raw, tmp_path / "b")
    assert max(Counter(name for name in asked if name).values()) == 1
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_parts_of_several_processes_give_the_bytes_of_one(raw: Path, tmp_path: Path) -> None:
    made(MlmTemplates(), raw, tmp_path / "one")
    for k in (1, 2):
        part = made(MlmTemplates(), raw, tmp_path / "many", shard=(k, 2))
        assert len(part.rows) > 0
        assert not (tmp_path / "many" / "leukemiaattri-mlm" / "hemasynth").exists()
    before = sum(len(read(path)[0]) for path in _journal(tmp_path / "many").parent.glob("journal.*-of-*.jsonl"))
    made(MlmTemplates(), raw, tmp_path / "many")
    assert tree(tmp_path / "one") == tree(tmp_path / "many")
    assert len(_entries(tmp_path / "many")) == before  # nothing was written twice


@pytest.mark.parametrize("form", ["authors", "jsonl", "parquet"])
def test_export_holds_every_sentence_once(raw: Path, tmp_path: Path, form: str) -> None:
    outcome = made(MlmTemplates(), raw, tmp_path)
    run, rows = read_set(tmp_path / "leukemiaattri-mlm")
    files = export(rows, run, form, tmp_path / form)
    assert json.loads(files[-1].read_text())["task"] == "mlm"
    if form == "parquet":
        import polars

        assert sum(len(polars.read_parquet(file)) for file in files[:-1]) == len(outcome.rows)
        return
    if form == "jsonl":
        lines = [json.loads(line) for file in files[:-1] for line in file.read_text().splitlines()]
        assert sorted(line["text"] for line in lines) == sorted(row["text"] for row in outcome.rows)
        return
    said = []
    for file in files[:-1]:
        whole = json.loads(file.read_text())
        names = {image["id"]: image["file_name"] for image in whole["images"]}
        for one in whole["annotations"]:
            assert set(one) == {"id", "image_id", "masked_comment", "completed_text", "category_id", "task"}
            assert names[one["image_id"]].endswith(".png")
            assert captions.blanks(one["masked_comment"], one["completed_text"])
            said.append(one["completed_text"])
    assert sorted(said) == sorted(row["text"] for row in outcome.rows)


def test_report_has_all_parts_and_a_sample_with_marked_claims(raw: Path, tmp_path: Path) -> None:
    outcome = made(MlmTemplates(), raw, tmp_path)
    told, page = make(tmp_path / "leukemiaattri-mlm", pictures=raw / "leukemiaattri")
    text = page.read_text(encoding="utf-8")
    for part in (
        "quotas",
        "acceptance",
        "coverage",
        "diversity",
        "lengths",
        "blind",
        "leaks",
        "throughput",
        "review",
    ):
        assert f'<h2 id="{part}">' in text
    assert sum(q["written"] for q in told["quotas"]) == len(outcome.rows)
    assert told["leaks"][0]["shares"]["patients"] == 0
    blanks = sum(c["train"] + c["test"] for c in told["coverage"])
    assert blanks == len(outcome.blanks)
    assert text.count('<mark class="supported"') > 20
    assert "data:image/jpeg;base64," in text
    assert "pairs" not in text.partition("<body>")[2].partition('<h2 id="review">')[0]


def test_pages_and_corpus_agree_on_names_and_unknown_codes(raw: Path, tmp_path: Path) -> None:
    lexicon = load("leukemiaattri")
    rows = list(labels.rows(raw / "leukemiaattri", lexicon, "H_100X_C2"))
    assert rows
    assert all(row["native_group"].startswith("leukemiaattri/slide ") for row in rows)
    unknown = [cell for row in rows for cell in row["objects"] if cell["label"] == "none"]
    assert all(value["value"] is None for cell in unknown for value in cell["attributes"])
    with pytest.raises(InputMissingError, match="json_labels"):
        list(labels.rows(tmp_path, lexicon, "H_100X_C2"))
    page = tmp_path / "train.json"
    page.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "1_2_1000_ALL.png"}],
                "categories": [{"id": 1, "name": "martian"}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]}],
            }
        )
    )
    with pytest.raises(FormatError, match="martian"):
        list(labels.rows(page, lexicon, "H_100X_C2"))


def test_place_is_announced_and_one_that_takes_nothing_is_refused(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["mlm", "--engine", "template", "--labels", str(raw / "leukemiaattri"), "--json"]
    monkeypatch.setattr(sys, "argv", ["hemasynth", *words, "--out", str(tmp_path / "text")])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    said = capsys.readouterr()
    assert said.err.splitlines()[0] == f"Writing into {tmp_path / 'text' / 'leukemiaattri-mlm'}"
    assert json.loads(said.out)["sentences"] > 0
    monkeypatch.setattr("os.access", lambda *_: False)
    for out, hint in ((None, "beside the raw data"), (tmp_path, "--out")):
        with pytest.raises(UsageError, match=hint):
            building.target(out, tmp_path / "raw")
