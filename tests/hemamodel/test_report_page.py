"""The page with pictures: what it shows, how large it is, and that it asks for nothing outside."""

import re
from pathlib import Path

import hemadata
import numpy as np
import pytest
import torch
from browser import Browser, browser
from hemamodel.data import MORPHOLOGY, CorpusDataset, decode
from hemamodel.data.tasks import stage_dataset
from hemamodel.evaluate import scores
from hemamodel.evaluate.evidence import About, BoxEvidence, ClassEvidence, Evidence, MaskEvidence, TextEvidence
from hemamodel.evaluate.gallery import BYTES, EACH, FOUND, TRUE, Gallery, choose
from hemamodel.evaluate.tasks import one_bit
from hemamodel.evaluate.tell import Block
from hemamodel.predict.results import Detections
from hemamodel.stages import HOME, load

__all__ = ["browser"]


def test_the_worst_the_best_and_some_by_chance() -> None:
    marks = [((i * 7) % 40) / 40 for i in range(40)]
    found = choose(marks)
    assert len(found) == len({at for _, at in found}) == 3 * EACH
    parts = {why: [marks[at] for each, at in found if each == why] for why, _ in found}
    assert parts["worst"] == sorted(marks)[:EACH] and parts["best"] == sorted(marks)[::-1][:EACH]
    assert found == choose(marks), "the same each time"
    assert [why for why, _ in choose([0.5, 0.1])] == ["worst", "worst"] and choose([]) == []
    assert [len([why for why, _ in choose([0.0] * 12) if why == each]) for each in ("worst", "best")] == [8, 4]


SOURCES = {
    "detection": "bccd", "segmentation": "wbc-image-dataset", "classification": "raabin", "vqa": "wbcatt-vqa",
}  # fmt: skip


def invented(data: CorpusDataset) -> Evidence:
    """Answers near the truth, without a model."""
    draw = torch.Generator().manual_seed(0)
    records = [data.record(i) for i in range(len(data))]
    names = [each["sample_id"] for each in records]
    common = (names, [each["source"] for each in records])
    if data.task == "detection":
        boxes, labels, rated = (
            [torch.from_numpy(each[name]) for each in records] for name in ("boxes", "labels", "attributes")
        )
        found = [
            Detections(
                box + torch.randn(box.shape, generator=draw) * 5,
                torch.linspace(0.9, 0.2, len(box)),
                kind,
                torch.zeros(len(box), len(MORPHOLOGY)),
            )
            for box, kind in zip(boxes, labels, strict=True)
        ]
        return BoxEvidence(*common, boxes, labels, rated, found, data.class_names, 0.3)
    if data.task == "segmentation":
        truth = [
            decode.mask(data.corpus.mask(name) or b"", record["foreground"])[0].numpy().astype(bool)
            for name, record in zip(names, records, strict=True)
        ]
        drawn = [(one_bit(mask), one_bit(np.roll(mask, 9, 1))) for mask in truth]
        dice = [scores.overlap(mask, np.roll(mask, 9, 1))[0] for mask in truth]
        return MaskEvidence(*common, dice, dice, drawn)
    if data.task == "classification":
        kinds = [each["label"] for each in records]
        return ClassEvidence(*common, kinds, kinds[1:] + kinds[:1], data.class_names, [0.7] * len(records))
    answers = [each["answer"] for each in records]
    prompts, about = [data.prompt(each) for each in records], [About.of(each) for each in records]
    return TextEvidence(*common, answers, ["<script>alert(1)</script>", *answers[:-1]], prompts, about)


@pytest.fixture(scope="module")
def filled(phantom_corpus: Path) -> Gallery:
    """Every task."""
    gallery = Gallery()
    with hemadata.open(phantom_corpus) as corpus:
        for task, source in SOURCES.items():
            data = stage_dataset(corpus, load(HOME[task]), task, None, training=False, sources=[source])
            gallery.take(task, invented(data), corpus)
    return gallery


BLOCKS = [
    Block("title", "runs/stage4-tiny-001"),
    Block("text", "On test."),
    *(Block("heading", task) for task in ("detection", "segmentation", "classification", "vqa")),
    Block("table", head=["source", "samples"], rows=[["bccd & co", "24"]]),
]


def test_a_page_of_one_file(filled: Gallery) -> None:
    page = filled.page(BLOCKS)
    assert len(page) < BYTES + 500_000 and page.count("<figure>") == 4 * 3 * EACH
    assert f"--annotated: {TRUE};" in page and f"--found: {FOUND};" in page
    assert "bccd &amp; co" in page and "<script" not in page
    assert set(re.findall(r'(?:src|href)="([^"]{5})', page)) == {"data:"} and "http" not in page.replace(
        "http-equiv", ""
    )
    assert Gallery().page(BLOCKS[:2]).count("<figure>") == 0


def test_the_page_in_a_browser(filled: Gallery, tmp_path: Path, browser: Browser) -> None:
    file = tmp_path / "report.html"
    file.write_text(filled.page(BLOCKS))
    browser.call("Page.navigate", url=file.as_uri())
    browser.until("location.protocol === 'file:' && document.readyState === 'complete'", seconds=30)
    loaded = "Promise.all([...document.images].map(i => i.decode())).then(() => document.images.length)"
    assert browser.value(loaded) == 4 * 3 * EACH
    assert browser.value("document.querySelectorAll('h3').length") == 12
    sent = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    assert [url for url in sent if not url.startswith("data:")] == [file.as_uri()]
    assert not [e for e in browser.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
