"""The report in a real browser: it paints, filters, opens a picture by keyboard, and asks for nothing outside."""

import shutil
from pathlib import Path

import hemadata
from browser import Browser, browser
from hemadata.report import write

__all__ = ["browser"]


def test_report_in_a_browser(phantom_corpus: Path, tmp_path: Path, browser: Browser) -> None:
    corpus = Path(shutil.copytree(phantom_corpus, tmp_path / "corpus"))
    with hemadata.open(corpus) as opened:
        index = write.report(opened).page
    browser.open(index)
    assert browser.value("document.getElementById('count').textContent") == "120 of 120 pictures"

    browser.value("document.getElementById('source').value = 'bccd'")
    browser.value("document.getElementById('source').dispatchEvent(new Event('change'))")
    assert browser.value("document.getElementById('count').textContent") == "24 of 120 pictures"
    assert browser.value("document.querySelectorAll('.shot').length") == 24
    assert browser.value("[...document.querySelectorAll('.shot .name')].every(n => n.textContent.startsWith('bccd/'))")
    assert browser.value("document.querySelectorAll('.shot rect').length") > 24
    loaded = "Promise.all([...document.querySelectorAll('.shot img')].map(i => i.decode())).then(() => true)"
    assert browser.value(loaded) is True

    browser.value("document.querySelector('.shot').focus()")
    browser.key("Enter", 13, "\r")
    first = browser.value("document.getElementById('title').textContent")
    assert browser.value("document.getElementById('view').open") and first.startswith("bccd/")
    browser.key("ArrowRight", 39)
    assert browser.value("document.getElementById('title').textContent") not in ("", first)
    browser.key("Escape", 27)
    assert not browser.value("document.getElementById('view').open")

    sent = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    assert [url for url in sent if not url.startswith("data:")] == [index.as_uri()]
    errors = [e for e in browser.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
    assert errors == []
