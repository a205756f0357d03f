"""Pixels, boxes, labels, attributes and masks stay together, and the draws follow from a key."""

from collections import Counter
from typing import Any

import pytest
import torch
from hemamodel.data import Transform
from hemamodel.data.transforms import MEAN, STD, restain
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import tv_tensors  # type: ignore[import-untyped]


def painted(boxes: list[tuple[int, int, int, int]], height: int, width: int) -> dict[str, Any]:
    """Black image, box i painted in channel i; i is its label, and stands in its attribute row."""
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    mask = torch.zeros(1, height, width, dtype=torch.uint8)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        image[i, y1:y2, x1:x2] = 200
        mask[:, y1:y2, x1:x2] = 1
    return {
        "image": tv_tensors.Image(image),
        "mask": tv_tensors.Mask(mask),
        "boxes": tv_tensors.BoundingBoxes(
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), format="XYXY", canvas_size=(height, width)
        ),
        "labels": torch.arange(len(boxes)),
        "attributes": torch.arange(len(boxes))[:, None].repeat(1, 6),
        "prompt": "untouched",
    }


def unnormalised(image: Tensor) -> Tensor:
    return image.as_subclass(Tensor) * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]


@st.composite
def scenes(draw: st.DrawFn) -> dict[str, Any]:
    height, width = draw(st.integers(90, 160)), draw(st.integers(90, 160))
    boxes = []
    for column in range(3):  # apart, so that a crop of one does not show another
        x1 = column * width // 3 + draw(st.integers(1, 4))
        x2 = (column + 1) * width // 3 - draw(st.integers(1, 4))
        y1 = draw(st.integers(0, height - 40))
        boxes.append((x1, y1, x2, draw(st.integers(y1 + 20, height))))
    return painted(boxes, height, width)


@given(scene=scenes(), number=st.integers(0, 2**60), fit=st.sampled_from(["squash", "shorter"]))
@settings(max_examples=80, deadline=None)
def test_painted_boxes_stay_on_their_pixels(scene: dict[str, Any], number: int, fit: Any) -> None:
    transform = Transform(fit=fit, sizes=[128, 192], longest=256, crop=0.8, crop_sizes=(200, 400), flip=0.5)
    seen = transform(scene, number)
    pixels = unnormalised(seen["image"])
    height, width = pixels.shape[-2:]
    boxes = seen["boxes"].as_subclass(Tensor)
    assert seen["boxes"].canvas_size == (height, width)
    assert len(boxes) == len(seen["labels"]) == len(seen["attributes"])
    assert seen["mask"].shape[-2:] == (height, width)
    assert seen["prompt"] == "untouched"
    for box, label, attributes in zip(boxes, seen["labels"], seen["attributes"], strict=True):
        x1, y1, x2, y2 = box.tolist()
        assert -1e-3 <= x1 < x2 <= width + 1e-3 and -1e-3 <= y1 < y2 <= height + 1e-3
        assert (attributes == label).all()
        cx, cy = int((x1 + x2) / 2), int((y1 + y2) / 2)
        assert pixels[label, cy, cx].item() == pytest.approx(200 / 255, abs=0.01)
        assert seen["mask"][0, cy, cx] == 1
        ys, xs = torch.nonzero(pixels[label] > 100 / 255, as_tuple=True)
        slack = 3 * max(height, width) / 90  # two source pixels, at the largest scale
        assert abs(xs.min() - x1) < slack and abs(xs.max() + 1 - x2) < slack
        assert abs(ys.min() - y1) < slack and abs(ys.max() + 1 - y2) < slack


def test_a_dropped_box_takes_its_label_and_its_attributes_with_it() -> None:
    scene = painted([(0, 0, 90, 90), (110, 110, 200, 200), (0, 110, 90, 200)], 200, 200)
    transform = Transform(fit="squash", sizes=[64], crop=1, crop_from=[200], crop_sizes=(60, 150))
    left: Counter[tuple[int, ...]] = Counter()
    for number in range(100):
        seen = transform(scene, number)
        assert seen["labels"].tolist() == seen["attributes"][:, 3].tolist()
        assert len(seen["boxes"]) == len(seen["labels"])
        left[tuple(seen["labels"].tolist())] += 1
    assert left[(1, 2)] and left[(0, 2)] and left[(2,)]  # the first, the middle and both are dropped somewhere


def test_a_sliver_of_a_box_is_dropped_and_no_box_at_all_is_fine() -> None:
    scene = painted([(0, 0, 200, 200)], 200, 200)
    sliver = Transform(fit="squash", sizes=[64], crop=1, crop_from=[200], crop_sizes=(50, 50))
    assert len(sliver(scene, 0)["boxes"]) == 0  # a sixteenth is left
    kept = Transform(fit="squash", sizes=[64], crop=1, crop_from=[200], crop_sizes=(50, 50), min_visible=0.05)
    assert kept(scene, 0)["boxes"].tolist() == [[0, 0, 64, 64]]
    empty = Transform(fit="squash", sizes=[64], crop=1, flip=1)(painted([], 90, 90), 3)
    assert empty["boxes"].shape == (0, 4) and empty["attributes"].shape == (0, 6)


def test_all_eight_symmetries_occur() -> None:
    transform = Transform(fit="squash", sizes=[60], flip=0.5)
    scene = painted([(2, 10, 8, 14)], 60, 60)
    assert len({tuple(transform(scene, number)["boxes"][0].tolist()) for number in range(80)}) == 8


def test_equal_keys_draw_equal_numbers_and_the_global_generator_is_left_alone() -> None:
    transform = Transform(fit="shorter", sizes=[64, 96], crop=0.5, flip=0.5, stain=0.2, light=0.2)
    scene = painted([(10, 10, 60, 60)], 90, 120)
    state = torch.get_rng_state()
    first, again, other = transform(scene, 7), transform(scene, 7), transform(scene, 8)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first["image"], again["image"])
    assert first["image"].shape != other["image"].shape or not torch.equal(first["image"], other["image"])
    assert scene["image"].dtype == torch.uint8  # the sample that went in is as it was


def test_stains_move_but_background_and_order_of_channels_stay() -> None:
    white = torch.ones(3, 2, 2)
    assert torch.allclose(restain(white, torch.tensor([1.2, 0.8, 1.0])), white)
    assert restain(white * 0.5, torch.ones(3)).equal(white * 0.5)
    nucleus = torch.tensor([0.35, 0.2, 0.55])[:, None, None]  # violet: blue above red above green
    for more in (0.8, 0.9, 1.1, 1.2):
        changed = restain(nucleus, torch.tensor([more, 2 - more, 1.0])).flatten()
        assert changed.argsort().tolist() == [1, 0, 2]
    darker = restain(nucleus, torch.tensor([1.2, 1.2, 1.2]))
    assert torch.allclose(darker, nucleus**1.2, atol=1e-5)  # all stains alike: optical density is scaled
