"""How a report calls the parts of a test, and those who do not look at the pictures."""

# Scores in the order of a report; a terminal shows the first, a page all.
MAIN = (
    "macro_f1",
    "weighted_f1",
    "accuracy",
    "dice",
    "iou",
    "ap50",
    "ap",
    "morphology_f1",
    "morphology_f1_matched",
    "exact_match",
    "bleu_4",
    "rouge_l",
    "attribute_accuracy",
)
MORE = ("bleu_1", "bleu_2", "bleu_3", "rouge_1", "rouge_2")
PARTS = {"without_type_named": "questions that name no type of cell", "hard": "cells unlike any of training"}
NAMES = {
    "blind": "blind run",
    "against": "other run",
    "shuffled": "exchanged pictures",
    "type_majority": "commonest answer by type",
    "question_majority": "commonest answer",
}
