"""Scores of a run: its tasks, on the sources that it trained on or on others, by the corpus' split and by others'."""

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hemadata
from transformers import T5Tokenizer

from hemamodel.data.tasks import stage_dataset
from hemamodel.device import device_of
from hemamodel.errors import InputMissingError, UsageError
from hemamodel.evaluate.beside import beside, text_baselines, text_parts
from hemamodel.evaluate.evidence import Evidence, TextEvidence
from hemamodel.evaluate.interval import DRAWS, interval
from hemamodel.evaluate.tasks import Examination, examine
from hemamodel.model.unihema import UniHema
from hemamodel.stages import stage_of
from hemamodel.train.runs import Run
from hemamodel.train.start import load_run

if TYPE_CHECKING:
    from hemadata.corpus import Corpus

Told = Callable[[str, int, int], None]
Seen = Callable[[str, Evidence, "Corpus"], None]
OTHERS = ("split_upstream", "split_paper")  # splits that may share pictures with training


@dataclass(frozen=True)
class Place:
    """Where the corpus puts a row.

    Attributes:
        split: train, validation, test or excluded.
        unit: what the bootstrap draws: its group.
    """

    split: str
    unit: str


def evaluate(
    run: Path,
    corpus: Path,
    *,
    split: str = "test",
    tasks: Sequence[str] = (),
    sources: Sequence[str] = (),
    batch_size: int = 8,
    workers: int = 0,
    device: str | None = None,
    limit: int | None = None,
    threshold: float = 0.3,
    draws: int = DRAWS,
    told: Told | None = None,
    against: Path | None = None,
    baselines: bool = False,
    seen: Seen | None = None,
    unfinished: bool = False,
    symmetries: bool = False,
) -> dict[str, Any]:
    """Scores of a run.

    Args:
        run: its folder.
        corpus: folder of the corpus.
        split: train, validation or test; all: every row, for a corpus that the run was not trained on.
        tasks: none given: those of the run's stage that the corpus has.
        sources: none given: those that the stage trains on.
        batch_size: samples at once; no score depends on it.
        workers: processes that load images.
        device: None: a GPU if there is one.
        limit: only the first so many samples of each task.
        threshold: least score of a detection that counts for confusion and morphology.
        draws: of the bootstrap.
        told: told of the progress, task by task.
        against: another complete run that is asked the same; a blind one of the same steps and seed says what looking
            is worth.
        baselines: text tasks: ask the run again with exchanged pictures, which takes as long again.
        seen: given each task, what was found and the corpus, for a look at samples.
        unfinished: a run that still trains is scored as it is at its last checkpoint.
        symmetries: classification: the mean over the eight symmetries of each picture, which takes eight times as long.

    Returns:
        `run, stage, corpus_id, trained_on_corpus_id, split, overfit, seed, sources`, `absent` (tasks of the stage that
        the corpus has nothing for) and `scores`: task -> scores, with `intervals`, `by_source`, and, where the
        publisher's or the paper's split has other rows, `split_upstream` and `split_paper`: scores there, how many of
        those rows are in the corpus' training part (`leaked`), and scores `without_leaked`. `baselines`: name of
        `names.NAMES` -> its scores and the paired `difference`; the text tasks also on each of `names.PARTS`.

    Raises:
        InputMissingError: the corpus has nothing to evaluate a task on.
        UsageError: `against` was not trained for a task, or is not asked the same samples; all rows of the corpus
            that the run was trained on are asked for; the run is not complete.
    """
    place = device_of(device)
    found, model, tokenizer = load_run(run, unfinished)
    model.to(place)
    other = load_run(against) if against else None
    if other:
        other[1].to(place)
    settings, results, used, absent = found.settings, dict[str, Any](), dict[str, list[str]](), list[str]()
    with hemadata.open(corpus) as opened:
        rows = None if split == "all" else split
        if rows is None and opened.corpus_id == settings.corpus_id:
            raise UsageError(f"{run} was trained on a part of {corpus}: choose train, validation or test, not all.")
        places = places_of(opened)
        for task in tasks or settings.stage.tasks:
            config = stage_of(task, settings.stage)

            def examined(
                by: str = "split",
                without: Container[str] = (),
                asked: tuple[Run, UniHema, T5Tokenizer] = (found, model, tokenizer),
                chosen: Sequence[str] | None = sources or None,
                pictures: dict[str, str] | None = None,
                task: str = task,
            ) -> Evidence:
                whose, answering, its_words = asked
                dataset = stage_dataset(
                    opened, stage_of(task, whose.settings.stage), task, rows, training=False, sources=chosen,
                    limit=limit, by=by, without=without, pictures=pictures,
                )  # fmt: skip
                built = getattr(answering.config.classes, task, 0)
                if dataset.classes != built:
                    raise UsageError(
                        f"{whose.path} tells {built} classes of {task} apart, this corpus has {dataset.classes}."
                    )
                tell = (lambda done, all_: told(task, done, all_)) if told else None
                what = Examination(answering, its_words, dataset, batch_size, workers, tell, threshold, symmetries)
                return examine(what).in_order()

            try:
                evidence = examined()
            except InputMissingError:
                if tasks or len(settings.stage.tasks) == 1:
                    raise
                absent.append(task)
                continue
            used[task] = sorted(set(evidence.sources))
            results[task] = scored(evidence, places, draws)
            others: dict[str, Evidence] = {}
            if other:
                if task not in other[0].settings.stage.tasks:
                    raise UsageError(f"{against} was not trained for {task}: choose another run, or other tasks.")
                name = "blind" if other[0].settings.stage.data.blind else "against"
                others[name] = examined(asked=other, chosen=used[task])
            parts: dict[str, list[int]] = {}
            if isinstance(evidence, TextEvidence):
                looks = config.tasks[task].image is not None and not settings.stage.data.blind  # type: ignore[index]
                ask = (lambda pictures: examined(pictures=pictures)) if baselines and looks else None
                units = {name: place.unit for name, place in places.items()}
                others |= text_baselines(evidence, opened, task, config, units, ask)
                parts = text_parts(evidence, opened, {name: place.split for name, place in places.items()})
            results[task] |= _beside(evidence, others, places, draws)
            for name, at in parts.items():
                part, theirs = evidence.part(at), {each: whose.part(at) for each, whose in others.items()}
                results[task][name] = (
                    scored(part, places, draws) | _beside(part, theirs, places, draws) if at else {"samples": 0}
                )
            if seen:
                seen(task, evidence, opened)
            if split == "test" and limit is None:
                results[task] |= _by_others(opened, task, used[task], evidence, examined, places, draws)
        return {
            "run": str(run),
            "stage": settings.stage.stage,
            "corpus_id": opened.corpus_id,
            "trained_on_corpus_id": settings.corpus_id,
            "split": split,
            "overfit": settings.overfit,
            "seed": settings.seed,
            "steps": found.steps,
            "step": found.step,
            "symmetries": symmetries,
            "blind": settings.stage.data.blind,
            "sources": used,
            "absent": absent,
            "scores": results,
            "against": about_run(other[0], found) if other else None,
        }


def about_run(run: Run, beside: Run) -> dict[str, Any]:
    """Another run, and in what its training differs, where it should differ in one thing alone."""

    def trained(each: Run) -> dict[str, Any]:
        settings, data = each.settings, each.settings.stage.data
        return {
            "corpus_id": settings.corpus_id,
            "seed": settings.seed,
            "steps": each.steps,
            "blind": data.blind,
            "sources": {
                str(task): sorted(name for name, weight in of.items() if weight) for task, of in data.train.items()
            },
        }

    one, other = trained(run), trained(beside)
    return {"run": str(run.path), **one, "differs": [name for name in one if one[name] != other[name]]}


def _beside(
    evidence: Evidence, others: Mapping[str, Evidence], places: Mapping[str, Place], draws: int
) -> dict[str, Any]:
    found = beside(evidence, others, [places[name].unit for name in evidence.sample_ids], draws)
    return {"baselines": found} if found else {}


def scored(evidence: Evidence, places: Mapping[str, Place], draws: int = DRAWS) -> dict[str, Any]:
    """All scores of some samples, intervals, and the same for each source where there are several."""
    units = [places[name].unit for name in evidence.sample_ids]
    result: dict[str, Any] = {"samples": len(evidence), **evidence.score()}
    result["intervals"] = {name: interval(metric, units, draws) for name, metric in evidence.metrics().items()}
    if len(kinds := sorted(set(evidence.sources))) > 1:
        result["by_source"] = {kind: scored(evidence.of_source(kind), places, draws) for kind in kinds}
    return result


def _by_others(
    corpus: "Corpus",
    task: str,
    sources: Sequence[str],
    evidence: Evidence,
    examined: Callable[[str, Container[str]], Evidence],
    places: Mapping[str, Place],
    draws: int,
) -> dict[str, Any]:
    """Scores on the tests of the publishers and of the paper, as far as they are other rows than the corpus' test."""
    result: dict[str, Any] = {}
    for by in OTHERS:
        names = {row["sample_id"] for source in sources for row in corpus.rows(task, "test", ["sample_id"], source, by)}
        seen = set(evidence.sample_ids)
        if not names or names == {name for name in seen if places[name].split == "test"}:
            continue
        if names - seen:
            with suppress(InputMissingError):  # rows without a target
                evidence = evidence.and_of(examined(by, seen))
        there = evidence.of_samples(names)
        if not len(there):
            continue
        leaked = {name for name in there.sample_ids if places[name].split == "train"}
        result[by] = scored(there, places, draws) | {"leaked": len(leaked)}
        if leaked and len(clean := there.of_samples(names - leaked)):
            result[by]["without_leaked"] = scored(clean, places, draws)
    return result


def places_of(corpus: "Corpus") -> dict[str, Place]:
    """Where each row of a corpus is."""
    columns = corpus.index.select(["sample_id", "split", "group_id"]).to_pydict()
    rows = zip(columns["sample_id"], columns["split"], columns["group_id"], strict=True)
    return {name: Place(split, unit or name) for name, split, unit in rows}
