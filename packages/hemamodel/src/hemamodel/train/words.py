"""The tokenizer of a run, and what its text branch needs beside the weights."""

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import T5Tokenizer

from hemamodel.errors import WeightsError
from hemamodel.model.tokenizer import load_tokenizer, word_tokenizer
from hemamodel.model.unihema import UniHema
from hemamodel.train.runs import Run
from hemamodel.train.settings import RunSettings

if TYPE_CHECKING:
    from hemadata.corpus import Corpus

PROMPTS_READ = 2_000  # rows of each source whose prompts give the tokenizer its words


def tokenizer_of(settings: RunSettings, parent: Run | None, corpus: "Corpus", own: Path | None = None) -> T5Tokenizer:
    """The run's own, its parent's, that of the pretrained text branch, or one of the words of the corpus."""
    if own is not None and own.is_dir():
        return load_tokenizer(own)
    if parent is not None:
        return load_tokenizer(parent.text)
    if (weights := settings.model.text.weights) is not None:
        return load_tokenizer(weights)
    return word_tokenizer(_texts(corpus), settings.model.text.words)


def keep_text(run: Run, model: UniHema, tokenizer: T5Tokenizer) -> None:
    """Write tokens, and the sizes of the T5, where they are not yet.

    Raises:
        WeightsError: they cannot be written.
    """
    if run.text.is_dir():
        return
    temporary = run.path / ".text.tmp"
    try:
        tokenizer.save_pretrained(temporary)
        model.text.t5.config.save_pretrained(temporary)
        temporary.rename(run.text)
    except Exception as error:  # tokenizers has none of its own, for a full disk neither
        shutil.rmtree(temporary, ignore_errors=True)
        raise WeightsError(f"{run.text} cannot be written: {error}.") from error


def _texts(corpus: "Corpus") -> Iterator[str]:
    """Training texts, and prompts of every source."""
    for manifest in corpus.manifests.values():
        texts = {"vqa": ["qa"], "mlm": ["texts"]}.get(manifest.task, [])
        rows = corpus.rows(manifest.task, "train", ["sample_id", "source", "disease", *texts], manifest.source)
        for row in rows if texts else islice(rows, PROMPTS_READ):
            yield corpus.prompt(row) or ""
            for pair in row.get("qa") or ():
                yield from (pair["question"], pair["answer"])
            for text in row.get("texts") or ():
                yield from (text["masked_text"], text["text"])
