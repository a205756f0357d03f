"""Memory of a step of every base stage, at the batch of table 5: `python benchmarks/memory.py [--stage 3] [--json]`.

`hemamodel train --dry-run` counts the bytes that tensors hold at one time: weights, gradients, AdamW's moments, inner
values. Here it does so on torch's `meta` device, where tensors have a shape and no numbers: the whole batch, where
memory is less than the step needs. It is never less than the count of the CPU, and of a tiny model a tenth more at
most (`tests/hemamodel/test_rehearse.py`).

Every image is at the largest size of its stage, a field no smaller than the widest (800 x 1333), every text at its
greatest length, the vocabulary that of FLAN-T5. In float32; bf16, the default on a GPU, halves most inner values.

Where the batch does not fit on the card, the smallest `--accumulate` that does is sought. Exit code 1 where none does.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hemadata.build import Options, build
from hemamodel.config import ModelConfig
from hemamodel.model.tokenizer import word_tokenizer
from hemamodel.model.unihema import UniHema, build_model
from hemamodel.stages import STAGES, load
from hemamodel.train import rehearse
from hemamodel.train.start import Call

CARD, AROUND = 24e9, 2e9  # bytes: of the card that is asked for; of it for CUDA itself and for workspaces of kernels
VOCABULARY = 32128
READ = {
    "classification": "raabin",
    "detection": "bccd",
    "segmentation": "wbc-image-dataset",
    "vqa": "wbcatt-vqa",
    "mlm": "leukemiaattri-mlm",
}
FIELD = (
    "tasks.detection.image.fit=squash",
    "tasks.detection.image.sizes=[1056]",
)  # 1088 x 1088 padded; 832 x 1344 asks


def pretrained_sizes(settings: Any, *_: Any) -> UniHema:
    """The model as with a FLAN-T5 start, without numbers."""
    config: ModelConfig = settings.model
    with torch.device("meta"):
        return build_model(config, VOCABULARY)


def needed(corpus: Path, stage: int, parts: int) -> rehearse.Rehearsal:
    """A step in so many parts."""
    tasks = load(stage).tasks
    changes = [f"data.train={json.dumps({task: {READ[task]: 1} for task in tasks})}", "data.held_out=[]"]
    changes += FIELD if "detection" in tasks else ()
    call = Call(stage, corpus, Path("nowhere"), scratch=True, assignments=changes, device="meta", precision="fp32")
    return rehearse.rehearse(replace(call, accumulate=parts))


def row(corpus: Path, stage: int) -> dict[str, Any]:
    """A stage: in one part, and in as few as fit."""
    batches = load(stage).batches
    choices = [n for n in range(1, max(batches.values()) + 1) if all(count % n == 0 for count in batches.values())]
    whole = found = needed(corpus, stage, 1).bytes
    parts = 1
    for more in choices[1:]:
        if found <= CARD - AROUND:
            break
        if whole / more < CARD - AROUND:  # else it cannot fit
            parts, found = more, needed(corpus, stage, more).bytes
    return {
        "stage": stage,
        "batch": batches,
        "whole_gb": round(whole / 1e9, 2),
        "accumulate": parts,
        "needed_gb": round(found / 1e9, 2),
        "meets": found <= CARD - AROUND,
    }


def page(each: dict[str, Any]) -> str:
    """A line of Markdown."""
    batch = ", ".join(f"{task} {count}" for task, count in each["batch"].items())
    return f"| {each['stage']} | {batch} | {each['whole_gb']} | {each['accumulate']} | {each['needed_gb']} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", type=int, action="append", choices=STAGES)
    parser.add_argument("--corpus", type=Path, help="one with the sources of READ; default: made from phantoms")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rehearse.model_of = pretrained_sizes  # type: ignore[assignment]
    rehearse.tokenizer_of = lambda *_: word_tokenizer(["a"])  # spells every word, so that every text is long
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = args.corpus or Path(folder) / "corpus"
        if args.corpus is None:
            build(list(READ.values()), [], corpus, Options(phantom=40))
        if not args.json:
            print("| stage | batch of table 5 | in one part, GB | `--accumulate` | then, GB |\n|---|---|---|---|---|")
        for stage in args.stage or STAGES:
            rows.append(row(corpus, stage))
            print(json.dumps(rows[-1]) if args.json else page(rows[-1]), flush=True)
    return 0 if all(each["meets"] for each in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
