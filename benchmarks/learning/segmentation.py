"""Row `segmentation`: nucleus and whole cell of Dataset 1 of the WBC image dataset, a held-out fifth of it."""

import shutil
from pathlib import Path

import hemadata
import numpy as np
from hemamodel.data import CorpusDataset
from hemamodel.evaluate import scores
from hemamodel.evaluate.run import evaluate

from learning.common import VISION, Bench, Clock, Row

SIZE, EPOCHS = 128, 45
TARGETS = {"nucleus": ("nucleus",), "cell": ("nucleus", "cytoplasm")}
ASKED = {"nucleus": 0.90, "cell": 0.95}
SOURCE = "wbc-image-dataset"
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
    corpus = bench.corpus("dataset-1", SOURCE, raw=only_dataset_1(bench))
    row: Row = {"asked": {f"{name}_dice": value for name, value in ASKED.items()}, "baselines": {}}
    for name, regions in TARGETS.items():
        settings = (*SETTINGS, f"data.foreground=[{', '.join(regions)}]")
        trained = bench.train(5, corpus, EPOCHS, settings, name=name)
        found = evaluate(trained.path, corpus, workers=bench.workers)["scores"]["segmentation"]
        row |= {f"{name}_dice": found["dice"], f"{name}_iou": found["iou"], "samples": found["samples"]}
        row["baselines"] |= {f"{name}_{key}": value for key, value in baselines(corpus, regions).items()}
    row["dice"] = {name: row[f"{name}_dice"] for name in TARGETS}
    row["meets"] = all(row[f"{name}_dice"] >= asked for name, asked in ASKED.items())
    return row | {"minutes": clock.minutes}


def only_dataset_1(bench: Bench) -> Path:
    """A raw tree with Dataset 1 alone."""
    out = bench.work / "raw-dataset-1"
    if not out.exists():
        shutil.copytree(
            bench.raw / SOURCE, out / SOURCE, ignore=lambda _, names: {n for n in names if "Dataset 2" in n}
        )
    return out


def baselines(path: Path, regions: tuple[str, ...]) -> dict[str, float]:
    """Dice of the mean mask of the training images, and of a classifier of single pixels by colour and place."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    parts = {}
    with hemadata.open(path) as corpus:
        for split in ("train", "test"):
            data = CorpusDataset(corpus, "segmentation", split, [SOURCE], regions=[regions])
            samples = [data[i] for i in range(len(data))]
            parts[split] = [(s["image"].numpy(), s["mask"][0].numpy().astype(bool)) for s in samples]
    mean = np.mean([resized(mask, (SIZE, SIZE)) for _, mask in parts["train"]], axis=0) > 0.5
    draw = np.random.default_rng(0)
    x, y = [], []
    for image, mask in parts["train"]:
        chosen = draw.choice(mask.size, 500, replace=False)
        x.append(features(image)[chosen])
        y.append(mask.ravel()[chosen])
    pixels = HistGradientBoostingClassifier(random_state=0).fit(np.concatenate(x), np.concatenate(y))
    truth = [mask for _, mask in parts["test"]]
    guessed = [pixels.predict(features(image)).reshape(mask.shape) for image, mask in parts["test"]]

    def dice(found: list[np.ndarray]) -> float:
        return float(np.mean([scores.overlap(*pair)[0] for pair in zip(truth, found, strict=True)]))

    return {"mean_mask": dice([resized(mean, mask.shape) for mask in truth]), "pixel_classifier": dice(guessed)}


def resized(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The nearest pixels of a mask [H, W] in another height and width; a few pictures are not 120 x 120."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(shape, mask.shape, strict=True))
    return mask[rows[:, None], columns]


def features(image: np.ndarray) -> np.ndarray:
    """Red, green, blue, x and y (0 to 1) and distance from the middle of every pixel: [3, H, W] -> [H * W, 6]."""
    _, height, width = image.shape
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    return np.stack([*image, x, y, np.hypot(x - 0.5, y - 0.5)], axis=-1).reshape(-1, 6)
