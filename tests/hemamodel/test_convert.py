"""The authors' checkpoint: every name and size of their own listing, and a small file in its form."""

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hemamodel.cli import app
from hemamodel.config import load_preset
from hemamodel.convert import IGNORED, convert, our_name, read_checkpoint
from hemamodel.errors import InputMissingError, UsageError, WeightsError
from hemamodel.model.tokenizer import word_tokenizer
from hemamodel.model.unihema import build_model
from hemamodel.train.adopt import adopt
from hemamodel.train.start import load_run
from typer.testing import CliRunner

SMALL = ("queries=10", "dim=32", "hidden=32", "text.dim=32", "text.heads=4", "text.layers=1", "backbone.width=8")
SMALL += ("encoder_layers=1", "decoder_layers=2")


@pytest.fixture(scope="session")
def listing() -> dict[str, int]:
    """The authors' own list: name -> numbers."""
    path = Path(os.environ.get("HEMA_FACTS", Path(__file__).resolve().parents[3] / "shared" / "facts"))
    path /= "released-checkpoint-parameters.tsv"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set HEMA_FACTS to the folder that holds it")
    rows = (line.split("\t") for line in path.read_text().splitlines() if line)
    return {name: int(count) for name, count, *_ in rows}


def test_every_name_and_size_of_the_listing_is_ours(listing: dict[str, int]) -> None:
    import re

    with torch.device("meta"):
        model = build_model(load_preset("base", ["variant=released"]), 32_128)
    sizes = {name: tensor.numel() for name, tensor in model.state_dict().items()}
    used, ignored = dict[str, int](), dict[str, int]()
    for name, count in listing.items():
        if any(re.fullmatch(each, name) for each in IGNORED):
            ignored[name] = count
        else:
            ours = our_name(name)
            assert ours is not None and sizes[ours] == count, f"{name} -> {ours}"
            assert ours not in used, f"{name} is the second for {ours}"
            used[ours] = count
    assert (sum(listing.values()), sum(used.values()), sum(ignored.values())) == (301_808_544, 300_152_702, 1_655_842)
    assert sum(IGNORED.values()) == 1_655_842
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert set(used) == learning, "and nothing of ours that learns is without a name of theirs"


def test_info_prints_all_three_counts() -> None:
    told = CliRunner().invoke(app, ["info", "--variant", "released"]).output
    assert "301,808,544 = 300,152,702 used + 1,655,842" in told


# Ours -> theirs, written down a second time from their listing.
THEIRS = {
    "backbone.body.": ["backbone.0.body."],
    "neck.projections.": ["input_proj."],
    "neck.level_embed": ["transformer.level_embed"],
    "scfe.query": ["transformer.encoder.cls_token"],
    "scfe.project.": ["transformer.encoder.fuse_proj."],
    "qgmf.project_backbone.": ["transformer.encoder.mask_features."],
    "qgmf.project_encoder.0.": ["transformer.encoder.mask_feature_proj.0."],
    "qgmf.norm.": ["decoder_norm."],
    "qgmf.embed.": ["mask_embed."],
    "selection.project.": ["transformer.enc_output."],
    "selection.norm.": ["transformer.enc_output_norm."],
    "selection.label.": ["transformer.enc_out_class_embed."],
    "selection.box.": ["transformer.enc_out_bbox_embed."],
    "selection.content.": ["transformer.tgt_embed."],
    "tgvr.project_text.": ["transformer.text_proj."],
    "tgvr.read_text.": ["transformer.cross_attnn."],
    "tgvr.gate.": ["transformer.gate_mlp."],
    "image_decoder.norm.": ["transformer.decoder.norm."],
    "image_decoder.query_position.": ["transformer.decoder.ref_point_head."],
    "det_heads.label.": [f"{where}class_embed.{i}." for where in ("", "transformer.decoder.") for i in range(2)],
    "det_heads.box.": [f"{where}bbox_embed.{i}." for where in ("", "transformer.decoder.") for i in range(2)],
    "det_heads.morphology.": [f"morphology_embed.{i}." for i in range(2)],
    "denoising.label.": ["label_enc."],
    "upsampler.fuse.": ["upsampler.fusion_conv."],
    "upsampler.sharpen_4.0.": ["upsampler.upsample.1."],
    "upsampler.sharpen_4.1.": ["upsampler.upsample.2."],
    "upsampler.sharpen_2.0.": ["upsampler.upsample.5."],
    "upsampler.sharpen_2.1.": ["upsampler.upsample.6."],
    "upsampler.project.": ["upsampler.upsample.8."],
    "classifier.": ["classifier_image.classifier2."],
    "cmf.queries": ["xformer.queries"],
    "cmf.project_image.": ["xformer.img_proj."],
    "cmf.project_text.": ["xformer.txt_proj."],
    "cmf.project_out.": ["xformer.out_proj."],
    "text.t5.": ["T5_model."],
}
for i in range(2):
    encoder, decoder, fusion = f"image_encoder.layers.{i}.", f"image_decoder.layers.{i}.", f"cmf.layers.{i}."
    THEIRS |= {
        f"{encoder}norm.": [f"transformer.encoder.layers.{i}.norm1."],
        f"{encoder}ffn.norm.": [f"transformer.encoder.layers.{i}.norm2."],
        f"{encoder}ffn.": [f"transformer.encoder.layers.{i}."],
        encoder: [f"transformer.encoder.layers.{i}."],
        f"{decoder}norm_cross.": [f"transformer.decoder.layers.{i}.norm1."],
        f"{decoder}norm_self.": [f"transformer.decoder.layers.{i}.norm2."],
        f"{decoder}ffn.norm.": [f"transformer.decoder.layers.{i}.norm3."],
        f"{decoder}ffn.": [f"transformer.decoder.layers.{i}."],
        decoder: [f"transformer.decoder.layers.{i}."],
        f"{fusion}read_image.": [f"xformer.layers.{i}.cross_attn_img."],
        f"{fusion}read_text.": [f"xformer.layers.{i}.cross_attn_txt."],
        f"{fusion}norm_image.": [f"xformer.layers.{i}.norm1."],
        f"{fusion}norm_text.": [f"xformer.layers.{i}.norm2."],
        f"{fusion}norm_out.": [f"xformer.layers.{i}.norm3."],
        f"{fusion}feed_forward.": [f"xformer.layers.{i}.ffn."],
    }


def theirs(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A model of ours under the authors' names, with their repetitions and some dead weight."""
    found: dict[str, torch.Tensor] = {}
    for ours, tensor in model.state_dict().items():
        if "num_batches_tracked" in ours:
            continue
        prefix = max((each for each in THEIRS if ours.startswith(each)), key=len)
        for name in THEIRS[prefix]:
            found[name + ours.removeprefix(prefix)] = tensor.clone()
    found["transformer.encoder.cls_token"] = found["transformer.encoder.cls_token"][None]  # [1, 1, D]
    found["transformer.combined_proj.weight"] = torch.ones(3, 3)
    found["upsampler.fusion_conv.1.num_batches_tracked"] = torch.tensor(7)
    return found


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    return build_model(load_preset("tiny", ["variant=released", *SMALL]), 60)


def test_a_checkpoint_becomes_a_run(model: Any, tmp_path: Path) -> None:
    """Namespace beside the tensors, shared heads six times: all keys are accounted for, all values arrive."""
    stored = theirs(model)
    path = tmp_path / "checkpoint0023.pth"
    torch.save({"model": stored, "epoch": 23, "args": argparse.Namespace(lr=1e-4, device="cuda")}, path)
    tokenizer = tmp_path / "tokenizer"
    word_tokenizer(["this image is for the detection of cells"], 40).save_pretrained(tokenizer)
    given = [part for each in SMALL for part in ("--set", each)]
    call = [
        "convert",
        str(path),
        "--out",
        str(tmp_path / "run"),
        "--text",
        str(tokenizer),
        "--preset",
        "tiny",
        "--json",
    ]
    done = CliRunner().invoke(app, [*call, *given])
    assert done.exit_code == 0, (done.output, done.exception)
    report = json.loads(done.stdout)
    assert report["missing"] == []
    assert len(report["used"]) + len(report["repeated"]) + len(report["ignored"]) == len(stored)
    assert sorted(report["ignored"]) == [
        "transformer.combined_proj.weight",
        "upsampler.fusion_conv.1.num_batches_tracked",
    ]
    assert {"class_embed.1.weight", "T5_model.shared.weight"} <= set(report["repeated"])
    _, loaded, _ = load_run(tmp_path / "run")
    before, after = model.state_dict(), loaded.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    again = CliRunner().invoke(app, [*call, *given])
    assert isinstance(again.exception, UsageError) and "exists" in str(again.exception)


def test_a_bare_state_dict_is_read_too(model: Any, tmp_path: Path) -> None:
    torch.save({f"module.{name}": tensor for name, tensor in theirs(model).items()}, tmp_path / "bare.bin")
    tensors, report = convert(read_checkpoint(tmp_path / "bare.bin"), model)
    assert not report.missing and report.numbers["used"] == sum(math.prod(t.shape) for t in tensors.values())


def test_what_does_not_fit_is_named(model: Any, tmp_path: Path) -> None:
    good = theirs(model)
    with pytest.raises(WeightsError, match=r"1 of .* keys, as transformer\.new_part is not known"):
        convert(good | {"transformer.new_part": torch.ones(1)}, model)
    with pytest.raises(
        WeightsError, match=r"label_enc\.weight is \[5, 32\], denoising\.label\.weight of the model is \[31, 32\]"
    ):
        convert(good | {"label_enc.weight": torch.ones(5, 32)}, model)
    other = good | {"class_embed.1.bias": good["class_embed.1.bias"] + 1}
    with pytest.raises(WeightsError, match=r"differs from class_embed\.0\.bias"):
        convert(other, model)
    path = tmp_path / "part.pth"
    torch.save({"model": {name: each for name, each in good.items() if not name.startswith("xformer")}}, path)
    with pytest.raises(WeightsError, match=r"lacks .* tensors of variant=released, as cmf"):
        adopt(path, tmp_path / "run", preset="tiny", assignments=SMALL)
    assert not (tmp_path / "run").exists() and len(list(tmp_path.iterdir())) == 1, "nothing half-written"


class Harm:
    def __reduce__(self) -> Any:
        return (os.system, ("touch /tmp/hema-was-harmed",))


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1)}, "args": Harm()}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match="could run code"):
        read_checkpoint(tmp_path / "bad.pth")
    assert not Path("/tmp/hema-was-harmed").exists()
    (tmp_path / "noise.pth").write_bytes(os.urandom(1000))
    with pytest.raises(WeightsError, match=r"noise\.pth"):
        read_checkpoint(tmp_path / "noise.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds no tensors"):
        read_checkpoint(tmp_path / "list.pth")
    with pytest.raises(InputMissingError, match="is not there"):
        read_checkpoint(tmp_path / "none.pth")
