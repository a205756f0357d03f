"""Row `detection`: eight fields of BCCD learnt by heart, and what that gives on its test part."""

from hemamodel.evaluate.run import evaluate

from learning.common import VISION, Bench, Clock, Row

SIZE, EPOCHS, IMAGES = 256, 250, 8
SETTINGS = (
    "data.train={detection: {bccd: 1}}",
    f"trainable={VISION}",
    "lr_backbone=1e-3",
    f"tasks.detection.image.sizes=[{SIZE}]",
    f"tasks.detection.image.evaluation_size={SIZE}",
    "tasks.detection.image.crop=0",
    "tasks.detection.image.flip=0",
)


def run(bench: Bench) -> Row:
    """Train stage 4 on eight images; AP50 on them and on the test part."""
    clock = Clock()
    corpus = bench.corpus("bccd", "bccd")
    trained = bench.train(4, corpus, EPOCHS, SETTINGS, name="detection", overfit=IMAGES)
    same = evaluate(trained.path, corpus, split="train", limit=IMAGES, workers=bench.workers)["scores"]["detection"]
    test = evaluate(trained.path, corpus, workers=bench.workers)["scores"]["detection"]
    return {
        "ap50": same["ap50"],
        "ap": same["ap"],
        "classes": {name: each["ap50"] for name, each in same["classes"].items()},
        "test_ap50": test["ap50"],
        "images": IMAGES,
        "test_images": test["samples"],
        "asked": {"ap50": 0.80},
        "meets": same["ap50"] >= 0.80,
        "minutes": clock.minutes,
    }
