"""Settings: presets, what may be set and what is refused, and with which words."""

import subprocess
import sys
from typing import Literal

import pytest
from hemamodel import errors
from hemamodel.config import ModelConfig, load_preset, override, presets
from hemamodel.errors import ConfigError
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Task(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    share: float = 1.0
    sizes: tuple[int, ...] = (224,)


class Stage(BaseModel):
    """A stage-like model: a table of models, a table of tables, a list, an optional number."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    lr: float = 1e-4
    title: str = "one"
    lr_drop: int | None = 10
    trainable: tuple[Literal["scfe", "neck", "cmf"], ...] = ("scfe",)
    tasks: dict[str, Task] = {"vqa": Task()}
    train: dict[Literal["vqa", "mlm"], dict[str, float]] = Field(default_factory=dict)


def refusal(assignment: str, preset: str = "tiny") -> str:
    with pytest.raises(ConfigError) as caught:
        load_preset(preset, [assignment])
    return str(caught.value)


def test_presets_are_complete_and_of_the_paper() -> None:
    assert presets() == ["base", "tiny"]
    for name in presets():
        config = load_preset(name)
        assert (config.preset, config.variant) == (name, "paper")
    base = load_preset("base")
    assert (base.dim, base.heads, base.levels, base.points, base.hidden) == (256, 8, 4, 4, 2048)
    assert (base.encoder_layers, base.decoder_layers, base.queries) == (6, 6, 900)
    assert (base.classes.detection, base.classes.classification, base.classes.attributes) == (30, 45, 6)
    assert base == ModelConfig()


@pytest.mark.parametrize("preset", ["tiny", "base"])
def test_the_variant_brings_its_own_parts(preset: str) -> None:
    paper, released = load_preset(preset), load_preset(preset, ["variant=released"])
    assert (paper.scfe_features, paper.upsampler_norm, paper.backbone_norm) == ("both", "group", "group")
    assert (released.scfe_features, released.upsampler_norm, released.backbone_norm) == ("encoder", "batch", "frozen")
    assert released.freeze_stem and not paper.freeze_stem
    pretrained = load_preset(preset, ["backbone.weights=resnet50.pth"])
    assert (pretrained.backbone_norm, pretrained.freeze_stem) == ("frozen", True)
    assert not load_preset(preset, ["backbone.weights=resnet50.pth", "backbone.freeze_stem=no"]).freeze_stem


def test_switches() -> None:
    config = load_preset(
        "tiny", ["cmf.image=encoder", "prompts=off", "qgmf.upsampler=resize", "scfe.features=backbone", "queries = 12"]
    )
    assert (config.cmf.image, config.prompts, config.qgmf.upsampler) == ("encoder", False, "resize")
    assert (config.scfe_features, config.queries) == ("backbone", 12)
    assert load_preset("tiny", ["prompts=on"]).prompts
    assert load_preset("tiny", ["text.weights=google/flan-t5-base"]).text.weights == "google/flan-t5-base"
    assert load_preset("tiny", ["text.weights=x", "text.weights=null"]).text.weights is None


def test_order_does_not_matter_and_nothing_is_changed_in_place() -> None:
    config = load_preset("tiny")
    for assignments in (["dim=72", "heads=6"], ["heads=6", "dim=72"]):
        changed = override(config, assignments)
        assert (changed.dim, changed.heads) == (72, 6)
    assert (config.dim, config.heads) == (64, 4)
    with pytest.raises(ValidationError):
        config.dim = 3  # type: ignore[misc]


def test_an_unknown_key_is_refused_with_the_nearest() -> None:
    assert "'cmf.imag' is unknown; did you mean 'cmf.image'?" in refusal("cmf.imag=encoder")
    assert "did you mean 'scfe.features'?" in refusal("features=both")
    assert "did you mean 'variant'?" in refusal("varient=paper")
    assert "there are preset, variant, dim" in refusal("qqq=1")
    assert "name one of cmf.queries, cmf.image" in refusal("cmf=encoder")
    assert "expected key=value" in refusal("prompts")
    assert "did you mean 'tiny'?; there are base, tiny" in _preset_refusal("tinny")
    assert "a preset is chosen, not set" in refusal("preset=base")


def _preset_refusal(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_preset(name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "allowed"),
    [
        ("cmf.image=decoder", "'backbone' or 'encoder'. It is backbone now"),
        ("variant=relased", "'paper' or 'released'"),
        ("prompts=maybe", "valid boolean"),
        ("heads=yes", "valid integer"),
        ("queries=1.5", "valid integer"),
        ("queries=0", "greater than 0"),
        ("denoising.box_noise=2", "less than or equal to 1"),
        ("queries=[1", "valid integer"),
        ("heads=5", "dim is 64, which 5 heads cannot share evenly"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(assignment: str, allowed: str) -> None:
    message = refusal(assignment)
    assert allowed in message and assignment.partition("=")[0] in message


def test_what_a_variant_does_not_have_is_refused() -> None:
    for assignments, words in [
        (["variant=released", "scfe.features=both"], "released has encoder only"),
        (["variant=released", "cmf.queries=32"], "they must be equal"),
        (["backbone.weights=w.pth", "backbone.norm=group"], "no place for their statistics"),
    ]:
        with pytest.raises(ConfigError, match=words):
            load_preset("tiny", assignments)


def test_any_model_can_be_changed() -> None:
    changed = override(
        Stage(),
        ["lr=1e-3", "title=2", "lr_drop=null", "trainable=[neck, cmf]", "tasks.vqa.share=0.5", "tasks.vqa.sizes=[1, 2]",
         "train.vqa.wbcatt-vqa=2", "train.vqa.other=0.5", "train.mlm={a: 1}"],
    )  # fmt: skip
    assert (changed.lr, changed.title, changed.lr_drop, changed.trainable) == (1e-3, "2", None, ("neck", "cmf"))
    assert changed.tasks == {"vqa": Task(share=0.5, sizes=(1, 2))}
    assert changed.train == {"vqa": {"wbcatt-vqa": 2.0, "other": 0.5}, "mlm": {"a": 1.0}}


def test_inner_errors_of_any_model_are_told() -> None:
    for assignment, words in [
        ("trainable=[nek]", "'scfe', 'neck' or 'cmf'"),
        ("tasks.vqa.shar=1", "did you mean 'tasks.vqa.share'"),
        ("train.vqa.x=much", "valid number"),
        ("train.vq.x=1", "'vqa' or 'mlm'"),
    ]:
        with pytest.raises(ConfigError, match=words):
            override(Stage(), [assignment])


def test_exit_codes() -> None:
    assert (errors.HemaError.exit_code, ConfigError.exit_code, errors.InputMissingError.exit_code) == (1, 2, 3)
    assert issubclass(ConfigError, errors.UsageError) and issubclass(errors.WeightsError, errors.HemaError)


def test_settings_are_read_without_torch() -> None:
    code = "import sys, hemamodel.config as c; c.load_preset('tiny'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
