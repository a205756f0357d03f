"""The authors' checkpoint under our names: every key is used, a repetition, or ignored, and nothing else is accepted.

Names as in the parameter list of the released run (facts/released-checkpoint-parameters.tsv).
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from hemamodel.errors import InputMissingError, WeightsError

# In their decoder norm1 follows cross-attention and norm2 self-attention, though self-attention comes first.
NAMES: tuple[tuple[str, str], ...] = (
    (r"backbone\.0\.body\.(.*)", r"backbone.body.\1"),
    (r"input_proj\.(\d+)\.(.*)", r"neck.projections.\1.\2"),
    (r"transformer\.level_embed", r"neck.level_embed"),
    (r"transformer\.encoder\.layers\.(\d+)\.self_attn\.(.*)", r"image_encoder.layers.\1.self_attn.\2"),
    (r"transformer\.encoder\.layers\.(\d+)\.norm1\.(.*)", r"image_encoder.layers.\1.norm.\2"),
    (r"transformer\.encoder\.layers\.(\d+)\.(linear[12])\.(.*)", r"image_encoder.layers.\1.ffn.\2.\3"),
    (r"transformer\.encoder\.layers\.(\d+)\.norm2\.(.*)", r"image_encoder.layers.\1.ffn.norm.\2"),
    (r"transformer\.encoder\.cls_token", r"scfe.query"),
    (r"transformer\.encoder\.fuse_proj\.(.*)", r"scfe.project.\1"),
    (r"transformer\.encoder\.mask_features\.(.*)", r"qgmf.project_backbone.\1"),
    (r"transformer\.encoder\.mask_feature_proj\.(.*)", r"qgmf.project_encoder.\1"),
    (r"transformer\.enc_output\.(.*)", r"selection.project.\1"),
    (r"transformer\.enc_output_norm\.(.*)", r"selection.norm.\1"),
    (r"transformer\.enc_out_class_embed\.(.*)", r"selection.label.\1"),
    (r"transformer\.enc_out_bbox_embed\.(.*)", r"selection.box.\1"),
    (r"transformer\.tgt_embed\.weight", r"selection.content.weight"),
    (r"transformer\.text_proj\.(.*)", r"tgvr.project_text.\1"),
    (r"transformer\.cross_attnn\.(.*)", r"tgvr.read_text.\1"),
    (r"transformer\.gate_mlp\.(.*)", r"tgvr.gate.\1"),
    (r"transformer\.decoder\.layers\.(\d+)\.((?:self|cross)_attn\..*)", r"image_decoder.layers.\1.\2"),
    (r"transformer\.decoder\.layers\.(\d+)\.norm1\.(.*)", r"image_decoder.layers.\1.norm_cross.\2"),
    (r"transformer\.decoder\.layers\.(\d+)\.norm2\.(.*)", r"image_decoder.layers.\1.norm_self.\2"),
    (r"transformer\.decoder\.layers\.(\d+)\.(linear[12])\.(.*)", r"image_decoder.layers.\1.ffn.\2.\3"),
    (r"transformer\.decoder\.layers\.(\d+)\.norm3\.(.*)", r"image_decoder.layers.\1.ffn.norm.\2"),
    (r"transformer\.decoder\.norm\.(.*)", r"image_decoder.norm.\1"),
    (r"transformer\.decoder\.ref_point_head\.(.*)", r"image_decoder.query_position.\1"),
    (r"(?:transformer\.decoder\.)?class_embed\.\d+\.(.*)", r"det_heads.label.\1"),
    (r"(?:transformer\.decoder\.)?bbox_embed\.\d+\.(.*)", r"det_heads.box.\1"),
    (r"(?:transformer\.decoder\.)?morphology_embed\.\d+\.(.*)", r"det_heads.morphology.\1"),
    (r"label_enc\.weight", r"denoising.label.weight"),
    (r"decoder_norm\.(.*)", r"qgmf.norm.\1"),
    (r"mask_embed\.(.*)", r"qgmf.embed.\1"),
    (r"upsampler\.fusion_conv\.(.*)", r"upsampler.fuse.\1"),
    (r"upsampler\.upsample\.1\.(.*)", r"upsampler.sharpen_4.0.\1"),
    (r"upsampler\.upsample\.2\.(.*)", r"upsampler.sharpen_4.1.\1"),
    (r"upsampler\.upsample\.5\.(.*)", r"upsampler.sharpen_2.0.\1"),
    (r"upsampler\.upsample\.6\.(.*)", r"upsampler.sharpen_2.1.\1"),
    (r"upsampler\.upsample\.8\.(.*)", r"upsampler.project.\1"),
    (r"classifier_image\.classifier2\.(.*)", r"classifier.\1"),
    (r"xformer\.queries", r"cmf.queries"),
    (r"xformer\.img_proj\.(.*)", r"cmf.project_image.\1"),
    (r"xformer\.txt_proj\.(.*)", r"cmf.project_text.\1"),
    (r"xformer\.out_proj\.(.*)", r"cmf.project_out.\1"),
    (r"xformer\.layers\.(\d+)\.cross_attn_img\.(.*)", r"cmf.layers.\1.read_image.\2"),
    (r"xformer\.layers\.(\d+)\.cross_attn_txt\.(.*)", r"cmf.layers.\1.read_text.\2"),
    (r"xformer\.layers\.(\d+)\.norm1\.(.*)", r"cmf.layers.\1.norm_image.\2"),
    (r"xformer\.layers\.(\d+)\.norm2\.(.*)", r"cmf.layers.\1.norm_text.\2"),
    (r"xformer\.layers\.(\d+)\.norm3\.(.*)", r"cmf.layers.\1.norm_out.\2"),
    (r"xformer\.layers\.(\d+)\.ffn\.(.*)", r"cmf.layers.\1.feed_forward.\2"),
    (r"T5_model\.(.*)", r"text.t5.\1"),
)
# What no forward pass of theirs uses: sizes at base width, 1,655,842 numbers in all.
IGNORED: dict[str, int] = {
    r"transformer\.combined_proj\..*": 131_328,
    r"transformer\.decoder_norm\..*": 512,
    r"transformer\.class_embed\.(weight|bias)": 771,
    r"transformer\.label_enc\..*": 512,
    r"transformer\.mask_embed\..*": 197_376,
    r"transformer\.encoder\.cls_fusion\..*": 1_315_072,
    r"transformer\.encoder\.cls_pos": 256,
    r"class_embed_seg\..*": 7_967,
    r"class_tokens\.\d+": 1_024,
    r"class_pos_tokens\.\d+": 1_024,
}


@dataclass(frozen=True)
class Report:
    """What became of every key.

    Attributes:
        used: our name -> theirs.
        repeated: theirs that hold a tensor once more, which six layers or an embedding share.
        ignored: theirs that no forward pass uses.
        missing: ours that the checkpoint has nothing for.
        numbers: how many numbers were used, and ignored.
    """

    used: dict[str, str]
    repeated: list[str]
    ignored: list[str]
    missing: list[str]
    numbers: dict[str, int]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` file: a training checkpoint with `model`, or a bare state dict. No code in it is run.

    Raises:
        InputMissingError: there is no such file.
        WeightsError: it is no such file, or holds more than tensors and settings.
    """
    if not path.is_file():
        raise InputMissingError(f"{path} is not there. The authors' checkpoint is checkpoint0023.pth.")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # their `args`: plain settings
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        reason = str(error).split("Please file")[0].split("\n")[0]
        raise WeightsError(
            f"{path} holds more than tensors and settings, and is not loaded, since that could run code: {reason}. "
            f"Ask whoever made it for its tensors alone."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is no checkpoint that torch can read: {str(error).splitlines()[0]}") from None
    stored = stored.get("model", stored) if isinstance(stored, Mapping) else stored
    tensors = {str(name).removeprefix("module."): each for name, each in _items(stored) if isinstance(each, Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors: expected a dict of them, be it under `model`.")
    return tensors


def convert(
    stored: Mapping[str, Tensor], model: nn.Module, source: str = "the checkpoint"
) -> tuple[dict[str, Tensor], Report]:
    """Tensors of the authors' checkpoint under the names of our model.

    Args:
        stored: theirs.
        model: `variant: released`, of their sizes; not changed.
        source: for messages.

    Raises:
        WeightsError: a key is unknown, has another shape, or repeats a shared tensor with other values.
    """
    wanted = {name: tensor for name, tensor in model.state_dict().items() if "num_batches_tracked" not in name}
    shared = {f"text.t5.{part}.embed_tokens.weight": "text.t5.shared.weight" for part in ("encoder", "decoder")}
    tensors: dict[str, Tensor] = {}
    used: dict[str, str] = {}
    repeated, ignored, wrong = list[str](), list[str](), list[str]()
    for theirs in sorted(stored):
        tensor = stored[theirs]
        ours = our_name(theirs)
        ours = shared.get(ours, ours) if ours else ours
        if theirs.endswith("num_batches_tracked") or any(re.fullmatch(each, theirs) for each in IGNORED):
            ignored.append(theirs)
        elif ours is None or ours not in wanted:
            wrong.append(f"{theirs} is not known")
        elif tensor.numel() != wanted[ours].numel() or tensor.squeeze().shape != wanted[ours].squeeze().shape:
            wrong.append(f"{theirs} is {list(tensor.shape)}, {ours} of the model is {list(wanted[ours].shape)}")
        elif ours not in tensors:
            tensors[ours], used[ours] = tensor.reshape(wanted[ours].shape), theirs
        elif torch.equal(tensors[ours], tensor.reshape(wanted[ours].shape)):
            repeated.append(theirs)
        else:
            wrong.append(f"{theirs} differs from {used[ours]}, which should be the same tensor")
    if wrong:
        raise WeightsError(
            f"{source} does not fit variant=released: {len(wrong)} of {len(stored)} keys, as {'; '.join(wrong[:3])}. "
            f"A checkpoint of another version or size? --set changes sizes."
        )
    aliases = set(shared) | {name for name in wanted if name in shared}
    missing = sorted(set(wanted) - set(tensors) - aliases)
    numbers = {
        "used": sum(tensor.numel() for tensor in tensors.values()),
        "ignored": sum(stored[name].numel() for name in ignored),
    }
    return tensors, Report(used, repeated, ignored, missing, numbers)


def our_name(theirs: str) -> str | None:
    """Our name of a tensor of theirs; None where we have none."""
    for pattern, replacement in NAMES:
        if re.fullmatch(pattern, theirs):
            return re.sub(pattern, replacement, theirs)
    return None


def _items(stored: object) -> Iterator[tuple[object, object]]:
    return iter(stored.items()) if isinstance(stored, Mapping) else iter(())
