"""The thread of the README: phantom, corpus, pairs, check, `datasets`, one command after the other."""

import json
import subprocess
import sys
from pathlib import Path

import datasets
import hemadata
import pytest


def run(*words: str, folder: Path, code: int = 0) -> str:
    script = f"from {words[0]}.cli import main; import sys; sys.argv = {list(words)!r}; main()"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_from_phantom_to_checked_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from hemadata import sources

    sources.get("wbcatt").draw(tmp_path / "raw", 20, 0)
    built = json.loads(run("hemadata", "build", "--source", "wbcatt", "--jobs", "1", "--json", folder=tmp_path))
    assert built["sources"]["wbcatt"]["images"] == 20
    written = json.loads(run("hemasynth", "vqa", "--engine", "template", "--json", folder=tmp_path).splitlines()[-1])
    assert (written["cells"], written["pairs"] > 40) == (20, True)
    assert written["build"]["sources"]["wbcatt-vqa"]["images"] == 20
    assert "0 findings" in run("hemadata", "check", folder=tmp_path)
    with hemadata.open(tmp_path / "corpus") as corpus:
        attributes = {row["sample_id"].partition("/")[2]: row["attributes"] for row in corpus.rows("classification")}
        for row in corpus.rows("vqa"):
            known = {a["name"]: a["value"] for a in attributes[row["sample_id"].partition("/")[2]]}
            for use in (use for pair in row["qa"] for use in pair["uses"] if use["name"] in known):
                assert use["value"] == known[use["name"]], row["sample_id"]
    loaded = datasets.load_dataset(str(tmp_path / "corpus"), "vqa", cache_dir=str(tmp_path / "cache"))
    assert sum(len(part) for part in loaded.values()) == 20
    assert loaded["train"][0]["image"].size == (360, 363)
