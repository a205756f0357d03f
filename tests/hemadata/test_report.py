"""The report: every figure against a slow count, what the page may hold, its size, and a look at it in a browser."""

import csv
import json
import math
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import hemadata
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hemadata import schema
from hemadata.build import Options, build
from hemadata.corpus import Corpus
from hemadata.errors import CorpusError, UsageError
from hemadata.report import charts, choose, page, write
from hemadata.report.tally import spread

ATTACK = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"&{{7*7}}"
LINKS = {"src", "href", "action", "poster", "srcset", "formaction", "background", "xlink:href"}
LEAKAGE = "kind,turn,score,confirmed,leaks,cluster,source_a,sample_a,split_a,source_b,sample_b,split_b\n"


@pytest.fixture(scope="module")
def reported(phantom_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the phantom corpus with its report; one source is called real, so that it is compared."""
    out = Path(shutil.copytree(phantom_corpus, tmp_path_factory.mktemp("report") / "corpus"))
    with hemadata.open(out) as corpus:
        write.report(corpus)
    return out


@pytest.fixture(scope="module")
def stats(reported: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((reported / "reports" / "stats.json").read_text())
    return found


def rows_of(corpus: Path, source: str) -> list[dict[str, Any]]:
    """All rows, by pyarrow alone; the split is that of the file's name."""
    paths = sorted(corpus.glob(f"data/*/{source}/*.parquet"))
    return [
        row | {"split": path.name.partition("-")[0]}
        for path in paths
        for row in pq.ParquetFile(path).read().to_pylist()
    ]


def records_of(text: str) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found
    records: list[dict[str, Any]] = json.loads(found[1])["records"]
    return records


def attributes_of(text: str) -> list[tuple[str, str, str]]:
    """Element, name and value of every attribute that a browser would see."""
    found: list[tuple[str, str, str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend((tag, name, value or "") for name, value in attrs)

    Reader().feed(text)
    return found


def html(corpus: Path) -> str:
    return (corpus / "reports" / "index.html").read_text(encoding="utf-8")


# Figures


@pytest.mark.parametrize("source", ["bccd", "raabin", "wbc-image-dataset", "wbcatt", "wbcatt-vqa"])
def test_figures_are_those_of_a_slow_count(reported: Path, stats: dict[str, Any], source: str) -> None:
    rows, told = rows_of(reported, source), stats["sources"][source]
    assert told["images"] == len(rows) == 24
    splits = Counter(row["split"] for row in rows)
    assert told["splits"] == {split: splits[split] for split in schema.SPLITS}
    upstream = Counter(row["split_upstream"] for row in rows if row["split_upstream"])
    assert told["split_upstream"] == upstream
    objects = [(row, o) for row in rows for o in row.get("objects") or ()]
    shown = [(row["split"], o["label"]) for row, o in objects] or [(row["split"], row["label"]) for row in rows]
    assert {(split, e["label"]): e[split] for e in told["labels"] for split in splits if e[split]} == Counter(shown)
    assert told["objects"] == (len(objects) if objects else None)
    assert told["classes"] == len({label for _, label in shown} - {None})
    sizes = Counter((row["width"], row["height"]) for row in rows)
    assert {(z["width"], z["height"]): z["images"] for z in told["image_sizes"]["most_frequent"]} == dict(
        sizes.most_common(12)
    )
    sides = Counter(round(math.sqrt(o["bbox"][2] * o["bbox"][3])) for _, o in objects)
    assert {int(side): count for side, count in told["box_sides"].items()} == sides
    each = Counter(len(row["objects"]) for row in rows) if objects else Counter[int]()
    assert {int(n): count for n, count in told["objects_histogram"].items()} == each
    carriers = [entry for row in rows for entry in (row, *(row.get("objects") or ()))]
    attributes = Counter((a["name"], a["value"]) for entry in carriers for a in entry["attributes"] or ())
    assert {(a["name"], v["value"]): v["count"] for a in told["attributes"] for v in a["values"]} == attributes
    raw = Counter((e["label_raw"], e["label"], e["label_relation"]) for e in carriers if e["label_raw"] or e["label"])
    assert {(m["raw"], m["label"], m["relation"]): m["count"] for m in told["label_map"]} == raw
    pixels = Counter[str]()
    for row in rows:
        for region in row.get("mask_classes") or ():
            pixels[region["label"]] += region["pixels"]
    whole = pixels.total()
    assert {r["region"]: r["pixel_share"] for r in told["regions"]} == {n: c / whole for n, c in pixels.items() if c}
    pairs = Counter((q["question_type"], q["origin"]) for row in rows for q in row.get("qa") or ())
    assert {(q["type"], q["origin"]): q["count"] for q in told["questions"]} == pairs
    assert told["licences"] == Counter(row["license"] for row in rows)


def test_quarantine_is_that_of_the_csv(reported: Path, stats: dict[str, Any]) -> None:
    with (reported / "reports" / "quarantine.csv").open(newline="") as file:
        due = Counter((line["source"], line["reason"]) for line in csv.DictReader(file))
    found = {(name, q["reason"]): q["count"] for name, s in stats["sources"].items() for q in s["quarantine"]}
    assert found == due and sum(due.values()) == stats["quarantined"] > 0


def test_phantoms_are_not_compared_with_the_paper(reported: Path, stats: dict[str, Any]) -> None:
    assert all(task["paper_sources_built"] == task["paper_images_of_built"] == 0 for task in stats["tasks"].values())
    assert "Drawn, not photographed: bccd" in html(reported)


def test_spread_takes_the_nearest_rank() -> None:
    found = spread(Counter({1: 50, 7: 45, 9: 5}))
    assert found == {"smallest": 1, "p5": 1, "median": 1, "p95": 7, "largest": 9, "count": 100}
    assert spread(Counter()) is None


def test_leakage_is_added_up_between_sources(reported: Path, tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(reported, tmp_path / "c"))
    assert json.loads((corpus / "reports" / "stats.json").read_text())["leakage"]["searched"] is False
    lines = ["near,0,0.9,,yes,k,wbcatt,wbcatt/a,test,raabin,raabin/b,train", "bytes,0,1,,,k,raabin,raabin/c,train,"]
    text = (
        LEAKAGE
        + lines[0]
        + "\n"
        + lines[1]
        + "wbcatt,wbcatt/d,train\nbytes,0,1,,,k,bccd,bccd/a,test,bccd,bccd/b,test\n"
    )
    (corpus / "reports" / "leakage.csv").write_text(text)
    with hemadata.open(corpus) as opened:
        found = write.figures(opened)["leakage"]
        assert write.report(opened).is_new
    assert (found["pairs"], found["leaking"]) == (3, 1)
    assert found["edges"][0] == {
        "sources": ["raabin", "wbcatt"],
        "pairs": 2,
        "leaking": 1,
        "kinds": {"bytes": 1, "near": 1},
    }
    assert 'class="edge bad"' in html(corpus) and "raabin and wbcatt: 2 pairs, 1 across train and test" in html(corpus)
    (corpus / "reports" / "leakage.csv").write_text("a,b\n1,2\n")
    with hemadata.open(corpus) as opened, pytest.raises(CorpusError, match="lacks the columns kind, leaks"):
        write.figures(opened)


# The page


def test_page_asks_for_nothing_from_outside(reported: Path) -> None:
    text = html(reported)
    local = re.compile(r"#[\w-]+|stats\.json|quarantine\.csv|leakage\.csv|gallery/[\w-]+\.html")
    assert [value for _, name, value in attributes_of(text) if name in LINKS and not local.fullmatch(value)] == []
    assert "url(" not in text and "@import" not in text
    assert "default-src &#39;none&#39;" in text


def test_page_tells_the_corpus_and_fits(reported: Path, stats: dict[str, Any]) -> None:
    with hemadata.open(reported) as corpus:
        assert f"<code>{corpus.corpus_id}</code>" in html(reported) and stats["corpus_id"] == corpus.corpus_id
    assert len(html(reported).encode()) <= page.PAGE_BYTES


def test_gallery_shows_what_the_rows_say(reported: Path) -> None:
    records = {record["id"]: record for record in records_of(html(reported))}
    assert len(records) == 5 * 24
    for source in ("bccd", "wbc-image-dataset", "wbcatt", "wbcatt-vqa"):
        for row in rows_of(reported, source):
            record = records[row["sample_id"]]
            boxes = [[*(round(v, 1) for v in o["bbox"]), o["label"]] for o in row.get("objects") or ()]
            assert [box[:5] for box in record.get("b", [])] == boxes
            assert record.get("a", []) == [[a["name"], a["value"]] for a in row["attributes"] or ()]
            assert record.get("q", []) == [[q["question"], q["answer"]] for q in (row.get("qa") or ())[:12]]
            assert ("m" in record) == bool(row.get("mask")) and record["p"] == row["split"]


def test_page_that_would_be_too_large_shows_fewer(
    reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Path(shutil.copytree(reported, tmp_path / "c"))
    (corpus / "reports" / ".made.json").unlink()
    bound = len(html(reported).encode()) - 100_000
    monkeypatch.setattr(page, "PAGE_BYTES", bound)
    with hemadata.open(corpus) as opened:
        written = write.report(opened)
    assert written.bytes <= bound and 0 < written.thumbnails < 120
    sources = Counter(record["s"] for record in records_of(html(corpus)))
    assert max(sources.values()) - min(sources.values()) <= 1  # still stratified
    assert f"{120 - written.thumbnails} more were chosen" in html(corpus)


def test_second_run_does_nothing_and_another_touch_is_seen(reported: Path, tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(reported, tmp_path / "c"))
    before = html(corpus)
    with hemadata.open(corpus) as opened:
        assert not write.report(opened).is_new
        (corpus / "reports" / "index.html").write_text("cut")
        assert write.report(opened).is_new and html(corpus) == before
        with pytest.raises(UsageError, match="at most 1,500"):
            write.report(opened, thumbnails=1501)
    assert not list((corpus / "reports").glob(".*.tmp"))


def test_full_gallery_holds_every_picture(reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Path(shutil.copytree(reported, tmp_path / "c"))
    monkeypatch.setattr(write, "FULL_PAGE", 10)
    with hemadata.open(corpus) as opened:
        assert write.report(opened, full=True).pages == 5 * 3
        assert not write.report(opened, full=True).is_new
    pages = sorted((corpus / "reports" / "gallery").glob("bccd-*.html"))
    shown = [record["id"] for path in pages for record in records_of(path.read_text())]
    assert sorted(shown) == sorted(row["sample_id"] for row in rows_of(corpus, "bccd"))
    assert 'href="bccd-0003.html"' in pages[1].read_text() and 'href="gallery/bccd-0001.html"' in html(corpus)


# What others wrote


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus whose labels, file names and facts hold markup."""
    out = tmp_path_factory.mktemp("attack") / "corpus"
    assert build(["bccd"], Path("nowhere"), out, Options(phantom=6))[0].error is None
    for path in out.glob("data/*/*/*.parquet"):
        table = pq.ParquetFile(path).read()
        rows = table.to_pylist()
        for row in rows:
            row["source_file"] = f"BCCD/{ATTACK}.jpg"
            for o in row["objects"]:
                o["label_raw"] = o["label"] = ATTACK
        pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    manifest = json.loads((out / "manifest" / "bccd.json").read_text())
    manifest["facts"] |= {"title": ATTACK, "citation": ATTACK, "homepage": f"javascript:{ATTACK}"}
    entry = {"source": "bccd", "file": ATTACK, "record": ATTACK, "reason": "junk_file", "detail": ATTACK}
    manifest["problems"].append(entry)
    (out / "manifest" / "bccd.json").write_text(json.dumps(manifest))
    with hemadata.open(out) as corpus:
        write.report(corpus)
    return out


def test_markup_in_labels_and_names_stays_text(attacked: Path) -> None:
    text = html(attacked)
    assert ATTACK not in text and "<img" not in text
    assert [name for _, name, _ in attributes_of(text) if name.startswith("on")] == []
    assert text.count("<script") == text.count("</script>") == 2
    assert "&lt;/script&gt;&lt;script&gt;" in text and "{{7*7}}" in text
    assert {box[4] for record in records_of(text) for box in record.get("b", [])} == {ATTACK}


def test_charts_escape_their_text() -> None:
    drawn = charts.histogram({1: 1, 5: 2}, ATTACK, ATTACK, ATTACK) + charts.stacked({ATTACK: 1}, 1, ATTACK)
    drawn += charts.ranges([(ATTACK, spread(Counter({3: 1})))], ATTACK, ATTACK) + charts.graph(
        [ATTACK], {ATTACK: None}, []
    )
    assert "<img" not in drawn and "<script" not in drawn and '"document' not in drawn


# The choice


def test_choice_takes_every_source_and_class_in_turn() -> None:
    chooser = choose.Chooser(40, 2)
    for number in range(4):
        names = [f"a/{number}-{n}" for n in range(100)]
        labels = ["common"] * 97 + ["rare", "rarer", None]
        chooser.add("a", "s", pa.table({"sample_id": names, "label": labels}))
    chooser.add("b", "s", pa.table({"sample_id": ["b/1", "b/2"], "label": ["x", "x"]}))
    chosen = [name for _, name, _ in chooser.chosen()]
    assert len(chosen) == len(set(chosen)) == 40 and {"b/1", "b/2"} <= set(chosen)
    tails = Counter(name.rpartition("-")[2] if int(name.rpartition("-")[2]) > 96 else "common" for name in chosen[4:])
    assert tails["97"] >= 3 and tails["98"] >= 3 and tails["99"] >= 3  # of 4 each; two may stand before the fourth


def test_choice_keeps_a_bounded_number() -> None:
    chooser = choose.Chooser(100, 1)
    for number in range(50):
        chooser.add("a", "s", pa.table({"sample_id": [f"a/{number}-{n}" for n in range(100)], "label": ["x"] * 100}))
    assert sum(len(kept) for strata in chooser._strata.values() for kept in strata.values()) == 200
    assert len(chooser.chosen()) == 100


# The command line


def test_commands(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hemadata.report import tell

    tell.stats(reported, as_json=True)
    assert json.loads(capsys.readouterr().out)["images"] == 120
    tell.stats(reported, as_json=False)
    assert "bccd  detection  24 images" in capsys.readouterr().out
    tell.report(reported, full=False, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["thumbnails"], told["pages"], told["new"]) == (120, 0, False)
    assert isinstance(Corpus(reported).corpus_id, str)
