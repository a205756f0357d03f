"""Scores of each task, from well-kept libraries; each takes plain lists or tensors and returns JSON values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from torch import Tensor

from hemamodel.evaluate.matching import pairs
from hemamodel.predict.results import Detections

Scores = dict[str, Any]
ORDERS = (1, 2, 3, 4)  # of BLEU


def classification(truth: Sequence[int], found: Sequence[int], names: Sequence[str]) -> Scores:
    """Macro F1 over the classes that occur, weighted F1, accuracy, F1 and count of each class, confusion.

    Args:
        truth: class ids.
        found: class ids; one that does not occur in `truth` counts as a miss of the true class.
        names: of all classes.
    """
    from sklearn.metrics import accuracy_score, f1_score

    present = sorted(set(truth))
    each = f1_score(truth, found, labels=present, average=None, zero_division=0.0)
    confusion: dict[str, dict[str, int]] = {}
    for true, guess in zip(truth, found, strict=True):
        row = confusion.setdefault(names[true], {})
        row[names[guess]] = row.get(names[guess], 0) + 1
    return {
        "macro_f1": float(np.mean(each)),
        "weighted_f1": float(f1_score(truth, found, labels=present, average="weighted", zero_division=0.0)),
        "accuracy": float(accuracy_score(truth, found)),
        "classes": {
            names[i]: {"f1": float(score), "images": int(np.sum(np.equal(truth, i)))}
            for i, score in zip(present, each, strict=True)
        },
        "confusion": confusion,
    }


def overlap(truth: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Dice and IoU of the foreground of one image, bool [H, W] each; two empty masks agree perfectly."""
    both, either = int((truth & found).sum()), int((truth | found).sum())
    return (2 * both / (either + both), both / either) if either else (1.0, 1.0)


def detection(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    found: Sequence[Detections],
    names: Sequence[str],
    most: int = 300,
) -> Scores:
    """COCO average precision: mean over the classes that occur.

    Args:
        boxes: annotated x1, y1, x2, y2 of each image in pixels, [n, 4].
        labels: their class ids, [n].
        found: detections of each image.
        names: of all classes.
        most: detections counted per image (COCO counts 100; a thick field holds more cells).
    """
    from faster_coco_eval import COCO, COCOeval_faster

    present = sorted({int(label) for each in labels for label in each})
    if not present:
        return {"ap50": None, "ap": None, "classes": {}}
    truth: dict[str, Any] = {
        "images": [{"id": image + 1} for image in range(len(boxes))],
        "categories": [{"id": i, "name": names[i]} for i in present],
        "annotations": [],
    }
    for image, (each, kinds) in enumerate(zip(boxes, labels, strict=True)):
        for (x1, y1, x2, y2), kind in zip(each.tolist(), kinds.tolist(), strict=True):
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": image + 1,
                    "category_id": kind,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    guesses = [
        {"image_id": image + 1, "category_id": kind, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for image, each in enumerate(found)
        for (x1, y1, x2, y2), kind, score in zip(
            each.boxes.tolist(), each.labels.tolist(), each.scores.tolist(), strict=True
        )
        if kind in present
    ]
    if not guesses:
        return {"ap50": 0.0, "ap": 0.0, "classes": {names[i]: {"ap50": 0.0, "ap": 0.0} for i in present}}
    coco = COCO(truth)
    scorer = COCOeval_faster(coco, coco.loadRes(guesses), "bbox")
    scorer.params.maxDets = [1, 10, most]
    scorer.evaluate()
    scorer.accumulate()
    precision = np.asarray(scorer.eval["precision"])[:, :, :, 0, -1]  # [IoU, recall, class]
    precision = np.where(precision < 0, np.nan, precision)
    classes = {
        names[i]: {"ap50": float(np.nanmean(precision[0, :, k])), "ap": float(np.nanmean(precision[:, :, k]))}
        for k, i in enumerate(present)
    }
    return {
        "ap50": float(np.mean([each["ap50"] for each in classes.values()])),
        "ap": float(np.mean([each["ap"] for each in classes.values()])),
        "classes": classes,
    }


def confusion(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    found: Sequence[Detections],
    names: Sequence[str],
    threshold: float,
) -> dict[str, dict[str, int]]:
    """Annotated class -> found class -> boxes, matched by overlap alone; `missed`, and `nothing` for what is not there.

    Args:
        boxes: as for `detection`.
        labels: likewise.
        found: likewise.
        names: likewise.
        threshold: least score of a detection that counts.
    """
    table: dict[str, dict[str, int]] = {}

    def add(truth: str, guess: str) -> None:
        row = table.setdefault(truth, {})
        row[guess] = row.get(guess, 0) + 1

    for wanted, kinds, each in zip(boxes, labels, found, strict=True):
        sure = each.above(threshold)
        matched = pairs(sure.boxes.cpu(), wanted)
        for detection, box in matched:
            add(names[int(kinds[box])], names[int(sure.labels[detection])])
        for box in sorted(set(range(len(wanted))) - {box for _, box in matched}):
            add(names[int(kinds[box])], "missed")
        for detection in sorted(set(range(len(sure.boxes))) - {detection for detection, _ in matched}):
            add("nothing", names[int(sure.labels[detection])])
    return table


def box_f1(boxes: Tensor, labels: Tensor, found: Detections) -> float:
    """F1 of one image: a detection is right where it overlaps a box of its class by half; 1 where there is nothing."""
    kinds = {int(each) for each in (*labels, *found.labels)}
    hits = sum(len(pairs(found.boxes[found.labels == kind].cpu(), boxes[labels == kind])) for kind in kinds)
    return 2 * hits / (len(boxes) + len(found.boxes)) if kinds else 1.0


def text(truth: Sequence[str], found: Sequence[str]) -> Scores:
    """Exact match, BLEU-1 to 4 of the whole corpus, mean ROUGE-1, 2 and L; case and surrounding space do not count."""
    counts, even = NGrams.of(truth, found), np.ones(len(truth))
    means = {name: float(np.mean(values)) for name, values in per_text(truth, found).items()}
    return {"exact_match": means.pop("exact_match"), **{f"bleu_{n}": counts.bleu(n, even) for n in ORDERS}, **means}


def per_text(truth: Sequence[str], found: Sequence[str]) -> dict[str, list[float]]:
    """Exact match (0 or 1) and ROUGE-1, 2 and L of each text."""
    from rouge_score.rouge_scorer import RougeScorer

    kinds = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
    rouge, rows = (
        RougeScorer(list(kinds.values()), use_stemmer=False),
        list(zip(_plain(truth), _plain(found), strict=True)),
    )
    each = [rouge.score(wanted, ours) for wanted, ours in rows]
    return {
        "exact_match": [float(wanted == ours) for wanted, ours in rows],
        **{name: [row[kind].fmeasure for row in each] for name, kind in kinds.items()},
    }


@dataclass(frozen=True)
class NGrams:
    """What BLEU counts in each text.

    Attributes:
        right: n-grams that the true text has too, [texts, 4].
        said: n-grams, [texts, 4].
        lengths: words that were said, and words of the true text, [texts, 2].
    """

    right: np.ndarray
    said: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, truth: Sequence[str], found: Sequence[str]) -> Self:
        """Count them."""
        from sacrebleu.metrics.bleu import BLEU

        counter = BLEU(max_ngram_order=ORDERS[-1])
        each = [counter.corpus_score([b], [[a]]) for a, b in zip(_plain(truth), _plain(found), strict=True)]
        return cls(
            np.array([one.counts for one in each]),
            np.array([one.totals for one in each]),
            np.array([(one.sys_len, one.ref_len) for one in each]),
        )

    def bleu(self, order: int, weight: np.ndarray) -> float:
        """BLEU of the whole in 0..1, texts counting by `weight` [texts]; orders longer than any text do not count."""
        from sacrebleu.metrics.bleu import BLEU

        right, said, lengths = (weight @ counts for counts in (self.right, self.said, self.lengths))
        found = BLEU.compute_bleu(
            right[:order].tolist(),
            said[:order].tolist(),
            sys_len=int(lengths[0]),
            ref_len=int(lengths[1]),
            smooth_method="exp",
            effective_order=True,
            max_ngram_order=order,
        )
        return float(found.score) / 100


def _plain(texts: Sequence[str]) -> list[str]:
    return [" ".join(each.lower().split()) for each in texts]
