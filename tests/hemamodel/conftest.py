"""Runs that several files of tests read."""

from pathlib import Path

import pytest
from hemamodel.train.runs import Run
from hemamodel.train.start import Call, train
from small import SMALL

DATA = ("data.train={detection: {bccd: 1}}", "tasks.detection.image.sizes=[64]", "batch_size=4", "epochs=1")


@pytest.fixture(scope="session")
def detector(phantom_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A complete run of stage 4, alone in its folder; not to be changed."""
    out = tmp_path_factory.mktemp("detector")
    return train(Call(4, phantom_corpus, out, "tiny", assignments=(*SMALL, *DATA), overfit=4, device="cpu"))
