"""From a call to a trained run: which corpus, which run before, which settings, then the loop."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import hemadata
import torch
from transformers import T5Tokenizer

from hemamodel.data import CorpusDataset
from hemamodel.data.records import VIEWS
from hemamodel.data.tasks import stage_datasets
from hemamodel.errors import ConfigError, UsageError
from hemamodel.fetch import refuse_damaged
from hemamodel.model.tokenizer import load_tokenizer
from hemamodel.model.unihema import UniHema, build_model, build_shell
from hemamodel.stages import load
from hemamodel.train.checkpoint import load_latest, load_weights
from hemamodel.train.freeze import set_trainable
from hemamodel.train.loop import Machine, Progress, check_parts, fit
from hemamodel.train.parallel import World, world
from hemamodel.train.profile import profiled
from hemamodel.train.runs import Run, all_runs, find_parent, find_unfinished, locked, new_run, read_run
from hemamodel.train.settings import RunSettings, choose
from hemamodel.train.swap import with_new_heads
from hemamodel.train.words import keep_text, tokenizer_of

if TYPE_CHECKING:
    from hemadata.corpus import Corpus

Say = Callable[[str], None]
PRESET, VARIANT = "base", "paper"


@dataclass(frozen=True)
class Call:
    """What `hemamodel train` is asked for.

    Attributes:
        stage: 1 to 6.
        corpus: folder of the corpus.
        out: folder of the runs.
        preset: sizes; None: those of `init_from`, else base.
        variant: paper or released; None: that of `init_from`, else paper.
        assignments: `key=value` changes.
        init_from: a run to start from; None: found among `out`.
        scratch: start from no run, whatever `out` holds.
        seed: of the run.
        overfit: train on the first so many images only.
        finetuned: source that a fine-tuned run is for.
        fresh: do not go on with a run that was stopped.
        accept_data_change: go on with one that has read another corpus.
        workers: processes that load images.
        device: where to train; None: a GPU if there is one.
        precision: fp32 or bf16; None: bf16 on a GPU, fp32 on the CPU.
        accumulate: do each step in so many parts.
        checkpointing: compute inner values again instead of keeping them.
        profile: watch a few steps and tell where their time goes.
        stop_after: stop after so many steps, to be gone on with.
    """

    stage: int
    corpus: Path = Path("corpus")
    out: Path = Path("runs")
    preset: str | None = None
    variant: str | None = None
    assignments: Sequence[str] = ()
    init_from: Path | None = None
    scratch: bool = False
    seed: int = 0
    overfit: int | None = None
    finetuned: str | None = None
    fresh: bool = False
    accept_data_change: bool = False
    workers: int = 0
    device: str | None = None
    precision: Literal["fp32", "bf16"] | None = None
    accumulate: int = 1
    checkpointing: bool = False
    profile: bool = False
    stop_after: int | None = None


def train(call: Call, say: Say = lambda line: None, progress: Progress | None = None) -> Run:
    """Train a stage.

    Args:
        call: what is asked for.
        say: told what a person should know before the steps begin.
        progress: told after every step.

    Raises:
        HemaError: the corpus, the runs or the settings do not allow it; the message says what to do.
    """
    ranks, device = world(call.device)
    with hemadata.open(call.corpus) as corpus:
        say = say if ranks.first else lambda line: None
        machine = Machine(device, ranks, call.workers, call.accumulate, call.checkpointing)
        runs = all_runs(call.out, say)
        parent = parent_of(call, corpus, runs, say)
        settings = settings_of(call, corpus, parent, device)
        run = _run(call, settings, runs, ranks, say)
        datasets = stage_datasets(corpus, settings.stage, call.overfit)
        check_heads(settings, datasets)
        check_parts(settings.stage, datasets, machine)
        _tell_data(settings, datasets, say)
        with locked(run) if ranks.first else nullcontext():
            tokenizer = tokenizer_of(settings, parent, corpus, run.text)
            model = model_of(settings, parent, len(tokenizer), say)
            if ranks.first:
                keep_text(run, model, tokenizer)
            _tell_groups(model, settings, say)
            counts = ", ".join(f"{task} {len(each):,}" for task, each in datasets.items())
            stage = settings.stage
            say(f"{run.path}: stage {stage.stage} ({stage.title}) on {counts} samples of corpus {corpus.corpus_id}.")
            watched = call.profile and ranks.first
            with profiled(run.path / "profile", device, say, progress) if watched else nullcontext(progress) as after:
                fit(run, model, tokenizer, datasets, machine=machine, stop_after=call.stop_after, progress=after)
    return run


def settings_of(call: Call, corpus: "Corpus", parent: Run | None, device: torch.device) -> RunSettings:
    """Everything that decides the weights of the run that a call asks for."""
    config, stage = choose(
        call.stage,
        call.preset or PRESET,
        call.variant or VARIANT,
        call.assignments,
        parent.settings.model if parent else None,
    )
    return RunSettings(
        model=config,
        stage=stage,
        corpus_id=corpus.corpus_id,
        seed=call.seed,
        parent=parent.name if parent else None,
        overfit=call.overfit,
        finetuned=call.finetuned,
        precision=call.precision or ("bf16" if device.type == "cuda" else "fp32"),
    )


def _run(call: Call, settings: RunSettings, runs: Sequence[Run], ranks: World, say: Say) -> Run:
    """The run that goes on, or a new one; rank 0 looks, the others are told."""
    run = None
    if ranks.first:
        run = None if call.fresh else find_unfinished(runs, settings, call.accept_data_change)
        if run is not None:
            say(f"Goes on with {run.path}, which stopped after step {run.step} of {run.steps}.")
            run.settings = settings
        else:
            run = new_run(call.out, settings)
    path = Path(ranks.agree(str(run.path) if run else None))
    return run or Run(path, settings)


def _tell_data(settings: RunSettings, datasets: Mapping[str, CorpusDataset], say: Say) -> None:
    for task in settings.stage.tasks:
        named = settings.stage.data.train[task]
        absent = datasets[task].missing if task in datasets else tuple(named)
        if absent:
            say(f"{task}: not in this corpus: {', '.join(absent)}.")
        if task not in datasets:
            say(
                f"{task}: is left out, " + ("the corpus has nothing for it." if named else "no source is named for it.")
            )
        elif left_out := datasets[task].left_out:
            say(f"{task}: " + "; ".join(f"{count:,} {reason}" for reason, count in left_out.items()) + ".")


def load_run(path: Path, unfinished: bool = False) -> tuple[Run, UniHema, T5Tokenizer]:
    """A complete run, its model in eval mode, its tokenizer.

    Args:
        path: its folder.
        unfinished: a run that still trains will do: as it is at its last checkpoint.

    Raises:
        UsageError: the run is not complete.
        WeightsError: it has no checkpoint yet.
    """
    run = read_run(path)
    if not run.complete and not unfinished:
        raise UsageError(
            f"{path} stopped after step {run.step} of {run.steps}. Go on with it: run its train command again."
        )
    refuse_damaged(run.path)
    tokenizer = load_tokenizer(run.text)
    model = build_shell(run.settings.model, run.text)
    if run.complete:
        load_weights(model, run.weights)
    else:
        load_latest(run.path, model)
    return run, model.eval(), tokenizer


def check_heads(settings: RunSettings, datasets: Mapping[str, CorpusDataset]) -> None:
    """Each head has as many outputs as its view has classes, or a ConfigError."""
    for task in ("classification", "detection"):
        built = getattr(settings.model.classes, task)
        if task in datasets and datasets[task].classes != built:
            view = settings.stage.data.views.get(task) or VIEWS[task]  # type: ignore[call-overload]
            raise ConfigError(
                f"{task}: the view {view} has {datasets[task].classes} classes, the head {built}: "
                f"--set classes.{task}={datasets[task].classes}"
            )


def parent_of(call: Call, corpus: "Corpus", runs: Sequence[Run], say: Say) -> Run | None:
    """The run whose weights are the start; None: from scratch or from pretrained parts."""
    if call.init_from is not None:
        parent = read_run(call.init_from)
        if not parent.complete:
            raise UsageError(f"--init-from {call.init_from}: this run is not complete (step {parent.step}).")
        for name in ("preset", "variant"):
            asked, found = getattr(call, name), getattr(parent.settings.model, name)
            if asked not in (None, found):
                raise UsageError(
                    f"--init-from {call.init_from}: its {name} is {found}, --{name} {asked} is asked for. Its weights "
                    f"fit no other: leave --{name} out, or choose another run."
                )
        refuse_damaged(parent.path)
        say(f"Starts from {parent.path} (stage {parent.settings.stage.stage}).")
        return parent
    if call.scratch:
        return None
    found = find_parent(
        runs, load(call.stage).parents, call.preset or PRESET, call.variant or VARIANT, corpus.corpus_id
    )
    for run in found.skipped:
        why = f"it stopped after step {run.step} of {run.steps}."
        if run.settings.finetuned:
            why = f"it is fine-tuned on {run.settings.finetuned}. --init-from takes it all the same."
        say(f"Skips {run.path}: {why}")
    if found.parent:
        say(f"Starts from {found.parent.path} (stage {found.parent.settings.stage.stage}, complete).")
    return found.parent


def model_of(settings: RunSettings, parent: Run | None, vocabulary: int, say: Say) -> UniHema:
    """The model with the weights that the run starts from."""
    torch.manual_seed(settings.seed)
    config = settings.model
    if parent is not None:
        model = build_shell(config, parent.text)
        load_weights(model, parent.weights, with_new_heads(settings, parent, model, say))
        return model
    given = {"backbone": config.backbone.weights, "text": config.text.weights}
    named = [f"{part} from {weights}" for part, weights in given.items() if weights]
    random = [part for part, weights in given.items() if not weights]
    if random:
        say(f"Starts from scratch: no earlier run, and no pretrained weights for {' and '.join(random)}.")
    if named:
        say(f"Pretrained: {', '.join(named)}.")
    return build_model(config, vocabulary)


def _tell_groups(model: UniHema, settings: RunSettings, say: Say) -> None:
    learning = set_trainable(model, settings.stage.trainable)
    frozen = [name for name in model.groups() if name not in learning]
    say("Learns: " + ", ".join(f"{name} {count:,}" for name, count in learning.items()) + ".")
    if frozen:
        say(f"Frozen: {', '.join(frozen)}.")
