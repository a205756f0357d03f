"""Which engine is taken, what a model is called, and the engine of transformers on a tiny Mistral."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hemadata.errors import UsageError
from hemasynth import prompt
from hemasynth.engines import choose as choosing
from hemasynth.engines.base import Request
from hemasynth.engines.canary import WORD
from hemasynth.engines.chat import encode, template_path
from hemasynth.engines.choose import choose
from hemasynth.engines.models import ALIASES, resolve
from hemasynth.engines.template import TemplateEngine
from hemasynth.errors import EngineError, EngineMissingError
from hemasynth.journal import Journal
from hemasynth.lexicon import load
from hemasynth.plan import Cell, plan
from hemasynth.run import Run

LEXICON = load()


def test_alias_has_a_pinned_revision_that_can_be_replaced() -> None:
    assert all(len(model.revision or "") == 40 for model in ALIASES.values())
    assert resolve("BioMistral-7B").where == "BioMistral/BioMistral-7B"
    assert resolve("BioMistral-7B", "abc").revision == "abc"
    assert resolve("org/model", "abc").revision == "abc"
    assert resolve("tiny", served=True).where == "tiny"
    with pytest.raises(UsageError, match="Known: BioMistral-7B"):
        resolve("BioMistral-8B")
    with pytest.raises(EngineMissingError, match="no folder"):
        resolve("./nowhere/else")


def test_folder_is_named_without_its_place_and_known_by_its_weights(tmp_path: Path) -> None:
    folder = tmp_path / "own-model"
    folder.mkdir()
    with pytest.raises(EngineMissingError, match=r"expected config\.json"):
        resolve(str(folder))
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"a" * 100)
    found = resolve(str(folder))
    assert (found.name, found.where) == ("own-model", str(folder))
    (folder / "model.safetensors").write_bytes(b"b" * 100)
    assert resolve(str(folder)).weights != found.weights


def test_auto_takes_vllm_where_it_and_a_gpu_are_and_never_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "find_spec", lambda name: None)
    monkeypatch.setattr(choosing, "gpu", lambda: True)
    with pytest.raises(EngineMissingError, match="vLLM is not installed here"):
        choose("auto", "BioMistral-7B")
    monkeypatch.setattr(choosing, "find_spec", lambda name: object())
    engine = choose("auto", "BioMistral-7B")
    assert (engine.name, getattr(engine, "revision", None)) == ("vllm", ALIASES["BioMistral-7B"].revision)
    monkeypatch.setattr(choosing, "gpu", lambda: False)
    with pytest.raises(EngineMissingError, match="sees no GPU"):
        choose("auto", "BioMistral-7B")
    assert choose("auto", "BioMistral-7B", "http://127.0.0.1:9/v1").name == "endpoint"
    with pytest.raises(UsageError, match="--base-url goes with"):
        choose("template", "BioMistral-7B", "http://127.0.0.1:9/v1")
    with pytest.raises(UsageError, match="--journal"):
        choose("replay", "BioMistral-7B")


class FakeVllm(ModuleType):
    """The part of vLLM that the engine uses; `obeys` tells whether the schema is heeded."""

    __version__ = "0.fake"

    def __init__(self, tokenizer: Any, answers: dict[str, str]) -> None:
        super().__init__("vllm")
        self.obeys, self.calls, self.arguments = True, [], {}
        self.calls: list[tuple[list[Any], list[Any]]] = []
        fake = self

        class LLM:
            def __init__(self, model: str, **arguments: Any) -> None:
                fake.arguments = {"model": model, **arguments}

            def get_tokenizer(self) -> Any:
                return tokenizer

            def generate(self, prompts: list[Any], params: list[Any], use_tqdm: bool) -> list[Any]:
                fake.calls.append((prompts, params))
                return [self.output(p["prompt_token_ids"], each) for p, each in zip(prompts, params, strict=True)]

            def output(self, ids: list[int], params: Any) -> Any:
                canary = "word" in params.structured_outputs.json["properties"]
                said = json.dumps({"word": WORD}) if canary else answers[tokenizer.decode(ids)]
                text = said if fake.obeys else "A neutrophil."
                answer = SimpleNamespace(text=text, finish_reason="stop", token_ids=[1, 2])
                return SimpleNamespace(outputs=[answer], prompt_token_ids=ids, num_cached_tokens=16)

        self.LLM, self.SamplingParams = LLM, SimpleNamespace
        sampling = ModuleType("vllm.sampling_params")
        sampling.RequestOutputKind = SimpleNamespace(FINAL_ONLY=2)  # type: ignore[attr-defined]
        sampling.StructuredOutputsParams = SimpleNamespace  # type: ignore[attr-defined]
        self.sampling_params = sampling


class Letters:
    """A tokenizer of letters, with Mistral's marks."""

    chat_template = None
    bos_token_id = 1

    def apply_chat_template(self, turn: Any, tokenize: bool, add_generation_prompt: bool, chat_template: str) -> str:
        import jinja2

        return jinja2.Template(chat_template).render(messages=turn, bos_token="\x01", eos_token="\x02")

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [ord(char) for char in text]}

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


def test_one_turn_has_one_beginning_and_no_blank_after_its_end() -> None:
    ids = encode(Letters(), " Name a cell. ")
    assert Letters().decode(ids) == "\x01[INST] Name a cell. [/INST]"
    assert template_path().is_file()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, cells: list[Cell]) -> FakeVllm:
    tokenizer, answers = Letters(), {}
    for item in plan(cells, LEXICON):
        ids = encode(tokenizer, prompt.render(item, LEXICON))
        answers[tokenizer.decode(ids)] = next(TemplateEngine().generate([Request(item)])).text
    vllm = FakeVllm(tokenizer, answers)
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", vllm.sampling_params)
    return vllm


def test_offline_engine_holds_every_request_to_its_schema_and_seed(
    fake: FakeVllm, tmp_path: Path, cells: list[Cell]
) -> None:
    from hemasynth.engines.vllm import VllmEngine

    with Journal(tmp_path / "journal.jsonl") as journal:
        run = Run(VllmEngine(resolve("BioMistral-7B"), max_model_len=9000, enforce_eager=True))
        outcome = run.write(cells, journal)
    assert outcome.run["counts"]["origin"] == {"model": outcome.run["counts"]["planned"]}
    assert outcome.run["revision"] == ALIASES["BioMistral-7B"].revision
    assert outcome.run["constraint"] == "schema"
    (_, (canary,)), (prompts, params) = fake.calls
    assert canary.temperature == 0
    assert len({each.seed for each in params}) == len(params) == len(prompts)
    assert all(each.structured_outputs.json["additionalProperties"] is False for each in params)
    assert fake.arguments["enable_prefix_caching"] is True
    assert fake.arguments["tokenizer_mode"] == "hf"
    assert fake.arguments["enforce_eager"] is True
    assert run.session.tokens_cached == 16 * len(prompts)
    shared = len(encode(Letters(), prompt.fixed_text(LEXICON))) - 10
    assert len({tuple(each["prompt_token_ids"][:shared]) for each in prompts}) == 1


def test_offline_engine_that_ignores_the_schema_is_refused(fake: FakeVllm, tmp_path: Path, cells: list[Cell]) -> None:
    from hemasynth.engines.vllm import VllmEngine

    fake.obeys = False
    with pytest.raises(EngineError, match="does not hold"):
        VllmEngine(resolve("BioMistral-7B")).start()
    fake.obeys = True
    with pytest.raises(EngineError, match="more than the window of 300"):
        list(
            VllmEngine(resolve("BioMistral-7B"), max_model_len=300).generate(
                [Request(plan(cells, LEXICON)[0], "x" * 99)]
            )
        )


def test_engine_of_transformers_on_a_tiny_model(
    tmp_path: Path, cells: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    try:
        from tiny_mistral import make
    finally:
        sys.path.pop(0)
    from hemasynth.engines.hf import HfEngine

    make(tmp_path / "tiny", [("Name a white blood cell.", "A neutrophil.")] * 4, steps=2)
    model = resolve(str(tmp_path / "tiny"))
    item = plan(cells, LEXICON)[0]
    asked = [Request(item, "Name a white blood cell.", {}, 0.8, 0.95, seed, 12) for seed in (1, 2, 1)]
    engine = HfEngine(model, "cpu")
    engine.start()
    assert "nothing holds tiny to a schema" in capsys.readouterr().err
    first, second, again = engine.generate(asked)
    assert first.text == again.text != second.text
    assert (first.tokens_in, first.finish_reason) == (again.tokens_in, "length" if first.tokens_out >= 12 else "stop")
    assert (engine.constraint, engine.weights) == ("parsed", model.weights)
