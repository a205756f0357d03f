"""What the weights of a run have learnt: in its own stage, and in those that it goes back to."""

from hemamodel.errors import InputMissingError
from hemamodel.train.runs import Run, read_run

CONVERSION = "conversion.json"  # lies in a run that was not trained here


def lineage(run: Run) -> list[Run]:
    """The run, its parent beside it, and so on; ends where a parent is not at hand, or cannot be read."""
    runs = [run]
    while parent := runs[-1].settings.parent:
        folder = run.path.parent / parent
        if not folder.is_dir() or folder in [each.path for each in runs]:
            break
        try:
            runs.append(read_run(folder))
        except InputMissingError:
            break
    return runs


def never_learnt(run: Run, asked: str) -> str | None:
    """A warning where no stage of a run's lineage has trained on a task, so that its answers are chance.

    None where one has, and where it cannot be told: a parent is not at hand, or the weights were converted.
    """
    runs = lineage(run)
    if runs[-1].settings.parent or (runs[-1].path / CONVERSION).is_file():
        return None
    for each in runs:
        stage = each.settings.stage
        for task, how in stage.tasks.items():  # stage 2 learns answers without a picture, which is not the same
            if task == asked and how.image is not None and any(stage.data.train.get(task, {}).values()):
                return None
    return f"{run.name} has never learnt {asked}: its answers are chance. Train a stage with it (docs/training.md)."
