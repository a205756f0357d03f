"""Every loss against a slow loop in float64, and the properties that the fast one must have."""

import itertools
import math

import pytest
import torch
from hemamodel.losses import asymmetric_loss, detection_loss, dice_loss, focal_loss, match
from hemamodel.losses.morphology import IGNORE
from torch import Tensor


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def some_boxes(n: int, random: torch.Generator) -> Tensor:
    centre = 0.3 + 0.4 * torch.rand(n, 2, generator=random, dtype=torch.float64)
    return torch.cat([centre, 0.1 + 0.2 * torch.rand(n, 2, generator=random, dtype=torch.float64)], 1)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def overlap(a: list[float], b: list[float]) -> float:
    """Generalised IoU of two centre boxes."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b
    left, right = (ax - aw / 2, bx - bw / 2), (ax + aw / 2, bx + bw / 2)
    top, below = (ay - ah / 2, by - bh / 2), (ay + ah / 2, by + bh / 2)
    inner = max(0, min(right) - max(left)) * max(0, min(below) - max(top))
    outer = (max(right) - min(left)) * (max(below) - min(top))
    union = aw * ah + bw * bh - inner
    return inner / union - (outer - union) / outer


def slow_cost(logits: Tensor, boxes: Tensor, label: int, target: Tensor) -> float:
    p = sigmoid(float(logits[label]))
    hit, miss = 0.25 * (1 - p) ** 2 * -math.log(p + 1e-8), 0.75 * p**2 * -math.log(1 - p + 1e-8)
    distance = sum(abs(float(x - y)) for x, y in zip(boxes, target, strict=True))
    return 2 * (hit - miss) + 5 * distance - 2 * overlap(boxes.tolist(), target.tolist())


@pytest.mark.parametrize(("queries", "count"), [(5, 3), (4, 4), (6, 1), (2, 3)])
def test_matching_has_the_least_cost_of_all(queries: int, count: int, random: torch.Generator) -> None:
    logits = torch.randn(queries, 4, generator=random, dtype=torch.float64)
    boxes, targets = some_boxes(queries, random), some_boxes(count, random)
    labels = torch.randint(4, (count,), generator=random)

    def total(pairs: list[tuple[int, int]]) -> float:
        return sum(slow_cost(logits[q], boxes[q], int(labels[t]), targets[t]) for q, t in pairs)

    many, few = (queries, count) if queries >= count else (count, queries)
    ways = [list(zip(way, range(few), strict=True)) for way in itertools.permutations(range(many), few)]
    best = min(total(w if queries >= count else [(q, t) for t, q in w]) for w in ways)
    found = match(logits, boxes, labels, targets)
    assert len(found[0]) == min(queries, count)
    assert total(list(zip(*(each.tolist() for each in found), strict=True))) == pytest.approx(best, abs=1e-5)


def test_image_without_boxes_matches_nothing(random: torch.Generator) -> None:
    queries, found = match(
        torch.randn(3, 4), some_boxes(3, random), torch.zeros(0, dtype=torch.long), torch.zeros(0, 4)
    )
    assert len(queries) == len(found) == 0


def test_detection_terms_equal_the_slow_loop(random: torch.Generator) -> None:
    logits = torch.randn(2, 5, 3, generator=random, dtype=torch.float64)
    boxes = torch.stack([some_boxes(5, random), some_boxes(5, random)])
    labels, targets = (
        [torch.tensor([0, 2]), torch.zeros(0, dtype=torch.long)],
        [some_boxes(2, random), torch.zeros(0, 4)],
    )
    annotated = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]])
    pairs = [match(logits[b], boxes[b], labels[b], targets[b]) for b in range(2)]
    terms = detection_loss(logits, boxes, labels, targets, annotated, pairs, 2.0)
    of_query = {int(q): int(t) for q, t in zip(*pairs[0], strict=True)}
    expected = {"class": 0.0, "box": 0.0, "overlap": 0.0}
    for b, q, c in itertools.product(range(2), range(5), range(3)):
        own = b == 0 and q in of_query and int(labels[0][of_query[q]]) == c
        if annotated[b, c] or own:
            p = sigmoid(float(logits[b, q, c]))
            right = p if own else 1 - p
            weight = 0.25 if own else 0.75 * float(annotated[b, c])
            expected["class"] += weight * (1 - right) ** 2 * -math.log(right) / 2
    for q, t in of_query.items():
        expected["box"] += float((boxes[0, q] - targets[0][t]).abs().sum()) / 2
        expected["overlap"] += (1 - overlap(boxes[0, q].tolist(), targets[0][t].tolist())) / 2
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(expected, abs=1e-6)


def test_class_that_nobody_annotates_gets_no_gradient(random: torch.Generator) -> None:
    logits = torch.randn(1, 4, 3, generator=random, requires_grad=True)
    boxes = some_boxes(4, random).float()[None]
    annotated = torch.tensor([[1.0, 0.0, 1.0]])
    pairs = [match(logits[0], boxes[0], torch.tensor([2]), boxes[0, :1])]
    detection_loss(logits, boxes, [torch.tensor([2])], [boxes[0, :1]], annotated, pairs, 1.0)["class"].backward()
    assert logits.grad is not None
    assert (logits.grad[..., 1] == 0).all() and (logits.grad[..., [0, 2]] != 0).all()


def test_asymmetric_loss_equals_the_slow_loop(random: torch.Generator) -> None:
    logits = 3 * torch.randn(4, 6, 2, generator=random, dtype=torch.float64)
    values = torch.randint(2, (4, 6), generator=random)
    values[0, 1] = values[3] = IGNORE
    expected = 0.0
    for n, a, v in itertools.product(range(4), range(6), range(2)):
        if int(values[n, a]) != IGNORE:
            p = sigmoid(float(logits[n, a, v]))
            if int(values[n, a]) == v:
                expected += (1 - p) * -math.log(p)
            else:
                kept = min(1 - p + 0.08, 1)
                expected += (1 - kept) ** 4 * -math.log(kept)
    assert float(asymmetric_loss(logits, values)) == pytest.approx(expected)
    assert float(asymmetric_loss(logits, torch.full_like(values, IGNORE))) == 0


def test_mask_losses_equal_the_slow_loop_and_ignore_padding(random: torch.Generator) -> None:
    logits = torch.randn(2, 1, 4, 5, generator=random, dtype=torch.float64)
    masks = torch.randint(2, (2, 1, 4, 5), generator=random).double()
    padding = torch.zeros(2, 4, 5, dtype=torch.bool)
    padding[1, :, 3:] = padding[1, 2:] = True
    dice = focal = 0.0
    for b in range(2):
        inside = [(y, x) for y in range(4) for x in range(5) if not padding[b, y, x]]
        found = [sigmoid(float(logits[b, 0, y, x])) for y, x in inside]
        wanted = [float(masks[b, 0, y, x]) for y, x in inside]
        both = sum(p * m for p, m in zip(found, wanted, strict=True))
        dice += (1 - (2 * both + 1) / (sum(found) + sum(wanted) + 1)) / 2
        right = [p if m else 1 - p for p, m in zip(found, wanted, strict=True)]
        focal += sum(0.25 * (1 - r) ** 2 * -math.log(r) for r in right) / len(right) / 2
    assert float(dice_loss(logits, masks, padding)) == pytest.approx(dice)
    assert float(focal_loss(logits, masks, padding)) == pytest.approx(focal)


def test_mask_loss_of_a_batch_is_the_mean_of_its_images(random: torch.Generator) -> None:
    logits, masks = torch.randn(3, 1, 6, 6, generator=random), torch.randint(2, (3, 1, 6, 6), generator=random).float()
    padding = torch.zeros(3, 6, 6, dtype=torch.bool)
    for loss in (dice_loss, focal_loss):
        each = [loss(logits[i : i + 1], masks[i : i + 1], padding[i : i + 1]) for i in range(3)]
        torch.testing.assert_close(loss(logits, masks, padding), torch.stack(each).mean())
