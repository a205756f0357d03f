"""The card of a published model: what it is, what it has read, how it scored, what it is not for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]
from hemadata.build.card import cited
from hemadata.hub.choice import Candidate, candidates

from hemamodel.errors import HemaError, UsageError
from hemamodel.evaluate.tell import OTHERS, markdown, sections
from hemamodel.fetch import RECORD
from hemamodel.model.unihema import UniHema, count_parameters
from hemamodel.train.learnt import CONVERSION, lineage
from hemamodel.train.runs import Run

if TYPE_CHECKING:
    from hemadata.corpus import Corpus

WRITER = "hemamodel"
DECIDED = ("license", "license_name", "library_name", "pipeline_tag")  # never left as a former push wrote them
REPORT = "evaluation-test/report.json"
PIPELINES = {
    "classification": "image-classification",
    "detection": "object-detection",
    "segmentation": "image-segmentation",
    "vqa": "visual-question-answering",
    "mlm": "image-text-to-text",
}


@dataclass
class Read:
    """What the weights come from.

    Attributes:
        runs: the run and those before it, the last first.
        tasks: slug -> tasks that it was trained on for.
        held_out: slug -> why no run was trained on it.
        gaps: why the list may lack something, in sentences; empty: it is whole.
        licences: slug -> its page and licence, as the corpus says; empty without a corpus.
    """

    runs: list[Run]
    tasks: dict[str, list[str]] = field(default_factory=dict)
    held_out: dict[str, str] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    licences: dict[str, Candidate] = field(default_factory=dict)

    @property
    def license(self) -> tuple[str, str | None]:
        """Licence of the weights and the name of a special one: Apache-2.0 where every source is known to be free."""
        places = {self.licences[slug].where if slug in self.licences else "nowhere" for slug in self.tasks}
        if self.gaps or "nowhere" in places:
            return "other", "sources-not-all-known"
        return ("other", "conditions-of-sources") if "gated" in places else ("apache-2.0", None)


def what_was_read(run: Run, corpus: "Corpus | None" = None) -> Read:
    """Follow the weights back to the first run.

    Args:
        run: complete.
        corpus: that it was trained on, for licences and citations.

    Raises:
        UsageError: it was trained on another corpus.
    """
    if corpus and corpus.corpus_id != run.settings.corpus_id:
        raise UsageError(
            f"{run.path} was trained on corpus {run.settings.corpus_id}, {corpus.path} is {corpus.corpus_id}."
        )
    found = Read(lineage(run))
    for each in found.runs:
        _add(found, each, corpus)
    found.held_out = {slug: why for slug, why in found.held_out.items() if slug not in found.tasks}
    first = found.runs[-1]
    if first.settings.parent:
        found.gaps.append(
            f"It goes back to {first.settings.parent}, which was not at hand: what that run read is not listed."
        )
    if corpus is None:
        found.gaps.append("Licences were not looked up: the card was written without the corpus.")
    else:
        found.licences = {each.source: each for each in candidates(corpus) if each.source in found.tasks}
        if absent := sorted(set(found.tasks) - set(found.licences)):
            found.gaps.append(f"The corpus does not tell the licences of {', '.join(absent)}.")
    return found


def _add(found: Read, run: Run, corpus: "Corpus | None") -> None:
    stage = run.settings.stage
    if (run.path / CONVERSION).is_file():
        found.gaps.append(f"{run.name} is the authors' own checkpoint: what it read is told in their paper.")
        return
    same = corpus is not None and corpus.corpus_id == run.settings.corpus_id
    for task, sources in stage.data.train.items():
        for slug, weight in sources.items():
            if weight and not (same and corpus and slug not in corpus.sources):
                tasks = found.tasks.setdefault(slug, [])
                if task not in tasks:
                    tasks.append(task)
    for each in stage.data.held_out:
        found.held_out.setdefault(each.source, each.reason)
    if corpus is not None and not same:
        found.gaps.append(f"{run.name} was trained on another corpus, {run.settings.corpus_id}.")


def card(run: Run, model: UniHema, repo: str, corpus: "Corpus | None" = None) -> str:
    """Front matter and text; each section stands between markers of its own.

    Args:
        run: complete.
        model: its model.
        repo: name that `from_pretrained` takes.
        corpus: that it was trained on, for licences and citations.

    Raises:
        UsageError: it was trained on another corpus.
        HemaError: its report of scores is damaged, or of another run.
    """
    read, scores = what_was_read(run, corpus), report(run)
    parts = {
        "about": _about(run, model),
        "use": _use(run, repo),
        "data": _data(read, corpus),
        "scores": _scores(scores),
        "leakage": _leakage(scores),
        "training": _training(read.runs),
        "limits": _limits(read),
    }
    body = [
        f"<!-- {WRITER}:begin {name} -->\n" + "\n".join(lines).rstrip() + f"\n<!-- {WRITER}:end {name} -->"
        for name, lines in parts.items()
    ]
    head = yaml.safe_dump(_front(run, read), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{head}---\n" + "\n\n".join([f"# {repo.rpartition('/')[2]}", *body]) + "\n"


def report(run: Run) -> dict[str, Any] | None:
    """What `hemamodel evaluate` wrote into the run; None: nothing.

    Raises:
        HemaError: it is damaged, or of another run.
    """
    path = run.path / REPORT
    if not path.is_file():
        return None
    again = f"Evaluate again: hemamodel evaluate {run.path}"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        told = tuple(found[key] for key in ("stage", "seed", "trained_on_corpus_id"))
        found["scores"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HemaError(f"{path} is no report of scores: {error!r}. {again}") from error
    if told != (run.settings.stage.stage, run.settings.seed, run.settings.corpus_id):
        raise HemaError(f"{path} is of another run: stage, seed and corpus are {told}. {again}")
    return found


def _front(run: Run, read: Read) -> dict[str, Any]:
    licence, name = read.license
    stage = run.settings.stage
    return {
        "license": licence,
        **({"license_name": name} if name else {}),
        "library_name": WRITER,
        "pipeline_tag": PIPELINES[stage.epoch_task],
        "tags": ["hematology", "blood-cells", "microscopy", "uni-hema", *stage.tasks],
    }


def _about(run: Run, model: UniHema) -> Iterator[str]:
    settings, groups = run.settings, count_parameters(model.groups())
    yield (
        f"Uni-Hema, stage {settings.stage.stage} ({settings.stage.title}), variant `{settings.model.variant}`, preset "
        f"`{settings.model.preset}`: {sum(groups.values()):,} parameters, float32. "
        f"For {', '.join(settings.stage.tasks)} on blood-cell images."
    )
    yield "\n**For research only, not for diagnosis.**"


def _use(run: Run, repo: str) -> Iterator[str]:
    task = run.settings.stage.epoch_task
    asked = ', question="Which cell is this?"' if task in ("vqa", "mlm") else ""
    yield "## Use\n\n```python\nfrom pathlib import Path\n\nimport hemamodel\n"
    yield f'predictor = hemamodel.from_pretrained("{repo}")'
    yield f'print(next(predictor([Path("cell.png")], "{task}"{asked})).answer)\n```'


def _data(read: Read, corpus: "Corpus | None") -> Iterator[str]:
    ids = list(dict.fromkeys(run.settings.corpus_id for run in read.runs))
    yield f"## Data\n\nTraining part of corpus {', '.join(f'`{each}`' for each in ids)} of hemadata.\n"
    for line in read.gaps:
        yield f"> {line}\n"
    if corpus is None:
        yield from (f"* {slug}: {', '.join(tasks)}" for slug, tasks in sorted(read.tasks.items()))
        return
    rows = []
    for slug, tasks in sorted(read.tasks.items()):
        page = read.licences.get(slug)
        facts = corpus.manifests[slug].facts if page else None
        drawn = " (drawn, not photographed)" if page and page.phantom else ""
        rows.append([slug + drawn, ", ".join(tasks), page.licence if page else "-", cited(facts) if facts else "-"])
    yield from markdown(["source", "tasks", "licence", "cite"], rows)


def _scores(found: Mapping[str, Any] | None) -> Iterator[str]:
    yield "## Scores\n"
    yield from sections(found, "###") if found else ["None were measured: nothing is known of how well it does."]


def _leakage(found: Mapping[str, Any] | None) -> Iterator[str]:
    yield "## Leakage\n"
    yield (
        "The corpus is split by groups (patient, film, slide or cell where the source tells them, and pictures that "
        "are near-duplicates of each other), across sources: no group lies in two parts."
    )
    counted = [
        f"* {task}, {name}: {scores[by]['leaked']:,} of its {scores[by]['samples']:,} rows are in the training part."
        for task, scores in (found["scores"] if found else {}).items()
        for by, name in OTHERS.items()
        if by in scores
    ]
    if counted:
        yield "Tests of others are split otherwise; scores on them, with and without these rows, stand above.\n"
        yield from counted
    elif found:
        yield "No test of others that has different rows was found for what was scored."
    else:
        yield "What of the publishers' and the paper's own tests lies in the training part was not counted."


def _training(runs: list[Run]) -> Iterator[str]:
    yield "## Training\n"
    rows = []
    for run in runs:
        settings, stage, model = run.settings, run.settings.stage, run.settings.model
        # a folder of somebody's machine is told by its last part
        given = [w.rstrip("/").rpartition("/")[2] for w in (model.backbone.weights, model.text.weights) if w]
        notes = [f"starts from {', '.join(given)}"] if given and not settings.parent else []
        notes += [f"on the first {settings.overfit:,} images of each task only"] if settings.overfit else []
        notes += ["blind: every image is zero"] if stage.data.blind else []
        rows.append(
            [_name(run), str(stage.stage), f"{run.steps:,}", str(settings.seed), settings.precision, "; ".join(notes)]
        )
    yield from markdown(["run", "stage", "steps", "seed", "precision", "note"], rows)
    yield "All settings: `settings.json`. Licences of pretrained starts hold beside that of this model."


def _name(run: Run) -> str:
    """What it was called where it was trained."""
    return str(json.loads((run.path / RECORD).read_text(encoding="utf-8"))["name"])


def _limits(read: Read) -> Iterator[str]:
    yield "## Limits\n"
    yield (
        "* For research only. It is no medical device, has no approval, and no diagnosis or treatment may rest on it.\n"
        "* It knows the stains, cameras and labels of its sources alone; elsewhere it may fail without a sign.\n"
        "* Scores of a model are no certainties: several boxes of one cell and sure answers to idle questions occur."
    )
    if read.held_out:
        yield (
            "* Held out by the runs above: "
            + "; ".join(f"{slug} ({why})" for slug, why in sorted(read.held_out.items()))
            + "."
        )
