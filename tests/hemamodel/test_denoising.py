"""Contrastive denoising: bounds of the noise, who sees whom, independence from the batch."""

import torch
from hemamodel.model.boxes import to_corners
from hemamodel.model.decoder import ImageDecoder
from hemamodel.model.denoising import Denoising, DenoisingQueries, draw
from hemamodel.model.heads import box_head
from hemamodel.model.neck import pyramid
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

CLASSES = 5


def targets(*counts: int) -> tuple[list[Tensor], list[Tensor]]:
    """Labels and boxes well inside the image, different for each image."""
    labels, boxes = [], []
    for image, count in enumerate(counts):
        generator = torch.Generator().manual_seed(image)
        labels.append(torch.randint(CLASSES, (count,), generator=generator))
        centre = 0.4 + 0.2 * torch.rand(count, 2, generator=generator)
        boxes.append(torch.cat([centre, 0.1 + 0.2 * torch.rand(count, 2, generator=generator)], dim=-1))
    return labels, boxes


def noisy(counts: tuple[int, ...], number: int = 12, seed: int = 0, **options: float) -> DenoisingQueries:
    torch.manual_seed(0)
    denoising = Denoising(8, CLASSES, number, **options)
    return denoising(*targets(*counts), image_ids=[f"image {i}" for i in range(len(counts))], seed=seed)


@given(seed=st.integers(0, 10_000), noise=st.sampled_from([0.1, 0.4]))
def test_corners_move_within_their_bounds(seed: int, noise: float) -> None:
    queries = noisy((3, 2), seed=seed, box_noise=noise)
    assert queries.groups == 4
    for image, (boxes, count) in enumerate(zip(targets(3, 2)[1], (3, 2), strict=True)):
        corners = to_corners(queries.reference[image]).view(4, 2, 3, 4)[:, :, :count]  # groups, sign, box, corner
        half = boxes[:, [2, 3, 2, 3]] / 2
        moved = (corners - to_corners(boxes)).abs() / half / noise
        assert (moved[:, 0] <= 1 + 1e-4).all()
        assert (moved[:, 1] >= 1 - 1e-4).all() and (moved[:, 1] <= 2 + 1e-4).all()


def test_boxes_stay_in_the_image() -> None:
    denoising = Denoising(8, CLASSES, number=40)
    edge = torch.tensor([[0.0, 0.0, 0.6, 0.6], [0.95, 0.95, 0.1, 0.1]])
    corners = to_corners(denoising([torch.tensor([0, 1])], [edge], ["edge"], seed=3).reference)
    assert corners.min() >= -1e-6 and corners.max() <= 1 + 1e-6
    assert (corners[..., 2:] >= corners[..., :2] - 1e-6).all()


def test_share_of_changed_labels() -> None:
    torch.manual_seed(0)
    denoising = Denoising(8, classes=50, number=2000)
    queries = denoising([torch.full((20,), 7)], [torch.full((20, 4), 0.5)], ["image"], seed=0)
    changed = (queries.content != denoising.label.weight[7]).any(-1).float().mean().item()
    assert abs(changed - 0.25 * 49 / 50) < 0.03  # half of the ratio 0.5 is redrawn, one in 50 gets its own label back
    untouched = Denoising(8, 50, label_noise=0.0)
    queries = untouched([torch.full((20,), 7)], [torch.full((20, 4), 0.5)], ["image"], seed=0)
    assert torch.equal(queries.content, untouched.label.weight[7].expand_as(queries.content))


def test_slots_name_their_targets() -> None:
    queries = noisy((3, 1, 0))
    assert queries.target.tolist() == [0, 1, 2] * 8
    assert queries.positive.view(3, 4, 2, 3).sum(dim=(1, 2, 3)).tolist() == [12, 4, 0]
    assert not queries.positive.view(3, 4, 2, 3)[:, :, 1].any()
    assert (~queries.absent).sum(dim=1).tolist() == [24, 8, 0]
    assert not (queries.positive & queries.absent).any()


def test_noise_does_not_depend_on_the_batch() -> None:
    labels, boxes = targets(2, 5)
    denoising = Denoising(8, CLASSES, number=12)
    alone = denoising(labels[:1], boxes[:1], ["a"], seed=1)  # 6 groups of 2
    together = denoising(labels[::-1], boxes[::-1], ["b", "a"], seed=1)  # 2 groups of 5, image "a" second
    few, many = together.reference[1].view(2, 2, 5, 4)[:, :, :2], alone.reference[0].view(6, 2, 2, 4)
    assert torch.equal(few, many[:2])
    assert torch.equal(together.content[1].view(2, 2, 5, 8)[:, :, :2], alone.content[0].view(6, 2, 2, 8)[:2])
    assert not torch.equal(many[0], many[1])
    for other in (denoising(labels[:1], boxes[:1], ["c"], seed=1), denoising(labels[:1], boxes[:1], ["a"], seed=2)):
        assert not torch.equal(other.reference, alone.reference)


def test_more_groups_only_add() -> None:
    assert torch.equal(draw(3, 7, "image", 5), draw(9, 7, "image", 5)[:3])
    assert draw(1, 7, "image", 5).min() >= 0 and draw(1, 7, "image", 5).max() < 1


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    draw(3, 7, "image", 5)
    assert torch.equal(before, torch.get_rng_state())


def test_mask_blocks_the_right_pairs() -> None:
    queries = noisy((3, 2))  # 4 groups of 6 slots
    blocked = queries.blocked(5)
    assert blocked.shape == (29, 29)
    for row in range(29):
        for column in range(29):
            # Everybody sees the matching queries, from slot 24 on.
            expected = column < 24 and (row >= 24 or row // 6 != column // 6)
            assert blocked[row, column].item() == expected, (row, column)


def test_no_boxes_at_all() -> None:
    denoising = Denoising(8, CLASSES)
    queries = denoising([torch.zeros(0).long()] * 2, [torch.zeros(0, 4)] * 2, [1, 2], seed=0)
    assert queries.groups == 1 and queries.content.shape == (2, 2, 8)
    assert queries.absent.all() and not queries.positive.any()
    assert torch.isfinite(queries.reference).all()
    assert torch.equal(queries.content[0, 0], denoising.label.weight[CLASSES])


def test_more_boxes_than_denoising_queries() -> None:
    queries = noisy((30,), number=12)
    assert queries.groups == 1 and queries.content.shape == (1, 60, 8)


def decode(queries: DenoisingQueries, image: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """States of denoising and matching queries of a small decoder, all its weights drawn; and the noisy content."""
    torch.manual_seed(1)
    decoder = ImageDecoder(8, heads=2, levels=2, points=2, layers=2, hidden=16).double()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    head = box_head(8).double()
    batch = len(queries.content)
    maps = [torch.randn(1, 8, 4, 4).double(), torch.randn(1, 8, 2, 2).double()]
    paddings = [torch.zeros(batch, *m.shape[-2:], dtype=torch.bool) for m in maps]
    features = pyramid([m.expand(batch, -1, -1, -1) for m in maps], paddings, torch.zeros(2, 8).double())
    matching = torch.randn(1, 3, 8).double().expand(batch, -1, -1)
    boxes = torch.rand(1, 3, 4).double().expand(batch, -1, -1)
    content = queries.content.detach().double().requires_grad_()
    decoded = decoder(
        torch.cat([content, matching], dim=1),
        torch.cat([queries.reference.double(), boxes], dim=1),
        features.tokens,
        features,
        head,
        queries.blocked(3),
        queries.all_absent(3),
    )
    slots = content.shape[1]
    return decoded.states[-1, :, :slots], decoded.states[-1, :, slots:], content


def test_matching_queries_and_other_groups_see_no_noise() -> None:
    states, matching, content = decode(noisy((3, 2)))
    assert not torch.autograd.grad(matching.pow(3).sum(), content, retain_graph=True)[0].any()
    first_group = torch.autograd.grad(states[:, :6].pow(3).sum(), content)[0].abs().sum(-1)  # [B, 24]
    assert not first_group[:, 6:].any()
    assert (first_group[0, :6] > 0).all()


def test_empty_slots_and_other_images_change_nothing() -> None:
    """The smaller image of a batch gives what it gives alone: its empty slots are seen by nobody."""
    labels, boxes = targets(2, 5)
    torch.manual_seed(0)
    denoising = Denoising(8, CLASSES, number=5)
    alone, matching_alone, _ = decode(denoising(labels[:1], boxes[:1], ["a"], seed=0))  # 2 groups
    batch, matching, _ = decode(denoising(labels, boxes, ["a", "b"], seed=0))  # 1 group
    torch.testing.assert_close(matching[0], matching_alone[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(batch[0].view(1, 2, 5, 8)[0, :, :2], alone[0].view(2, 2, 2, 8)[0], rtol=0, atol=1e-12)
