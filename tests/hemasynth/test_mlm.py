"""Masked sentences: facts per field, checks, masks, length gate, and the run from a corpus to the raw tree."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
from hemadata import sources
from hemadata.build import build
from hemasynth import cli
from hemasynth.claims import read
from hemasynth.journal import Journal
from hemasynth.lexicon import load
from hemasynth.mlm import length, masking
from hemasynth.mlm.check import FieldChecker
from hemasynth.mlm.fields import Field, fields
from hemasynth.mlm.plan import plan
from hemasynth.mlm.run import MlmOutcome, MlmRun
from hemasynth.mlm.template import MlmTemplates, write

LEXICON = load("leukemiaattri")


def box(label: str, **values: str | None) -> dict[str, object]:
    return {"label": label, "attributes": [{"name": name, "value": value} for name, value in values.items()]}


def made(number: int) -> dict[str, object]:
    """A row of the corpus: a field with two types, one of which does not agree on its size."""
    blast = {"nuclear_chromatin": "open", "nucleolus": "prominent", "cytoplasm": "scanty"}
    objects = [
        box("myeloblast", cell_size="large", **blast),
        box("myeloblast", cell_size="small", **blast),
        box("myeloblast", cell_size="small", **blast),
        box("lymphocyte", cell_size="small", nuclear_chromatin="coarse", nucleolus=None, cytoplasm="scanty"),
        box("not_identifiable", cell_size=None),
    ]
    name = f"{number % 10}_{number}_1000_AML"
    return {"sample_id": f"leukemiaattri/H_100X_C2/{name}", "objects": objects, "native_group": f"slide {number % 10}"}


@pytest.fixture
def found() -> list[Field]:
    return list(fields([made(number) for number in range(40)], LEXICON, "H_100X_C2"))


@pytest.fixture
def outcome(found: list[Field], tmp_path: Path) -> MlmOutcome:
    with Journal(tmp_path / "journal.jsonl") as journal:
        return MlmRun(MlmTemplates()).write(found, journal)


def test_facts_are_counts_and_what_seventy_percent_agree_on(found: list[Field]) -> None:
    field = found[0]
    assert field.counts == {"lymphocyte": 1, "myeloblast": 3}  # what could not be identified is not counted
    assert field.records["myeloblast"].attributes == {
        "nuclear_chromatin": "open",
        "nucleolus": "prominent",
        "cytoplasm": "scanty",
    }  # two of three are small: not enough
    assert "nucleolus" not in field.records["lymphocyte"].attributes  # code 4 is never stated


def test_other_subsets_are_left_out() -> None:
    assert list(fields([made(0)], LEXICON, "L_40X_C2")) == []


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Three myeloblasts have open chromatin.", "supported"),
        ("A few myeloblasts have open chromatin.", "supported"),
        ("Four myeloblasts have open chromatin.", "contradicted"),
        ("The field contains many myeloblasts.", "contradicted"),
        ("The myeloblasts have coarse chromatin.", "contradicted"),
        ("The myeloblasts have open chromatin; the lymphocyte has coarse chromatin.", "supported"),
        ("The myeloblasts have open chromatin; the lymphocyte has open chromatin.", "contradicted"),
        ("The myeloblasts are small.", "unsupported"),  # they vary
        ("The lymphocyte has a prominent nucleolus.", "unsupported"),  # unknown
        ("One neutrophil is seen.", "contradicted"),
        ("No neutrophil is seen.", "supported"),
        ("No myeloblast is seen.", "contradicted"),
        ("The lymphocyte lies beside a patient.", "unsupported"),
        ("The myeloblasts may have open chromatin.", "generic"),
    ],
)
def test_sentence_about_a_field(found: list[Field], text: str, verdict: str) -> None:
    assert FieldChecker(LEXICON).text(found[0], text).verdict == verdict


def test_plan_keeps_patients_whole_and_is_the_same_again(found: list[Field]) -> None:
    items = plan(found, seed=1)
    assert [item.id for item in items] == [item.id for item in plan(reversed(found), seed=1)]
    assert len(items) == 120
    split_of = {item.field.group: set[str]() for item in items}
    for item in items:
        split_of[item.field.group].add(item.split)
    assert all(len(splits) == 1 for splits in split_of.values())
    assert 0.1 <= Counter(item.split for item in items)["test"] / len(items) <= 0.3
    assert len(plan(found, seed=1, sentences=50)) == 50


def test_every_sentence_is_true_and_its_blanks_restore_it(found: list[Field], outcome: MlmOutcome) -> None:
    by_id = {field.image_id: field for field in found}
    assert len(outcome.rows) == 120
    for row in outcome.rows:
        assert FieldChecker(LEXICON).text(by_id[row["image_id"]], row["text"]).verdict == "supported"
        assert masking.restore(row["masked_text"], row["answers"]) == row["text"]
        spans = list(zip(row["span_starts"], row["span_ends"], strict=True))
        assert [row["text"][start:end] for start, end in spans] == row["answers"]
        assert (
            row["target"]
            == "".join(f"<extra_id_{n}> {answer} " for n, answer in enumerate(row["answers"]))
            + f"<extra_id_{len(spans)}>"
        )
        assert 1 <= len(spans) <= 4
        assert set(row["attributes"]) <= {*LEXICON.values, "label", "count"}
        claimed = {claim.span for claim in read(row["text"], "", LEXICON)}
        assert all(
            span in claimed for span, name in zip(spans, row["attributes"], strict=True) if name != "count"
        )  # nothing but claims is masked
        assert all(row["text"].lower().count(answer.lower()) == 1 for answer in row["answers"])


def test_swapped_value_lets_no_sentence_through(found: list[Field], outcome: MlmOutcome) -> None:
    checker, other = FieldChecker(LEXICON), {"open": "coarse", "prominent": "inconspicuous", "scanty": "abundant"}
    by_id = {field.image_id: field for field in found}
    tried = 0
    for row in outcome.rows:
        for answer, name in zip(row["answers"], row["attributes"], strict=True):
            if answer in other and name not in ("label", "count"):
                text = row["text"].replace(answer, other[answer])
                assert checker.text(by_id[row["image_id"]], text).verdict == "contradicted", text
                tried += 1
    assert tried > 20


def test_authors_format_has_one_sentinel_for_every_blank() -> None:
    spans = [masking.Span(4, 9, "cell_size", "small", "x"), masking.Span(10, 14, "label", "x", "x")]
    masked = masking.mask("The small cell.", spans)
    assert masked.masked_text == "The <extra_id_0> <extra_id_1>."
    assert masking.authors(masked.masked_text) == "The <extra_id_0> <extra_id_0>."
    assert masked.target == "<extra_id_0> small <extra_id_1> cell <extra_id_2>"


def test_same_seed_same_rows_and_a_second_run_writes_nothing(found: list[Field], tmp_path: Path) -> None:
    runs = []
    for name in ("a", "b", "a"):
        with Journal(tmp_path / f"{name}.jsonl") as journal:
            before = len(journal.entries)
            runs.append((MlmRun(MlmTemplates()).write(found, journal), len(journal.entries) - before))
    assert runs[0][0].rows == runs[1][0].rows == runs[2][0].rows
    assert runs[0][0].run == runs[1][0].run
    assert runs[2][1] == 0


def test_blind_rate_is_reported_for_every_masked_attribute(outcome: MlmOutcome) -> None:
    rates = outcome.run["counts"]["blind_fill"]
    assert 0 < rates["all"]["filled_blind"] <= 1
    assert rates["all"]["blanks"] == sum(each["blanks"] for name, each in rates.items() if name != "all")
    assert outcome.run["length_gate"] == "bound"
    assert {blank["attribute"] for blank in outcome.blanks} >= {"label", "count", "nuclear_chromatin"}


def test_bound_is_never_below_what_a_t5_tokenizer_counts(found: list[Field], tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    texts = [write(item, attempt) for item in plan(found) for attempt in range(3)]
    for size in (60, 400):  # hardly more than letters, and whole words
        model = tokenizers.Tokenizer(tokenizers.models.Unigram())
        model.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
        trainer = tokenizers.trainers.UnigramTrainer(
            vocab_size=size, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>"
        )
        model.train_from_iterator(texts, trainer)
        folder = tmp_path / str(size)
        fast = transformers.PreTrainedTokenizerFast(
            tokenizer_object=model,
            eos_token="</s>",
            unk_token="<unk>",
            pad_token="<pad>",
            additional_special_tokens=[f"<extra_id_{n}>" for n in range(5)],
        )
        fast.save_pretrained(folder)
        count, gate = length.counter(folder)
        assert gate == "tokenizer"
        for text in [*texts, "zzz qqq 12", "mask: The <extra_id_0> has<extra_id_1>, <extra_id_2>."]:
            assert count(text) <= length.bound(text), text
            assert length.bound(re.sub(r"\w+$", "", text)) <= length.bound(text)


def test_missing_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(length.InputMissingError, match="--t5"):
        length.counter(tmp_path)


def test_command_writes_the_tree_from_a_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.get("leukemiaattri").draw(tmp_path / "raw", 12, 0)
    (built,) = build(["leukemiaattri"], tmp_path / "raw", tmp_path / "corpus")
    assert built.error is None
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["hemasynth", "mlm", "--engine", "template", "--json"])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert not caught.value.code
        told = json.loads(capsys.readouterr().out)
        tree = tmp_path / "raw" / "leukemiaattri-mlm" / "hemasynth"
        assert sorted(file.name for file in tree.iterdir()) == ["run.json", "texts.parquet"]
        assert told["sentences"] == told["planned"] > 0
        assert told["refused"] == 0
