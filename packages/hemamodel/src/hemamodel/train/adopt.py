"""`hemamodel convert`: the authors' checkpoint as a complete run, to be evaluated, asked and trained on."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree

from hemadata.atomic import write_text
from hemadata.errors import UsageError

from hemamodel.config import load_preset
from hemamodel.convert import Report, convert, read_checkpoint
from hemamodel.errors import WeightsError
from hemamodel.model.tokenizer import load_tokenizer
from hemamodel.model.unihema import build_model
from hemamodel.stages import load
from hemamodel.train.checkpoint import save_weights
from hemamodel.train.runs import Run
from hemamodel.train.settings import RunSettings

WORDS = 32_128  # rows of FLAN-T5's embedding
CORPUS = "unknown"  # what the authors trained on has no corpus_id


def adopt(
    checkpoint: Path, out: Path, text: str | None = None, preset: str = "base", assignments: Sequence[str] = ()
) -> tuple[Run, Report]:
    """Write the run of a checkpoint.

    Args:
        checkpoint: the `.pth` file.
        out: folder of the run; must not exist.
        text: tokenizer, a folder or a Hub name (`google/flan-t5-base`); None: the run answers no text prompt until one
            lies in its `text` folder.
        preset: sizes.
        assignments: `key=value` changes of the sizes.

    Raises:
        UsageError: there is something at `out`.
        WeightsError: the checkpoint does not fit, or lacks tensors.
    """
    if out.exists():
        raise UsageError(f"{out} exists. Name another folder with --out.")
    config = load_preset(preset, ["variant=released", *assignments])
    stored = read_checkpoint(checkpoint)
    words = stored["T5_model.shared.weight"].shape[0] if "T5_model.shared.weight" in stored else WORDS
    model = build_model(config, words)
    tensors, report = convert(stored, model, str(checkpoint))
    if report.missing:
        raise WeightsError(
            f"{checkpoint} lacks {len(report.missing)} tensors of variant=released, as {', '.join(report.missing[:3])}."
        )
    model.load_state_dict(tensors, strict=False)  # but for the counters of batch norm
    tokenizer = load_tokenizer(text) if text else None
    stage = load(6)
    run = Run(out, RunSettings(model=config, stage=stage, corpus_id=CORPUS))
    temporary = out.with_name(f".{out.name}.tmp")
    rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_weights(model, temporary / run.weights.name)
    model.text.t5.config.save_pretrained(temporary / "text")
    if tokenizer:
        tokenizer.save_pretrained(temporary / "text")
    write_text(temporary / "conversion.json", json.dumps(asdict(report), indent=1) + "\n")
    Run(temporary, run.settings).finish()
    temporary.rename(out)
    run.status = "complete"
    return run, report
