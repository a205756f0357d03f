import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hemasynth.engines.base import Reply, Request
from hemasynth.engines.template import TemplateEngine
from hemasynth.errors import EngineError
from hemasynth.journal import Journal
from hemasynth.ladder import LADDER
from hemasynth.plan import Cell
from hemasynth.run import Outcome, Run


def write(folder: Path, engine: Any, cells: list[Cell], **options: Any) -> Outcome:
    with Journal(folder / "journal.jsonl") as journal:
        return Run(engine, options.pop("seed", 0)).write(cells, journal, **options)


def truth(request: Request) -> Reply:
    """Answer as the templates do."""
    return next(TemplateEngine().generate([request]))


def spoiled(request: Request, **changes: str) -> Reply:
    return Reply(request, json.dumps({**json.loads(truth(request).text), **changes}))


def test_rows_have_what_the_raw_tree_needs(tmp_path: Path, cells: list[Cell]) -> None:
    outcome = write(tmp_path, TemplateEngine(), cells)
    ids = [row["question_id"] for row in outcome.pairs]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids) >= 2 * len(cells)
    row = next(row for row in outcome.pairs if row["question_type"] == "yes_no")
    assert (row["answer_type"], row["origin"], row["generated_by"]) == ("closed", "template", "template")
    assert row["image"] == row["cell_id"].removeprefix("wbcatt/") + ".jpg"
    assert row["uses"][0]["name"] == row["attribute"]
    assert outcome.run["counts"]["pairs"] == len(ids)
    assert outcome.refused == 0


def test_same_seed_same_rows_and_a_finished_journal_asks_for_nothing(
    tmp_path: Path, cells: list[Cell], scripted: Any
) -> None:
    first = write(tmp_path / "a", scripted(truth), cells)
    assert write(tmp_path / "b", scripted(truth), list(reversed(cells))) == first
    engine = scripted(truth)
    assert write(tmp_path / "a", engine, cells) == first
    assert (engine.seen, engine.started) == ([], 0)
    assert write(tmp_path / "a", scripted(truth), cells, seed=1).pairs != first.pairs


def test_refused_text_climbs_the_ladder_with_the_reason(tmp_path: Path, cells: list[Cell], scripted: Any) -> None:
    def script(request: Request) -> Reply:
        return Reply(request, "{}") if request.attempt == 0 else truth(request)

    engine = scripted(script)
    outcome = write(tmp_path, engine, cells[:1])
    assert {row["origin"] for row in outcome.pairs} == {"model_repaired"}
    first, second = engine.seen[0], next(r for r in engine.seen if r.attempt == 1)
    assert second.prompt == first.prompt + "An earlier text was refused: it was not the JSON that was asked for.\n"
    assert second.seed != first.seed
    assert first.prompt[:800] == engine.seen[1].prompt[:800]  # the fixed part comes first
    assert outcome.run["counts"]["refusals"] == {"schema": len(outcome.pairs)}


@pytest.mark.parametrize(
    ("spoil", "gate"),
    [
        (lambda request: Reply(request, truth(request).text, "length"), "truncated"),
        (lambda request: spoiled(request, answer="The nucleus is round and bilobed."), "contradicted"),
        (lambda request: spoiled(request, answer="It is a case of anaemia."), "unsupported"),
        (lambda request: spoiled(request, answer=""), "empty"),
        (lambda request: spoiled(request, uses=[]), "uses"),
    ],
)
def test_what_never_passes_is_written_from_templates(
    tmp_path: Path, cells: list[Cell], scripted: Any, spoil: Any, gate: str
) -> None:
    engine = scripted(spoil)
    outcome = write(tmp_path, engine, cells[:4])
    assert len(engine.seen) == len(LADDER) * len(outcome.pairs)
    assert {row["origin"] for row in outcome.pairs} == {"template"}
    assert outcome.run["counts"]["refusals"][gate] == len(engine.seen)
    assert outcome.refused == 0


def test_engine_that_fails_halfway_loses_and_repeats_nothing(tmp_path: Path, cells: list[Cell], scripted: Any) -> None:
    """Every third text is refused, and the engine fails after ever more replies, until a run comes through."""

    def script(request: Request) -> Reply:
        return Reply(request, "{}") if int(request.item.id[2:5]) % 3 == 0 and request.attempt < 2 else truth(request)

    straight = write(tmp_path / "straight", scripted(script), cells)
    asked: Counter[tuple[str, int]] = Counter()
    for _ in range(20):
        left = 11

        def failing(request: Request) -> Reply:
            nonlocal left
            left -= 1
            if left < 0:
                raise EngineError("the server is gone")
            asked[request.item.id, request.attempt] += 1
            return script(request)

        try:
            outcome = write(tmp_path / "halting", scripted(failing), cells)
            break
        except EngineError:
            continue
    assert outcome == straight
    assert set(asked.values()) == {1}


def test_changed_record_is_written_again(tmp_path: Path, cells: list[Cell], scripted: Any) -> None:
    write(tmp_path, scripted(truth), cells)
    moved = [Cell(cells[0].sample_id, cells[0].image, cells[1].record, "train"), *cells[1:]]
    engine = scripted(truth)
    outcome = write(tmp_path, engine, moved)
    assert cells[0].sample_id in {request.item.cell.sample_id for request in engine.seen}
    assert len(outcome.pairs) == outcome.run["counts"]["planned"]


def test_run_says_neither_when_nor_where(tmp_path: Path, cells: list[Cell]) -> None:
    text = json.dumps(write(tmp_path, TemplateEngine(), cells).run)
    assert "created" not in text
    assert str(tmp_path) not in text


def test_interrupted_run_keeps_what_was_answered(tmp_path: Path, cells: list[Cell], scripted: Any) -> None:
    left = 30

    def script(request: Request) -> Reply:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return truth(request)

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, scripted(script), cells)
    engine = scripted(truth)
    outcome = write(tmp_path, engine, cells)
    assert len(engine.seen) == len(outcome.pairs) - 30
