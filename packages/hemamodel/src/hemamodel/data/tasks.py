"""The datasets of a stage, task by task."""

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

from hemadata.errors import InputMissingError

from hemamodel.data.dataset import CorpusDataset
from hemamodel.data.transforms import Transform
from hemamodel.stages import StageConfig

if TYPE_CHECKING:
    from hemadata.corpus import Corpus


def stage_dataset(
    corpus: "Corpus",
    stage: StageConfig,
    task: str,
    split: str | None,
    *,
    training: bool,
    sources: Sequence[str] | None = None,
    limit: int | None = None,
    by: str = "split",
    without: Container[str] = (),
    pictures: Mapping[str, str] | None = None,
) -> CorpusDataset:
    """One task of a stage.

    Args:
        corpus: an open corpus.
        stage: its sources, sizes and regions.
        task: one of `stage.tasks`.
        split: train, validation, test; None: all.
        training: with the stage's augmentation; False: one size, nothing random.
        sources: slugs; None: those that the stage trains on.
        limit: only the first so many samples.
        by: whose split is meant, see `Corpus.rows`.
        without: sample_ids that are left out.
        pictures: whose picture each sample gets, see `CorpusDataset`.

    Raises:
        InputMissingError: the corpus has no sample for it.
    """
    config = stage.tasks[task].image  # type: ignore[index]
    weights = stage.data.train[task]  # type: ignore[index]
    arguments = None if config is None else config.training() if training else config.evaluation()
    foreground = stage.data.foreground
    return CorpusDataset(
        corpus,
        task,
        split,
        [source for source, weight in weights.items() if weight] if sources is None else sources,
        view=stage.data.views.get(task),  # type: ignore[call-overload]
        transform=None if arguments is None else Transform(**arguments),
        regions=None if foreground is None else [foreground],
        read_images=config is not None,
        limit=limit,
        by=by,
        without=without,
        blind=stage.data.blind,
        pictures=pictures,
    )


def stage_datasets(corpus: "Corpus", stage: StageConfig, limit: int | None = None) -> dict[str, CorpusDataset]:
    """Training data of every task of a stage that the corpus has something for.

    Raises:
        InputMissingError: it has nothing for any of them, or not for the one that counts the epochs.
    """
    found: dict[str, CorpusDataset] = {}
    for task in stage.tasks:
        try:
            found[task] = stage_dataset(corpus, stage, task, "train", training=True, limit=limit)
        except InputMissingError:
            if task == stage.epoch_task or len(stage.tasks) == 1:
                raise
    return found
