"""The six training stages: one YAML file each, with the numbers of table 5 of the paper. See docs/training.md."""

from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, Self

import yaml  # type: ignore[import-untyped]
from hemadata.errors import UsageError
from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "GROUPS",
    "HOME",
    "STAGES",
    "DataConfig",
    "HeldOut",
    "ImageConfig",
    "StageConfig",
    "TaskConfig",
    "load",
    "stage_of",
]

STAGES = (1, 2, 3, 4, 5, 6)
# The stage whose sizes of images a task has wherever a run's own stage does not name it.
HOME = {"classification": 1, "detection": 4, "segmentation": 5, "vqa": 6, "mlm": 6}

Task = Literal["classification", "detection", "segmentation", "vqa", "mlm"]
Group = Literal[
    "backbone",
    "neck",
    "image_encoder",
    "image_decoder",
    "det_heads",
    "tgvr",
    "qgmf",
    "upsampler",
    "scfe",
    "text_encoder",
    "text_decoder",
    "cmf",
]
GROUPS: tuple[str, ...] = Group.__args__  # type: ignore[attr-defined]

Positive = Annotated[int, Field(gt=0)]
Part = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageConfig(_Strict):
    """How images of a task are brought to size and augmented: the arguments of `hemamodel.data.Transform`.

    Attributes:
        fit: `squash` to a square, or `shorter`: the shorter side gets the size.
        sizes: for training; one is drawn for every image.
        evaluation_size: for evaluation and prediction.
        longest: bound of the longer side.
        crop: probability of a random crop.
        crop_from: the crop is drawn on an image whose shorter side has one of these lengths.
        crop_sizes: its sides lie between these.
        min_visible: part of a box that the crop must leave.
        flip: probability of each mirroring.
        stain: relative change of each stain's amount.
        light: relative change of brightness and contrast.
    """

    fit: Literal["squash", "shorter"]
    sizes: Annotated[tuple[Positive, ...], Field(min_length=1)]
    evaluation_size: Positive
    longest: Positive | None = None
    crop: Part = 0.0
    crop_from: Annotated[tuple[Positive, ...], Field(min_length=1)] = (400, 500, 600)
    crop_sizes: tuple[Positive, Positive] = (384, 600)
    min_visible: Part = 0.25
    flip: Part = 0.0
    stain: Part = 0.0
    light: Part = 0.0

    def training(self) -> dict[str, Any]:
        """Arguments of `Transform` for training."""
        return self.model_dump(exclude={"evaluation_size"})

    def evaluation(self) -> dict[str, Any]:
        """Arguments of `Transform` for evaluation: one size, nothing random."""
        return {"fit": self.fit, "sizes": (self.evaluation_size,), "longest": self.longest}


class TaskConfig(_Strict):
    """A task's part of a step.

    Attributes:
        share: how many parts of `batch_size` are of this task, in every step.
        image: None where no image is read (stage 2).
    """

    share: Positive = 1
    image: ImageConfig | None = None


class HeldOut(_Strict):
    """A source that the stage must not train on.

    Attributes:
        source: slug.
        reason: why, and what its pictures share with sources that are trained on.
    """

    source: str
    reason: str


class DataConfig(_Strict):
    """What a stage reads.

    Attributes:
        temperature: sources are sampled by weight * images ** (1 / temperature): 1 by size, 2 by its square root.
        train: task -> slug -> weight.
        held_out: the paper's unseen sets.
        views: task -> class view of the corpus; none given: the 45 and 30 classes of the paper's heads.
        foreground: regions of a mask that segmentation looks for; None: what each source declares.
        blind: every image is zero, in training and in evaluation: what can be told without looking, as a baseline.
    """

    temperature: Annotated[float, Field(ge=1)]
    train: dict[Task, dict[str, Weight]]
    held_out: tuple[HeldOut, ...] = ()
    views: dict[Literal["detection", "classification"], str] = Field(default_factory=dict)
    foreground: tuple[str, ...] | None = None
    blind: bool = False


class StageConfig(_Strict):
    """One stage of training.

    Attributes:
        stage: 1 to 6.
        title: what it teaches.
        lr: learning rate of AdamW.
        lr_backbone: of the backbone; 0 where it is frozen.
        batch_size: images, or texts, in a step, of all tasks together.
        weight_decay: of AdamW.
        epochs: number of epochs.
        schedule: `step`: constant up to `lr_drop`; `cosine`: falls to zero over the whole stage.
        lr_drop: epochs before the learning rates fall to a tenth; None: never.
        warmup: steps in which the learning rates rise from zero; 0 as in table 5.
        clip: largest norm of the gradient; a longer one is shortened (docs/training.md, row 21).
        label_smoothing: part of each cell's target that is spread evenly over all classes, in classification.
        ema: decay of the running mean of the weights that is then handed on and evaluated; None: the last weights are.
        classes: of the heads with a loss; 0: no loss. A checkpoint holds all heads all the same.
        trainable: parts of the model that learn; the others are frozen and in eval mode.
        parents: earlier stages that it may start from, the preferred one first; empty: from scratch.
        epoch_task: the task whose samples make an epoch; the others run on beside it.
        tasks: what a step is made of.
        data: sources, weights, held-out sets.
    """

    stage: Annotated[int, Field(ge=1, le=6)]
    title: str
    lr: Annotated[float, Field(gt=0)]
    lr_backbone: Annotated[float, Field(ge=0)]
    batch_size: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    epochs: Positive
    schedule: Literal["step", "cosine"] = "step"
    lr_drop: Positive | None = None
    warmup: Annotated[int, Field(ge=0)] = 0
    clip: Annotated[float, Field(gt=0)] = 0.1
    label_smoothing: Part = 0.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    classes: dict[Literal["detection", "classification", "segmentation"], Annotated[int, Field(ge=0)]]
    trainable: Annotated[tuple[Group, ...], Field(min_length=1)]
    parents: tuple[int, ...] = ()
    epoch_task: Task
    tasks: dict[Task, TaskConfig]
    data: DataConfig

    @property
    def batches(self) -> dict[str, int]:
        """Images, or texts, of each task in a step."""
        part = self.batch_size // sum(config.share for config in self.tasks.values())
        return {task: part * config.share for task, config in self.tasks.items()}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        shares = {task: config.share for task, config in self.tasks.items()}
        if self.batch_size % sum(shares.values()):
            raise ValueError(f"batch_size is {self.batch_size}; the shares {shares} need a multiple of their sum")
        if set(self.data.train) != set(self.tasks) or self.epoch_task not in self.tasks:
            raise ValueError(f"tasks has {sorted(self.tasks)}, but data.train has {sorted(self.data.train)}")
        if (self.lr_backbone > 0) != ("backbone" in self.trainable):
            raise ValueError("lr_backbone is above 0 where backbone is in trainable, and nowhere else")
        if any(parent >= self.stage for parent in self.parents):
            raise ValueError(f"parents is {self.parents}, expected stages before {self.stage}")
        held_out = {each.source for each in self.data.held_out}
        if both := sorted(held_out & {slug for sources in self.data.train.values() for slug in sources}):
            raise ValueError(f"data.train and data.held_out both have {', '.join(both)}")
        return self


def stage_of(task: str, stage: StageConfig) -> StageConfig:
    """The stage itself where it reads images of the task, else the stage that is at home in it.

    Raises:
        UsageError: there is no such task.
    """
    if task not in HOME:
        raise UsageError(f"There is no task {task!r}. There are {', '.join(HOME)}.")
    return stage if task in stage.tasks else load(HOME[task])


@cache
def load(stage: int) -> StageConfig:
    """Configuration of a stage as it ships.

    Raises:
        UsageError: there is no such stage.
    """
    if stage not in STAGES:
        raise UsageError(f"There is no stage {stage}. There are {', '.join(map(str, STAGES))}.")
    text = resources.files(__name__).joinpath(f"stage{stage}.yaml").read_text(encoding="utf-8")
    return StageConfig.model_validate(yaml.safe_load(text))
