"""Settings of the model, typed and frozen; presets; and `override`, which changes any settings by `key=value`."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from difflib import get_close_matches
from importlib.resources import files
from typing import Annotated, Any, Literal, Self, TypeVar, get_origin

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator
from pydantic.fields import FieldInfo

from hemamodel.errors import ConfigError

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
AnyModel = TypeVar("AnyModel", bound=BaseModel)


def _check_heads(name: str, dim: int, heads: int) -> None:
    if dim % heads:
        raise ValueError(f"{name} is {dim}, which {heads} heads cannot share evenly; change one of the two")


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BackboneConfig(Settings):
    """The ResNet. Without pretrained weights its norms and its stem must be learned, so null follows `weights`."""

    depth: Literal[18, 34, 50, 101] = 50
    width: Count = 64
    weights: str | None = Field(default=None, description="file with torchvision weights; null: from scratch")
    norm: Literal["frozen", "group"] | None = Field(
        default=None, description="null: frozen with weights, group without"
    )
    freeze_stem: bool | None = Field(default=None, description="null: frozen with weights, trained without")


class ClassesConfig(Settings):
    """How many kinds each head tells apart (table 5; six morphology attributes of two values each)."""

    detection: Count = 30
    classification: Count = 45
    attributes: Count = 6


class DenoisingConfig(Settings):
    """Denoising queries while training (DINO's defaults)."""

    queries: Annotated[int, Field(ge=0)] = Field(default=100, description="0 turns denoising off")
    label_noise: Share = 0.5
    box_noise: Share = 0.4


class TextConfig(Settings):
    """The T5. The sizes hold where `weights` is null; pretrained weights bring their own."""

    weights: str | None = Field(
        default=None, description="folder or Hub name, as google/flan-t5-base; null: from scratch"
    )
    dim: Count = 768
    layers: Count = 12
    heads: Count = 12
    hidden: Count = 2048
    words: Count = Field(default=4096, description="vocabulary of the tokenizer that is made on the spot")
    max_length: Count = Field(default=64, description="tokens of prompt, target and generated text")

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        _check_heads("text.dim", self.dim, self.heads)
        return self


class FusionConfig(Settings):
    """CMF: its queries and the image features that it reads (backbone is better: BLEU-4 56.4 against 51.0)."""

    queries: Count = 64
    image: Literal["backbone", "encoder"] = "backbone"


class CellConfig(Settings):
    """SCFE: the features that it reads (table 15). Null follows the variant."""

    features: Literal["encoder", "backbone", "both"] | None = None


class MaskConfig(Settings):
    """QGMF: how the mask at stride 8 gets the size of the image."""

    upsampler: Literal["learned", "resize"] = "learned"


class ModelConfig(Settings):
    """The whole model. Defaults are the sizes of the released run; `load_preset` gives a complete set."""

    preset: str = "base"
    variant: Literal["paper", "released"] = "paper"
    dim: Count = 256
    heads: Count = 8
    levels: Annotated[int, Field(ge=3)] = 4
    points: Count = 4
    hidden: Count = 2048
    encoder_layers: Count = 6
    decoder_layers: Count = 6
    queries: Count = 900
    prompts: bool = Field(
        default=True, description="on: queries are refined by the prompt (TGVR); off: without any text"
    )
    dropout: Share = Field(default=0.1, description="of the text branch and the classifier, while training")
    backbone: BackboneConfig = BackboneConfig()
    classes: ClassesConfig = ClassesConfig()
    denoising: DenoisingConfig = DenoisingConfig()
    text: TextConfig = TextConfig()
    cmf: FusionConfig = FusionConfig()
    scfe: CellConfig = CellConfig()
    qgmf: MaskConfig = MaskConfig()

    @property
    def scfe_features(self) -> Literal["encoder", "backbone", "both"]:
        """The features that SCFE reads: both in the paper (best row of table 15), encoder as released."""
        return self.scfe.features or ("both" if self.variant == "paper" else "encoder")

    @property
    def backbone_norm(self) -> Literal["frozen", "group"]:
        """Frozen batch norm where statistics are loaded, be it by `released`; GroupNorm from scratch."""
        return self.backbone.norm or ("frozen" if self._pretrained else "group")

    @property
    def freeze_stem(self) -> bool:
        """Whether the stem and layer1 never train."""
        return self._pretrained if self.backbone.freeze_stem is None else self.backbone.freeze_stem

    @property
    def upsampler_norm(self) -> Literal["group", "batch"]:
        """Norm of the learned upsampler."""
        return "batch" if self.variant == "released" else "group"

    @property
    def _pretrained(self) -> bool:
        return self.backbone.weights is not None or self.variant == "released"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_heads("dim", self.dim, self.heads)
        if self.dim % 4:
            raise ValueError(f"dim is {self.dim}, but position encodings need a multiple of 4")
        if self.backbone.weights is not None and self.backbone.norm == "group":
            raise ValueError("backbone.weights need backbone.norm=frozen: GroupNorm has no place for their statistics")
        if self.variant == "released":
            if self.scfe_features != "encoder":
                raise ValueError(f"scfe.features is {self.scfe_features}, but variant=released has encoder only")
            if self.cmf.queries != self.text.max_length:
                raise ValueError(
                    f"cmf.queries is {self.cmf.queries} and text.max_length {self.text.max_length}, but "
                    "variant=released adds them position by position: they must be equal"
                )
        return self


def presets() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in files("hemamodel.presets").iterdir()
                  if entry.name.endswith(".yaml"))  # fmt: skip


def load_preset(name: str = "base", assignments: Sequence[str] = ()) -> ModelConfig:
    """The model of a preset, with `key=value` changes.

    Raises:
        ConfigError: there is no such preset, or a change is not possible.
    """
    if name not in presets():
        raise ConfigError(f"preset {name!r} is unknown{_nearest(name, presets())}; there are {', '.join(presets())}")
    values = yaml.safe_load((files("hemamodel.presets") / f"{name}.yaml").read_text(encoding="utf-8"))
    config = override(ModelConfig.model_validate({"preset": name, **values}), assignments)
    if config.preset != name:
        raise ConfigError(f"preset={config.preset}: a preset is chosen, not set; choose it by name instead of {name!r}")
    return config


def override(settings: AnyModel, assignments: Sequence[str]) -> AnyModel:
    """Change settings by `key=value`, with dots between the levels: `override(config, ["cmf.image=encoder"])`.

    Values are read as the type of their setting; lists and tables are YAML (`trainable=[scfe, neck]`), `null` is none.
    All changes are made before the whole is checked, so that their order does not matter.

    Args:
        settings: any pydantic model; it is not changed.
        assignments: the changes; a later one wins.

    Raises:
        ConfigError: a key is unknown, or a value is not allowed; the message names the nearest key, or what is allowed.
    """
    values = settings.model_dump(round_trip=True)
    known = dict(_leaves(settings))
    for assignment in assignments:
        key, equals, text = (part.strip() for part in assignment.partition("="))
        if not key or not equals:
            raise ConfigError(f"{assignment!r} is no setting; expected key=value, as in {next(iter(known), 'key')}=...")
        leaf, inner = _resolve(key, known)
        *path, name = leaf.split(".")
        table = values
        for step in path:
            table = table[step]
        table[name] = _read(key, text, known[leaf], table[name], inner)
    try:
        return type(settings).model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{' '.join(assignments)}: {_explain(error)}") from None


def knows(settings: BaseModel, key: str) -> bool:
    """Whether `override` could change this setting: a leaf, or a place in a table."""
    try:
        _resolve(key, dict(_leaves(settings)))
    except ConfigError:
        return False
    return True


def refuse(key: str, *groups: BaseModel) -> ConfigError:
    """The error for a key that none of the groups knows, with the nearest one."""
    known = [name for settings in groups for name, _ in _leaves(settings)]
    return ConfigError(f"setting {key!r} is unknown{_nearest(key, known) or '; there are ' + ', '.join(known)}")


def _leaves(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted key and field of every setting that is not itself a group of settings."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, Mapping) and value and all(isinstance(entry, BaseModel) for entry in value.values()):
            for key, entry in value.items():
                yield from _leaves(entry, f"{prefix}{name}.{key}.")
        else:
            yield prefix + name, field


def _resolve(key: str, known: dict[str, FieldInfo]) -> tuple[str, Sequence[str]]:
    """The setting that a key means, and the way inside where the setting is a table (`data.train.detection.bccd`)."""
    if key in known:
        return key, ()
    for leaf, field in known.items():
        if key.startswith(leaf + ".") and get_origin(field.annotation) in (dict, Mapping):
            return leaf, key.removeprefix(leaf + ".").split(".")
    inside = [leaf for leaf in known if leaf.startswith(key + ".")]
    if inside:
        raise ConfigError(f"{key!r} is a group of settings; name one of {', '.join(inside)}")
    hint = _nearest(key, list(known)) or f"; there are {', '.join(known)}"
    raise ConfigError(f"setting {key!r} is unknown{hint}")


def _read(key: str, text: str, field: FieldInfo, present: Any, inner: Sequence[str]) -> Any:
    """The value that a text means for a setting. Plain text goes first: YAML reads `on` as true, `1e-4` as text."""
    try:
        parsed = yaml.safe_load(text)
    except yaml.YAMLError:
        parsed = text
    kind: Any = field.annotation
    one = create_model("Setting", value=(kind, copy(field)))
    # true is no number, though pydantic takes it for 1
    candidates = [None, text] if parsed is None else [text] if isinstance(parsed, bool) else [text, parsed]
    for candidate in candidates:
        value = _placed(present, inner, candidate)
        try:
            one.model_validate({"value": value})
        except ValidationError as error:
            reason = "; ".join(dict.fromkeys(_problems(error, 1 if get_origin(kind) is dict else None)))
        else:
            return value
    raise ConfigError(f"{key}={text}: {reason}. It is {present} now")


def _placed(table: Any, inner: Sequence[str], value: Any) -> Any:
    """The table with a value placed inside; the value itself where there is no way inside."""
    if not inner:
        return value
    return {**(table or {}), inner[0]: _placed((table or {}).get(inner[0]), inner[1:], value)}


def _nearest(name: str, known: Sequence[str]) -> str:
    """`, did you mean x?`: the known name closest to this one, or to its last part; empty where none is close."""
    tails = {key.rpartition(".")[2]: key for key in known}
    close = get_close_matches(name, known, 1, 0.6) or [
        tails[tail] for tail in get_close_matches(name.rpartition(".")[2], tails, 1, 0.6)
    ]
    return f"; did you mean {close[0]!r}?" if close else ""


def _explain(error: ValidationError) -> str:
    return "; ".join(_problems(error, 0))


def _problems(error: ValidationError, skip: int | None) -> Iterator[str]:
    """Each problem after its place, less the first parts of it; None: without its place."""
    for problem in error.errors():
        place = "" if skip is None else ".".join(map(str, problem["loc"][skip:]))
        message = problem["msg"].removeprefix("Value error, ")
        yield f"{place}: {message}" if place else message
