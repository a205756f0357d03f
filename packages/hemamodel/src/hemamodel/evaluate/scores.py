"""Scores of each task, from well-kept libraries; each takes plain lists or tensors and returns JSON values."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from hemamodel.predict.results import Detections

Scores = dict[str, Any]


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


def segmentation(truth: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> Scores:
    """Means over images of Dice and IoU of the foreground; two empty masks agree perfectly.

    Args:
        truth: bool [H, W] of each image.
        found: the same.
    """
    dice, iou = [], []
    for wanted, ours in zip(truth, found, strict=True):
        both, either = int((wanted & ours).sum()), int((wanted | ours).sum())
        dice.append(2 * both / (either + both) if either else 1.0)
        iou.append(both / either if either else 1.0)
    return {"dice": float(np.mean(dice)), "iou": float(np.mean(iou))}


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


def text(truth: Sequence[str], found: Sequence[str]) -> Scores:
    """Exact match, BLEU-1 to 4 of the whole corpus, mean ROUGE-L; case and surrounding space do not count."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.bleu import BLEU

    wanted, ours = ([" ".join(each.lower().split()) for each in side] for side in (truth, found))
    rouge = RougeScorer(["rougeL"], use_stemmer=False)
    bleu = {
        f"bleu_{n}": BLEU(max_ngram_order=n, effective_order=True).corpus_score(ours, [wanted]).score / 100
        for n in range(1, 5)
    }
    return {
        "exact_match": float(np.mean([a == b for a, b in zip(wanted, ours, strict=True)])),
        **bleu,
        "rouge_l": float(np.mean([rouge.score(a, b)["rougeL"].fmeasure for a, b in zip(wanted, ours, strict=True)])),
    }
