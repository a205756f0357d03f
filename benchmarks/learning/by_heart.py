"""Row `by_heart`: eight cells, one question, eight answers. Who does not look at the picture gets one of them right.

From the run of row `classification`, whose backbone stays as it is: one that learns from answers alone, and fast, may
lose what tells cells apart before the text branch has learnt to ask for it.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import hemadata
import torch
from hemadata.errors import InputMissingError
from hemadata.formats import pairs
from hemamodel.data import Batch, collate
from hemamodel.data.tasks import stage_dataset
from hemamodel.model.tokenizer import decode
from hemamodel.train.runs import Run
from hemamodel.train.start import load_run
from hemamodel.train.step import prompt_of

from learning import cells, classification
from learning.common import Bench, Clock, Row

SIZE, EPOCHS, CELLS = 128, 800, 8
SOURCE = "wbcatt-vqa"
SETTINGS = (
    f"data.train={{vqa: {{{SOURCE}: 1}}, mlm: {{}}}}",
    "batch_size=12",  # three of four are of vqa: nine of the eight cells in a step
    "weight_decay=0",
    f"tasks.vqa.image.sizes=[{SIZE}]",
    f"tasks.vqa.image.evaluation_size={SIZE}",
    "tasks.vqa.image.flip=0",
    "tasks.vqa.image.stain=0",
    "tasks.vqa.image.light=0",
)


def run(bench: Bench) -> Row:
    """Learn eight pairs by heart; ask with the right pictures, with exchanged ones, and with none."""
    clock = Clock()
    (corpus, asked), start = eight(bench), classification.trained(bench)
    seeing = bench.train(6, corpus, EPOCHS, SETTINGS, name="by-heart", init_from=start)
    text = (SETTINGS[0], "batch_size=12", "weight_decay=0")
    blind = bench.train(2, corpus, EPOCHS, text, name="by-heart-blind", init_from=start)
    right, exchanged = answers(seeing, corpus, 0), answers(seeing, corpus, 1)
    without = answers(blind, corpus, 0)
    own = [truth for _, truth, _ in right]
    matches = sum(said == truth for _, truth, said in right)
    others = sum(said == own[(place + 1) % CELLS] for place, (_, _, said) in enumerate(exchanged))
    return {
        "exact_match": matches / CELLS,
        "exact_matches": matches,
        "exchanged_images_give_the_others_answer": others,
        "cells": CELLS,
        "question": asked,
        "baselines": {"text_only_exact_matches": sum(said == truth for _, truth, said in without)},
        "asked": {"exact_matches": CELLS, "exchanged_images_give_the_others_answer": CELLS - 1},
        "meets": matches == CELLS and others >= CELLS - 1,
        "minutes": clock.minutes,
    }


def eight(bench: Bench) -> tuple[Path, str]:
    """A corpus of eight real cells with the same question and eight different answers, all to train on."""
    whole, raw = cells.described(bench), bench.work / "raw-by-heart"
    about, rows = pairs.read(cells.questions(bench))
    with hemadata.open(whole) as corpus:
        shown = {
            row["sample_id"].rpartition("/")[2]
            for row in corpus.rows("classification", "train", ["sample_id"], "wbcatt")
        }
    by_question: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        if row["split_upstream"] == "train" and row["image"].rpartition(".")[0] in shown:
            by_question[row["question"]].setdefault(row["answer"], row)
    question = max(sorted(by_question), key=lambda text: len(by_question[text]))
    chosen = {row["image"]: row for row in by_question[question].values()}
    if len(chosen) < CELLS:
        raise InputMissingError(f"No question has {CELLS} different answers; the raw tree holds too few cells.")
    pairs.write(raw / SOURCE / "hemasynth", about, [chosen[image] for image in sorted(chosen)[:CELLS]])
    # With wbcatt, the anchor of the split, beside them: they stay on the side of it that they are on.
    path = bench.corpus("by-heart", "wbcatt", SOURCE, raw=raw)
    return path, question


@torch.no_grad()
def answers(run: Run, path: Path, shift: int) -> list[tuple[str, str, str]]:
    """Sample, its true answer, and what the model says when it sees the picture `shift` samples further."""
    _, model, tokenizer = load_run(run.path)
    with hemadata.open(path) as corpus:
        data = stage_dataset(corpus, run.settings.stage, "vqa", "train", training=False)
        batch: Batch = collate([data[index] for index in range(len(data))])
    prompt = prompt_of(model, tokenizer, batch)
    assert prompt is not None and batch.answers is not None
    if batch.images is None:
        ids = model.answer_blind(prompt)
    else:
        assert batch.padding is not None
        ids = model.answer(batch.images.roll(-shift, 0), batch.padding.roll(-shift, 0), prompt)
    clean = [decode(tokenizer, tokenizer([text], return_tensors="pt").input_ids)[0] for text in batch.answers]
    return list(zip(batch.sample_ids, clean, decode(tokenizer, ids), strict=True))
