"""Row `vqa`: questions about WBCAtt's cells, answered with and without looking, on cells unlike any of training."""

from typing import Any

from learning import cells, classification
from learning.common import Bench, Clock, Row

SIZE, EPOCHS = 128, 10
SCORE = "attribute_accuracy"  # whether an answer names the values that the experts gave
SETTINGS = (
    "data.train={vqa: {wbcatt-vqa: 1}, mlm: {}}",
    "batch_size=32",  # three of four are of vqa
    f"tasks.vqa.image.sizes=[{SIZE}]",
    f"tasks.vqa.image.evaluation_size={SIZE}",
)


def run(bench: Bench) -> Row:
    """Stage 6 from stage 1; the same network, steps and seed with every picture black; the commonest answers."""
    clock = Clock()
    corpus, start = cells.corpus(bench), classification.trained(bench)
    seeing = bench.train(6, corpus, EPOCHS, SETTINGS, name="vqa", init_from=start)
    blind = bench.train(6, corpus, EPOCHS, (*SETTINGS, "data.blind=true"), name="vqa-blind", init_from=start)
    report = bench.evaluate(seeing, corpus, against=blind.path, baselines=True)
    found = report["scores"]["vqa"]
    over = found["hard"]["baselines"]["blind"]["difference"][SCORE]
    return {
        "unlike_any_of_training": shown(found["hard"]),
        "no_type_named": shown(found["without_type_named"]),
        "all": shown(found),
        "asked": "unlike_any_of_training: the interval of over_blind lies above 0",
        "meets": over["low"] > 0 and report["against"]["differs"] == ["blind"],
        "minutes": clock.minutes,
    }


def shown(part: dict[str, Any]) -> Row:
    """Scores of a part of the test, and of those who do not look."""
    return {
        "questions": part["samples"],
        SCORE: part[SCORE],
        "exact_match": part["exact_match"],
        "bleu_4": part["bleu_4"],
        "baselines": {name: each[SCORE] for name, each in part["baselines"].items()},
        "over_blind": part["baselines"]["blind"]["difference"][SCORE],
    }
