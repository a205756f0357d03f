"""A run beside others on the same samples: a blind one, exchanged pictures, the commonest answers."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hemamodel.data.tasks import stage_dataset
from hemamodel.errors import InputMissingError
from hemamodel.evaluate.baselines import Majority, exchanged, facts_of, of_unseen_facts, without_type_named
from hemamodel.evaluate.evidence import About, Evidence, TextEvidence
from hemamodel.evaluate.interval import interval
from hemamodel.evaluate.several import against
from hemamodel.stages import StageConfig

if TYPE_CHECKING:
    from hemadata.corpus import Corpus


def text_baselines(
    evidence: TextEvidence,
    corpus: "Corpus",
    task: str,
    config: StageConfig,
    units: Mapping[str, str],
    ask: Callable[[dict[str, str]], Evidence] | None,
) -> dict[str, Evidence]:
    """Evidence of whoever does not look.

    Args:
        evidence: of the run.
        corpus: where training is read.
        task: vqa or mlm.
        config: of the run's stage.
        units: sample_id -> group.
        ask: examines the run again with exchanged pictures; None: it is not asked.
    """
    result: dict[str, Evidence] = {}
    if ask is not None:
        result["shuffled"] = ask(exchanged({name: units[name] for name in evidence.sample_ids}))
    try:
        train = stage_dataset(corpus, config, task, "train", training=False, sources=sorted(set(evidence.sources)))
    except InputMissingError:
        return result
    records = map(train.record, range(len(train)))
    majority = Majority((train.prompt(each), About.of(each), each["answer"]) for each in records)
    if any(each.kind for each in evidence.about):
        result["type_majority"] = majority.answers(evidence, by_kind=True)
    return result | {"question_majority": majority.answers(evidence, by_kind=False)}


def text_parts(evidence: TextEvidence, corpus: "Corpus", splits: Mapping[str, str]) -> dict[str, list[int]]:
    """Name of `names.PARTS` -> its samples, as far as the corpus tells them."""
    sources = set(evidence.sources)
    columns = corpus.index.select(["sample_id", "source"]).to_pylist()
    names = [row["sample_id"] for row in columns if row["source"] in sources]
    parts = {"without_type_named": without_type_named(evidence, corpus)}
    hard = of_unseen_facts(evidence, facts_of(corpus, names), (name for name in names if splits[name] == "train"))
    return parts if hard is None else parts | {"hard": hard}


def beside(evidence: Evidence, others: Mapping[str, Evidence], units: Iterable[str], draws: int) -> dict[str, Any]:
    """Name -> scores of another, their intervals, and by how much the run is better, paired over units."""
    units, result = list(units), {}
    for name, other in others.items():
        metrics = other.metrics()
        result[name] = {
            **other.score(),
            "intervals": {each: interval(metric, units, draws) for each, metric in metrics.items()},
            "difference": against(evidence, other, units, draws) if len(set(units)) > 1 else {},
        }
    return result
