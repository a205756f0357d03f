"""The page, driven once by hand in a real browser."""

import csv
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from browser import Browser, browser
from hemadata.phantom import Smear
from hemamodel.demo import TASKS, Demo, serve
from hemamodel.predict.predictor import Predictor
from hemamodel.train.runs import Run

__all__ = ["browser"]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Smear(1, (90, 70)).single_cell(1, "lymphocyte", traits={}).image.save(tmp_path / "cell.png")
    return tmp_path / "cell.png"


@pytest.fixture
def address(detector: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = serve(detector.path, "cpu", port, block=False)
    yield f"http://127.0.0.1:{port}"
    server.close()


def test_a_picture_is_asked_about_in_a_browser(address: str, picture: Path, browser: Browser) -> None:
    browser.call("Page.navigate", url=address)
    browser.until("!!document.querySelector('#picture input[type=file]')")
    browser.choose_file("#picture input[type=file]", picture)
    browser.until("!!document.querySelector('#picture img')")
    browser.value("[...document.querySelectorAll('#task input')].find(i => i.value === 'classification').click()")
    ask = "(document.querySelector('button#ask') || document.querySelector('#ask button'))"
    browser.value(f"{ask}.click()")
    answer = browser.until("(document.querySelector('#answer textarea') || {}).value")
    assert "with probability" in answer
    browser.until("!!document.querySelector('#overlay img')")
    links = "[...document.querySelectorAll('#files a')].map(a => a.getAttribute('download')).join(' ')"
    assert set(browser.until(links).split()) == {"answer.json", "answer.csv"}
    asked = {e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"}
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == [], "nothing from outside"


@pytest.mark.parametrize("task", TASKS)
def test_every_task_answers_with_files(detector: Run, picture: Path, tmp_path: Path, task: str) -> None:
    demo = Demo(Predictor(detector.path, "cpu"), tmp_path / "answers")
    overlay, words, rows, files = demo.ask(str(picture), task, "malaria", "", "Which cell is this?", 0.0)
    assert Path(overlay).is_file() and (words or task in ("vqa", "mlm")) and rows
    by_ending = {Path(file).suffix: Path(file) for file in files}
    answer: dict[str, Any] = json.loads(by_ending[".json"].read_text())
    assert answer["task"] == task and answer["image"] == "cell.png"
    lines = list(csv.reader(by_ending[".csv"].open()))
    assert len(lines) == 1 + len(rows) and all(len(line) == len(lines[0]) for line in lines)
    assert (".png" in by_ending) == (task == "segmentation")
    if task == "detection":
        assert len(rows) == len(answer["objects"]) > 0 and lines[0][-1] == "cytoplasmic_vacuoles"


def test_what_is_missing_is_said(detector: Run, picture: Path, tmp_path: Path) -> None:
    demo = Demo(Predictor(detector.path, "cpu"), tmp_path)
    with pytest.raises(gr.Error, match="Choose a picture"):
        demo.ask(None, "detection", "", "", "", 0.3)
    with pytest.raises(gr.Error, match="vqa needs --question"):
        demo.ask(str(picture), "vqa", "", "", " ", 0.3)
