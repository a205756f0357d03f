import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import hemadata
import pytest
from hemadata import sources
from hemadata.build import build
from hemadata.formats import pairs
from hemasynth import cli


def call(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["hemasynth", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a drawn raw tree of wbcatt and the corpus built from it."""
    folder = tmp_path_factory.mktemp("workplace")
    sources.get("wbcatt").draw(folder / "raw", 24, 0)
    (built,) = build(["wbcatt"], folder / "raw", folder / "corpus")
    assert built.error is None
    return folder


def test_model_without_a_server_says_what_is_missing_in_two_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, tmp_path, "vqa", "--model", "BioMistral-7B") == 3
    out, message = capsys.readouterr()
    assert out == ""
    assert len(message.strip().splitlines()) == 2
    assert "vllm serve BioMistral/BioMistral-7B" in message
    assert "--engine template" in message
    assert list(tmp_path.iterdir()) == []  # the templates were not taken silently


def test_no_corpus_says_how_to_build_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, tmp_path, "vqa", "--engine", "template") == 3
    assert "hemadata build --source wbcatt" in capsys.readouterr().err


def test_unknown_engine_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, tmp_path, "vqa", "--engine", "templates") == 2
    assert "auto, vllm, endpoint, hf, template, replay" in capsys.readouterr().err


def test_pairs_are_written_and_built_and_the_same_again(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = workplace / "raw" / "wbcatt-vqa" / "hemasynth"
    seen = []
    for again in (False, True):
        if again:  # from nothing: no journal, no tree
            (workplace / "raw" / "wbcatt-vqa" / ".hemasynth" / "journal.jsonl").unlink()
        assert call(monkeypatch, workplace, "vqa", "--engine", "template", "--json") == 0
        seen.append([(tree / name).read_bytes() for name in ("run.json", "pairs.parquet")])
    assert seen[0] == seen[1]
    assert sorted(file.name for file in tree.iterdir()) == ["pairs.parquet", "run.json"]
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert (told["cells"], told["refused"], told["engine"]) == (24, 0, "template")
    assert told["out"] == "raw/wbcatt-vqa/hemasynth"
    assert told["build"]["sources"]["wbcatt-vqa"]["images"] == 24
    _, rows = pairs.read(tree)
    assert len(rows) == told["pairs"] > 48
    assert {1, 2, 3} >= set(Counter(row["cell_id"] for row in rows).values())


def test_corpus_holds_the_pairs_and_they_are_true(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, workplace, "vqa", "--engine", "template") == 0
    capsys.readouterr()
    corpus = hemadata.open(workplace / "corpus")
    cells = {row["sample_id"]: row for row in corpus.rows("classification", source="wbcatt")}
    lines = []
    for row in corpus.rows("vqa", source="wbcatt-vqa"):
        cell = cells[row["sample_id"].replace("wbcatt-vqa/", "wbcatt/")]
        record = {each["name"]: each["value"] for each in cell["attributes"]}
        facts = {"source": "wbcatt", "label": cell["label"], "attributes": record}
        for pair in row["qa"]:
            lines.append({"id": pair["question_id"], **facts, "question": pair["question"], "answer": pair["answer"]})
    file = workplace / "lines.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert call(monkeypatch, workplace, "check", str(file), "--json") == 0
    verdicts = [json.loads(line)["verdict"] for line in capsys.readouterr().out.splitlines()]
    assert verdicts == ["supported"] * len(lines)


def test_endpoint_is_taken_when_its_address_is_given_and_refused_when_it_ignores_schemas(
    workplace: Path, stub: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.obeys = False
    assert call(monkeypatch, workplace, "vqa", "--base-url", stub.url) == 1
    assert "ignores response_format" in capsys.readouterr().err
    stub.obeys = True  # it obeys the canary, and knows no good answer: all texts come from templates, and say so
    assert call(monkeypatch, workplace, "vqa", "--engine", "endpoint", "--base-url", stub.url, "--limit", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    pairs_written = int(lines[0].split()[2])
    assert f"  origin: template {pairs_written}" in lines
    assert f"  refusals: schema {3 * pairs_written}" in lines


def test_check_reports_lines_that_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lines.jsonl"
    good = {"id": 1, "attributes": {"cell_size": "big"}, "text": "The cell is small."}
    file.write_text(json.dumps(good) + "\n")
    assert call(monkeypatch, tmp_path, "check", str(file)) == 1
    assert "1 contradicted" in capsys.readouterr().out
    for line, message in (("{", "not JSON"), ("[]", "a JSON object"), ('{"text": "x"}', "attributes")):
        file.write_text(json.dumps(good) + "\n" + line + "\n")
        assert call(monkeypatch, tmp_path, "check", str(file)) == 1
        error = capsys.readouterr().err
        assert "line 2" in error
        assert message in error
    assert call(monkeypatch, tmp_path, "check", "nowhere.jsonl") == 3


def test_help_imports_nothing_heavy() -> None:
    """What makes help slow is what it imports; a time would depend on the machine."""
    heavy = "{'torch', 'transformers', 'vllm', 'openai', 'datasets', 'pyarrow', 'numpy', 'PIL'}"
    code = (
        "import sys; from hemasynth.cli import main; sys.argv = ['hemasynth', 'vqa', '--help']\n"
        f"try: main()\nexcept SystemExit: print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hemasynth vqa --engine template" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_parts_written_by_two_calls_are_taken_over_by_the_third(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = str(workplace / "raw" / "wbcatt")
    common = ["vqa", "--engine", "template", "--labels", labels]
    assert call(monkeypatch, tmp_path, *common, "--out", "one") == 0
    for part in ("1/2", "2/2"):
        assert call(monkeypatch, tmp_path, *common, "--out", "two", "--shard", part) == 0
        assert f"Part {part} is done" in capsys.readouterr().out
        assert not (tmp_path / "two" / "wbcatt-vqa" / "hemasynth").exists()
    assert call(monkeypatch, tmp_path, *common, "--out", "two") == 0
    for name in ("run.json", "pairs.parquet"):
        one, two = (tmp_path / each / "wbcatt-vqa" / "hemasynth" / name for each in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "3/2"], "expected K/N"),
        (["--shard", "half"], "expected K/N"),
        (["--engine", "vllm", "--engine-args", "{"], "--engine-args is no JSON"),
        (["--engine", "vllm", "--engine-args", "[]"], "expected a JSON object"),
        (["--engine", "hf", "--model", "BioMistral"], "Known: BioMistral-7B"),
        (["--engine", "replay"], "--journal FILE"),
    ],
)
def test_wrong_options_are_usage_errors(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert call(monkeypatch, tmp_path, "vqa", *arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_corpus_and_tables_give_the_same_pairs(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, workplace, "vqa", "--engine", "template") == 0
    labels = str(workplace / "raw" / "wbcatt")
    assert call(monkeypatch, tmp_path, "vqa", "--engine", "template", "--labels", labels, "--out", "raw") == 0
    assert "hemadata build --source wbcatt-vqa --raw raw" in capsys.readouterr().out
    for name in ("run.json", "pairs.parquet"):
        first, second = (each / "raw" / "wbcatt-vqa" / "hemasynth" / name for each in (workplace, tmp_path))
        assert first.read_bytes() == second.read_bytes()
