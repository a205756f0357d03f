import json
from pathlib import Path
from typing import Any

import pytest
from hemasynth import prompt
from hemasynth.engines.base import Request
from hemasynth.engines.endpoint import EndpointEngine
from hemasynth.engines.template import TemplateEngine
from hemasynth.errors import EngineError, EngineMissingError
from hemasynth.journal import Journal
from hemasynth.lexicon import load
from hemasynth.plan import Cell, plan
from hemasynth.run import Run

LEXICON = load()


def requests(cells: list[Cell]) -> list[Request]:
    return [
        Request(item, prompt.render(item, LEXICON), prompt.schema(item.topic, LEXICON), 0.8, 0.95, item.seed % 2**31)
        for item in plan(cells, LEXICON)
    ]


def teach(stub: Any, cells: list[Cell]) -> None:
    """Have the stub know good answers to the prompts of the plan."""
    writer = TemplateEngine()
    stub.answers = {request.prompt: next(writer.generate([request])).text for request in requests(cells)}


def test_server_that_obeys_the_schema_is_accepted(stub: Any) -> None:
    EndpointEngine("m", stub.url).start()
    (request,) = stub.requests
    assert request["response_format"]["type"] == "json_schema"
    assert request["response_format"]["json_schema"]["strict"] is True


def test_server_that_ignores_the_schema_is_refused(stub: Any) -> None:
    stub.obeys = False
    with pytest.raises(EngineError, match="ignores response_format"):
        EndpointEngine("m", stub.url).start()


def test_every_request_has_its_own_seed_temperature_and_schema(stub: Any, cells: list[Cell]) -> None:
    asked = requests(cells[:8])
    replies = list(EndpointEngine("m", stub.url, slots=4).generate(iter(asked)))
    assert {reply.request.item.id for reply in replies} == {request.item.id for request in asked}
    assert {reply.tokens_out for reply in replies} == {5}
    assert len({request.seed for request in asked}) == len(asked)
    sent = {body["seed"]: body for body in stub.requests}
    for request in asked:
        body = sent[request.seed]
        assert body["messages"] == [{"role": "user", "content": request.prompt}]
        assert (body["temperature"], body["top_p"]) == (0.8, 0.95)
        assert body["max_tokens"] == request.max_tokens
        assert body["response_format"]["json_schema"]["schema"] == request.schema


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_trouble_is_tried_again(stub: Any, status: int) -> None:
    stub.troubles = [status, status]
    EndpointEngine("m", stub.url).start()
    assert len(stub.requests) == 3


def test_bad_request_is_not_tried_again(stub: Any) -> None:
    stub.troubles = [400, 400]
    with pytest.raises(EngineError, match="in trouble"):
        EndpointEngine("m", stub.url).start()
    assert len(stub.requests) == 1


def test_nobody_answers() -> None:
    with pytest.raises(EngineMissingError, match="Nothing answers at"):
        EndpointEngine("m", "http://127.0.0.1:9/v1", retries=0, timeout=2).start()


def test_whole_run_against_the_server(stub: Any, tmp_path: Path, cells: list[Cell]) -> None:
    teach(stub, cells)
    with Journal(tmp_path / "journal.jsonl") as journal:
        outcome = Run(EndpointEngine("org/model", stub.url)).write(cells, journal)
    assert {row["origin"] for row in outcome.pairs} == {"model"}
    assert {row["generated_by"] for row in outcome.pairs} == {"org/model"}
    assert outcome.run["counts"]["pairs"] == len(stub.requests) - 1  # and the canary


def test_prompt_is_short_enough_and_shared_to_the_record(cells: list[Cell]) -> None:
    fixed = prompt.fixed_text(LEXICON)
    assert all(request.prompt.startswith(fixed) for request in requests(cells))
    assert all(len(request.prompt.split()) < 500 for request in requests(cells))
    assert len({json.dumps(request.schema) for request in requests(cells)}) <= 8
