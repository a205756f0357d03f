"""The checker on the labelled sentences, and the rules of making them."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hemasynth.lexicon import SOURCES, load
from hemasynth.plan import frames
from hemasynth.wilson import wilson

HERE = Path(__file__).parent / "sentences"
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "checker.py"
FILES = sorted(HERE.glob("*.jsonl"))
ROWS = [json.loads(line) for file in FILES for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def counts() -> dict[str, dict[str, tuple[int, int]]]:
    spec = importlib.util.spec_from_file_location("checker_benchmark", BENCHMARK)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: dict[str, dict[str, tuple[int, int]]] = module.measure(module.SETS)[0]
    return found


def test_contradictions_are_found_and_the_true_is_let_through(counts: dict[str, dict[str, tuple[int, int]]]) -> None:
    caught, false = counts["all"]["contradiction recall"]
    assert caught / false >= 0.98
    rejected, true = counts["all"]["false rejection"]
    assert rejected / true <= 0.05
    undecided, every = counts["all"]["undecided"]
    assert undecided / every <= 0.10


def test_every_attribute_is_covered_and_none_is_weak(counts: dict[str, dict[str, tuple[int, int]]]) -> None:
    for source in SOURCES:
        for name in (*load(source).values, "label"):
            caught, total = counts[f"about {name}"]["contradiction recall"]
            assert total >= 10, name
            assert caught / total >= 0.95, name


def test_there_are_enough_sentences_and_names_are_unique() -> None:
    assert len(ROWS) >= 300
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    said = [(row.get("text"), row.get("question"), row.get("answer")) for row in ROWS]
    assert len(set(said)) == len(said)


def template_frames() -> list[re.Pattern[str]]:
    """Return every frame that asks for or states one attribute, with the words that the engine puts into its slots."""

    def texts(node: Any) -> list[str]:
        if isinstance(node, str):
            return [node]
        children = node.values() if isinstance(node, dict) else node
        return [text for child in children for text in texts(child)]

    cells = "|".join(re.escape(cell) for cell in frames()["cell"])
    patterns = []
    for name, values in load().values.items():
        words = [word for each in frames()[name].get("words", {}).values() for word in each] or list(values)
        word = "|".join(re.escape(each) for each in words)
        slots = {"cell": f"(?:{cells})", "v": f"(?:{word})", "a": f"(?:an? )(?:{word})"}
        for kind in ("ask", "say", "premise"):
            for frame in texts(frames()[name][kind]):
                pieces = re.split(r"\{(\w+)\}", frame)
                body = "".join(slots[piece] if place % 2 else re.escape(piece) for place, piece in enumerate(pieces))
                patterns.append(re.compile(f"(?:(?:yes|no), )?{body}[.?]?", re.IGNORECASE))
    return patterns


def test_no_sentence_is_one_that_the_templates_write() -> None:
    patterns = template_frames()
    assert len(patterns) > 100
    shared = [
        row["id"]
        for row in ROWS
        for text in (row.get("text"), row.get("question"), row.get("answer"))
        if text and any(pattern.fullmatch(text) for pattern in patterns)
    ]
    assert shared == []


def test_wilson_interval_of_a_known_case() -> None:
    low, high = wilson(9, 10)
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)
    assert wilson(0, 0) == (0.0, 1.0)
