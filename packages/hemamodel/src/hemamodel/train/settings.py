"""What a run is made of: everything that decides its weights, in one typed page that the run keeps."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from hemamodel.config import ModelConfig, Settings, knows, load_preset, override, refuse
from hemamodel.errors import ConfigError
from hemamodel.stages import StageConfig, load


class RunSettings(Settings):
    """Two runs with equal settings make equal weights, on one machine.

    Attributes:
        model: sizes, variant, switches.
        stage: numbers, groups, data.
        corpus_id: of the corpus that is read.
        seed: of weights, order, augmentation, noise and dropout.
        parent: run that the weights come from; None: from scratch, or from the pretrained weights that `model` names.
        overfit: train on the first so many images of each task only; None: on all.
        finetuned: source that `finetune` trained on. It may be a test set of the stages, so that none of them starts
            from such a run unless it is named.
        precision: what the model computes in; weights, losses and geometry are float32 either way.
    """

    model: ModelConfig
    stage: StageConfig
    corpus_id: str
    seed: int = 0
    parent: str | None = None
    overfit: int | None = Field(default=None, gt=0)
    finetuned: str | None = None
    precision: Literal["fp32", "bf16"] = "fp32"


def choose(
    stage: int, preset: str, variant: str, assignments: Sequence[str], parent: ModelConfig | None = None
) -> tuple[ModelConfig, StageConfig]:
    """Model and stage of a call: the parent's model or the preset's, the stage file, and `key=value` changes to either.

    A key that both have (`classes.detection`) changes both: the head and its loss.

    Raises:
        ConfigError: a key is in neither; the message names the nearest.
    """
    model, numbers = parent or load_preset(preset, [f"variant={variant}"]), load(stage)
    keys = {assignment: assignment.partition("=")[0].strip() for assignment in assignments}
    for key in keys.values():
        if not knows(model, key) and not knows(numbers, key):
            raise refuse(key, numbers, model)
    model = override(model, [each for each, key in keys.items() if knows(model, key)])
    numbers = override(numbers, [each for each, key in keys.items() if knows(numbers, key)])
    for head in ("detection", "classification"):
        built, trained = getattr(model.classes, head), numbers.classes.get(head, 0)  # type: ignore[call-overload]
        if trained not in (0, built):
            raise ConfigError(f"classes.{head}: the head has {built}, stage {stage} trains {trained}; make them equal")
    return model, numbers
