"""Row `detection`: sixteen fields of BCCD learnt by heart; then its training part, and the test part as it goes."""

from hemamodel.train.runs import Run

from learning.common import VISION, Bench, Clock, Row

SIZE, IMAGES, ASKED = 256, 16, 0.95
HEART, EPOCHS = 150, 40
POINTS = 8  # of the curve
COMMON = (
    "data.train={detection: {bccd: 1}}",
    f"trainable={VISION}",
    "lr_backbone=1e-3",
    f"tasks.detection.image.sizes=[{SIZE}]",
    f"tasks.detection.image.evaluation_size={SIZE}",
    "tasks.detection.image.crop=0",
)
BY_HEART = (*COMMON, "tasks.detection.image.flip=0")


def run(bench: Bench) -> Row:
    """Stage 4 twice: on few images until it knows them, and on all with AP50 of the test part as it goes."""
    clock = Clock()
    corpus = bench.corpus("bccd", "bccd")
    learnt = bench.train(4, corpus, HEART, BY_HEART, name="by-heart-bccd", overfit=IMAGES)
    same = bench.evaluate(learnt, corpus, split="train", limit=IMAGES)["scores"]["detection"]
    points = curve(bench)
    test = points[-1]
    return {
        "ap50": same["ap50"],
        "ap": same["ap"],
        "classes": {name: each["ap50"] for name, each in same["classes"].items()},
        "images": IMAGES,
        "test_ap50": test["ap50"],
        "test_interval": test["interval"],
        "test_classes": test["classes"],
        "test_images": test["images"],
        "curve": {f"epoch {point['epoch']:g}": point["ap50"] for point in points},
        "asked": {"ap50": ASKED},
        "meets": same["ap50"] >= ASKED,
        "minutes": clock.minutes,
    }


def curve(bench: Bench) -> list[Row]:
    """AP50 of the test part at some stops of one training; nothing is chosen by it."""
    corpus = bench.corpus("bccd", "bccd")

    def until(step: int) -> Run:
        return bench.train(4, corpus, EPOCHS, COMMON, name="bccd", stop_after=step)

    steps, points = until(0).steps, []
    for part in range(1, POINTS + 1):
        stopped = until(steps * part // POINTS)
        found = bench.evaluate(stopped, corpus, unfinished=True)["scores"]["detection"]
        points.append(
            {
                "epoch": stopped.settings.stage.epochs * stopped.step / steps,
                "ap50": found["ap50"],
                "interval": found["intervals"]["ap50"],
                "classes": {name: each["ap50"] for name, each in found["classes"].items()},
                "images": found["samples"],
            }
        )
    return points
