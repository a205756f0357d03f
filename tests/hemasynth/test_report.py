import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, browser
from hemadata import sources
from hemadata.formats import pairs
from hemasynth import cli
from hemasynth.engines.base import Reply
from hemasynth.engines.template import TemplateEngine
from hemasynth.errors import RecordError
from hemasynth.report import diversity, make, review, sample
from hemasynth.report.intervals import wilson
from hemasynth.vqa import write

__all__ = ["browser"]


class Shaky(TemplateEngine):
    """A model that is wrong at every fourth first attempt, and cut at every ninth."""

    name = "endpoint"
    model = "org/model"

    def generate(self, requests: Any) -> Any:
        for number, request in enumerate(requests):
            reply = next(super().generate([request]))
            if request.attempt == 0 and number % 4 == 0:
                reply = Reply(request, reply.text.replace('"answer": "', '"answer": "It is a case of anaemia. '))
            elif request.attempt == 0 and number % 9 == 0:
                reply = Reply(request, reply.text[:40], "length")
            yield reply


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("set")
    sources.get("wbcatt").draw(root / "raw", 80, 0)
    write(Shaky(), Path("nowhere"), root / "raw", labels=root / "raw" / "wbcatt")
    return root / "raw" / "wbcatt-vqa"


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (95, 100, 0.8882, 0.9785)],
)
def test_wilson(hits: int, total: int, low: float, high: float) -> None:
    assert wilson(hits, total) == pytest.approx((low, high), abs=1e-4)


def test_page_stands_alone_and_its_counts_add_up(folder: Path) -> None:
    told, page = make(folder)
    text = page.read_text(encoding="utf-8")
    assert "http" not in re.sub(r"http-equiv", "", text)
    counts, acceptance = told["counts"], told["acceptance"]
    assert sum(q["planned"] for q in told["quotas"]) == counts["planned"] == counts["pairs"]
    assert all(q["planned"] == q["written"] + q["missing"] for q in told["quotas"])
    assert acceptance["replies"] == acceptance["accepted"] + acceptance["refused"]
    assert acceptance["accepted"] == counts["pairs"]
    first, second = acceptance["attempts"]
    assert first["refused"] == second["replies"] > 0
    gates = {gate["gate"]: gate["by_attempt"] for gate in acceptance["gates"]}
    assert gates["unsupported"][0] > 0 < gates["truncated"][0]
    assert {name: sum(g) for name, g in gates.items()} == counts["refusals"]
    assert sum(t["first"] for t in told["types"]) == first["replies"]
    hard = next(leak for leak in told["leaks"] if leak["split"] == "hard")
    assert hard["shares"]["facts"] == hard["shares"]["pictures"] == 0
    assert told["throughput"][0]["ended"] == "done"
    assert make(folder)[1].read_text(encoding="utf-8") == text  # the same set, the same page


def test_page_of_several_times_the_pairs_counts_them_all(tmp_path: Path) -> None:
    sources.get("wbcatt").draw(tmp_path / "raw", 10, 0)
    outcome, tree = write(
        TemplateEngine(), Path("nowhere"), tmp_path / "raw", labels=tmp_path / "raw" / "wbcatt", times=3
    )
    told, _ = make(tree.parent)
    assert sum(q["planned"] for q in told["quotas"]) == outcome.run["counts"]["planned"] > 40
    assert not any(q["missing"] for q in told["quotas"])


def test_sample_has_every_type_and_origin_and_marks_claims(folder: Path) -> None:
    _, rows = pairs.read(folder / "hemasynth")
    drawn = sample.draw(rows)
    assert len(drawn) == len({row["question_id"] for row in drawn}) == 100
    assert {(r["question_type"], r["origin"]) for r in drawn} == {(r["question_type"], r["origin"]) for r in rows}
    assert sample.draw(list(reversed(rows))) == drawn
    text = make(folder)[1].read_text(encoding="utf-8")
    assert text.count("<article") == 100
    assert text.count('<mark class="supported" title="') > 100
    assert '<mark class="contradicted" title' not in text


def test_text_of_a_model_is_text_and_no_markup(neutrophil: Any) -> None:
    from hemasynth.faithful import Checker

    text = "<script>alert(1)</script> The nucleus is bilobed & round."
    shown = str(sample.mark(text, Checker().text(neutrophil, text).claims))
    assert "<script>" not in shown
    assert "&amp;" in shown
    assert re.sub(r"<[^>]+>", "", shown).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text
    assert 'class="contradicted"' in shown


def test_pictures_are_embedded_where_they_are(folder: Path) -> None:
    told, page = make(folder, out=folder / "with.html", pictures=folder.parent / "acevedo")
    assert page.read_text(encoding="utf-8").count("data:image/jpeg;base64,") == 100
    assert told["review"] is None


def test_verdicts_come_back_as_a_rate_with_an_interval(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = pairs.read(folder / "hemasynth")
    drawn = sample.draw(rows)
    words = ["accept"] * 90 + ["reject"] * 4 + ["unclear"] + [""] * 5
    file = tmp_path / "review.csv"
    with file.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(review.COLUMNS)
        writer.writerows((row["question_id"], word, 'so, "so"') for row, word in zip(drawn, words, strict=True))
    arguments = ["hemasynth", "report", "--raw", str(folder.parent), "--verdicts", str(file), "--json"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    told = json.loads(capsys.readouterr().out)["review"]
    assert (told["accepted"], told["judged"], told["open"], told["unclear"]) == (90, 95, 5, 1)
    assert told["interval"] == pytest.approx(wilson(90, 95))
    assert "94.7%" in (folder / "report.html").read_text(encoding="utf-8")
    for line, message in (
        ("nobody,accept,", "not in the sample"),
        (f"{drawn[0]['question_id']},good,", "the verdict is 'good'"),
        (f"{drawn[0]['question_id']},accept,\n{drawn[0]['question_id']},accept,", "judged twice"),
    ):
        file.write_text(f"question_id,verdict,note\n{line}\n")
        with pytest.raises(RecordError, match=message):
            make(folder, verdicts=file)
    file.write_text("a,b\n1,2\n")
    with pytest.raises(RecordError, match="expected the columns question_id"):
        make(folder, verdicts=file)


def test_self_bleu_and_distinct_tell_copies_from_variety() -> None:
    same = [{"question_type": "single", "question": "How big is it?", "answer": "It is big."}] * 20
    words = ["amber", "birch", "cedar", "delta", "ember", "frost", "grove", "heath", "inlet", "jetty", "knoll", "larch"]
    other = [
        {"question_type": "single", "question": " ".join(words[n:] + words[:n])[::-1], "answer": f"word{n} {n}"}
        for n in range(12)
    ]
    (low,), (high,) = diversity.measure(other), diversity.measure(same)
    assert high["self_bleu_4"] == pytest.approx(1.0)
    assert low["self_bleu_4"] < 0.9 < high["self_bleu_4"]
    assert low["distinct_2"] > high["distinct_2"] == pytest.approx(6 / 120)
    assert diversity.duplicates([{**row, "image": str(n)} for n, row in enumerate(same)])["exact"] == 19


@pytest.mark.parametrize("form", ["authors", "jsonl", "parquet"])
def test_export_holds_every_pair_once(
    folder: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["hemasynth", "export", "--raw", str(folder.parent), "--format", form, "--out", str(tmp_path), "--json"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    _, rows = pairs.read(folder / "hemasynth")
    wanted = Counter((row["image"], row["question"], row["answer"]) for row in rows)
    found: Counter[tuple[str, str, str]] = Counter()
    if form == "authors":
        for name, split in (("Q_A_train.json", "train"), ("Q_A_test_large.json", "test")):
            table = json.loads((tmp_path / name).read_text())
            images = {image["id"]: image["file_name"] for image in table["images"]}
            assert [each["id"] for each in table["images"]] == [each["image_id"] for each in table["annotations"]]
            assert table["categories"] == [{"id": 1, "name": "QA"}]
            here = [(images[a["image_id"]], a["Question"], a["Answer"]) for a in table["annotations"]]
            assert len(here) == sum((row["split_upstream"] == "test") == (split == "test") for row in rows)
            assert {(a["task"], a["category_id"]) for a in table["annotations"]} == {("QA", 1)}
            found.update(here)
    elif form == "jsonl":
        for file in tmp_path.glob("*.jsonl"):
            for line in file.read_text().splitlines():
                row = json.loads(line)
                assert row["split_upstream"] == file.stem
                found[row["image"], row["question"], row["answer"]] += 1
    else:
        import pyarrow.parquet as pq

        for file in tmp_path.glob("*.parquet"):
            found.update((row["image"], row["question"], row["answer"]) for row in pq.read_table(file).to_pylist())
    assert found == wanted


def test_doctor_and_plan_and_preview_answer(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stub: Any
) -> None:
    def call(*arguments: str) -> tuple[int, Any]:
        monkeypatch.setattr(sys, "argv", ["hemasynth", *arguments, "--json"])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0), json.loads(capsys.readouterr().out)

    labels = str(folder.parent / "wbcatt")
    code, told = call("plan", "--labels", labels)
    assert code == 0
    assert told["pairs"] == sum(sum(parts.values()) for parts in told["quotas"].values())
    code, shown = call("preview", "-n", "5", "--labels", labels, "--engine", "template")
    assert (code, [each["verdict"] for each in shown]) == (0, ["passed"] * 5)
    code, found = call("doctor", "--base-url", stub.url, "--raw", str(tmp_path))
    assert code == 0
    assert next(each for each in found if each["name"] == "server")["state"] == "ok"
    stub.obeys = False
    code, found = call("doctor", "--base-url", stub.url, "--raw", str(tmp_path))
    assert code == 1
    assert "ignores response_format" in next(each for each in found if each["name"] == "server")["detail"]


def test_page_is_judged_by_keyboard_and_its_table_comes_back(folder: Path, tmp_path: Path, browser: Browser) -> None:
    _, page = make(folder, tmp_path / "report.html")
    browser.open(page)
    judged = "document.getElementById('progress').textContent"
    shown = int(browser.value("document.querySelectorAll('.card').length"))
    assert browser.value(judged).startswith(f"0 of {shown} judged")
    for name, code in (("a", 65), ("a", 65), ("r", 82), ("u", 85)):
        browser.key(name, code, name)
    browser.key("k", 75, "k")
    browser.key("Backspace", 8)  # the verdict "unclear" is taken back
    assert browser.value(judged).startswith(f"3 of {shown} judged: 2 accepted, 1 rejected, 0 unclear. Accepted 66.7 %")
    assert browser.value("document.querySelectorAll('.card.accept').length") == 2
    table = tmp_path / "review.csv"
    table.write_text(browser.value("table()"), encoding="utf-8")
    told, _ = make(folder, tmp_path / "again.html", verdicts=table)
    assert (told["review"]["accepted"], told["review"]["judged"]) == (2, 3)
    assert told["review"]["interval"] == pytest.approx((0.2077, 0.9385), abs=1e-4)
    browser.value("localStorage.clear()")
    browser.open(tmp_path / "again.html")
    assert browser.value(judged).startswith(f"3 of {shown} judged: 2 accepted")  # the page carries them
    errors = [e for e in browser.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
    assert errors == []
