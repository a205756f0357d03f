"""Row `segmentation`: nucleus and whole cell of Dataset 1 of the WBC image dataset, a held-out fifth; Dataset 2."""

import shutil
from pathlib import Path

import hemadata
import numpy as np
from hemamodel.data import CorpusDataset
from hemamodel.evaluate import scores

from learning.common import VISION, Bench, Clock, Row

SIZE, EPOCHS = 128, 45
TARGETS = {"nucleus": ("nucleus",), "cell": ("nucleus", "cytoplasm")}
ASKED = {"nucleus": 0.95, "cell": 0.97}
SOURCE = "wbc-image-dataset"
Pictures = list[tuple[np.ndarray, np.ndarray]]
SETTINGS = (
    f"data.train={{segmentation: {{{SOURCE}: 1}}}}",
    f"trainable={VISION}",
    "lr_backbone=1e-3",
    "batch_size=8",
    f"tasks.segmentation.image.sizes=[{SIZE}]",
    f"tasks.segmentation.image.evaluation_size={SIZE}",
)


def run(bench: Bench) -> Row:
    """Train stage 5 once for each target, and score two baselines on the same images."""
    clock = Clock()
    corpus, other = (bench.corpus(f"dataset-{number}", SOURCE, raw=only(bench, number)) for number in (1, 2))
    row: Row = {"asked": {f"{name}_dice": value for name, value in ASKED.items()}, "baselines": {}}
    for name, regions in TARGETS.items():
        settings = (*SETTINGS, f"data.foreground=[{', '.join(regions)}]")
        trained = bench.train(5, corpus, EPOCHS, settings, name=name)
        found = bench.evaluate(trained, corpus)["scores"]["segmentation"]
        row |= {f"{name}_dice": found["dice"], f"{name}_iou": found["iou"], "samples": found["samples"]}
        there = bench.evaluate(trained, other, split="all")["scores"]["segmentation"]
        row |= {f"{name}_dice_dataset_2": there["dice"], "samples_dataset_2": there["samples"]}
        row["baselines"] |= {f"{name}_{key}": value for key, value in baselines(corpus, other, regions).items()}
    row["dice"] = {name: row[f"{name}_dice"] for name in TARGETS}
    row["meets"] = (
        all(row[f"{name}_dice"] >= asked for name, asked in ASKED.items())
        and row["nucleus_dice_dataset_2"] > row["baselines"]["nucleus_pixel_classifier_dataset_2"]
    )
    return row | {"minutes": clock.minutes}


def only(bench: Bench, number: int) -> Path:
    """A raw tree with one of the two datasets alone."""
    out = bench.work / f"raw-dataset-{number}"
    if not out.exists():
        skipped = shutil.ignore_patterns(f"*Dataset {3 - number}*")
        shutil.copytree(bench.raw / SOURCE, out / SOURCE, ignore=skipped)
        if number == 2:  # the reader finds its place by this folder
            (out / SOURCE / "Dataset 1").mkdir()
            (out / SOURCE / "Dataset 1" / "left-out.txt").write_text("Dataset 2 alone\n")
    return out


def baselines(path: Path, other: Path, regions: tuple[str, ...]) -> dict[str, float]:
    """Dice of the mean mask of the training images, and of a classifier of single pixels by colour and place."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    train, test, there = (
        pictures(path, "train", regions),
        pictures(path, "test", regions),
        pictures(other, None, regions),
    )
    mean = np.mean([resized(mask, (SIZE, SIZE)) for _, mask in train], axis=0) > 0.5
    draw = np.random.default_rng(0)
    x, y = [], []
    for image, mask in train:
        chosen = draw.choice(mask.size, 500, replace=False)
        x.append(features(image)[chosen])
        y.append(mask.ravel()[chosen])
    pixels = HistGradientBoostingClassifier(random_state=0).fit(np.concatenate(x), np.concatenate(y))

    def by_pixels(parts: Pictures) -> float:
        return dice(parts, [pixels.predict(features(image)).reshape(mask.shape) for image, mask in parts])

    return {
        "mean_mask": dice(test, [resized(mean, mask.shape) for _, mask in test]),
        "pixel_classifier": by_pixels(test),
        "pixel_classifier_dataset_2": by_pixels(there),
    }


def pictures(path: Path, split: str | None, regions: tuple[str, ...]) -> Pictures:
    """Every image uint8 [3, H, W] of a part with its mask bool [H, W]."""
    with hemadata.open(path) as corpus:
        data = CorpusDataset(corpus, "segmentation", split, [SOURCE], regions=[regions])
        samples = [data[i] for i in range(len(data))]
    return [(each["image"].numpy(), each["mask"][0].numpy().astype(bool)) for each in samples]


def dice(truth: Pictures, found: list[np.ndarray]) -> float:
    """Mean over images."""
    return float(np.mean([scores.overlap(mask, ours)[0] for (_, mask), ours in zip(truth, found, strict=True)]))


def resized(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The nearest pixels of a mask [H, W] in another height and width; a few pictures are not 120 x 120."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(shape, mask.shape, strict=True))
    return mask[rows[:, None], columns]


def features(image: np.ndarray) -> np.ndarray:
    """Red, green, blue, x and y (0 to 1) and distance from the middle of every pixel: [3, H, W] -> [H * W, 6]."""
    _, height, width = image.shape
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    return np.stack([*image, x, y, np.hypot(x - 0.5, y - 0.5)], axis=-1).reshape(-1, 6)
