"""How a report calls the parts of a test, and those who do not look at the pictures."""

PARTS = {"without_type_named": "questions that name no type of cell", "hard": "cells unlike any of training"}
NAMES = {
    "blind": "blind run",
    "against": "other run",
    "shuffled": "exchanged pictures",
    "type_majority": "commonest answer by type",
    "question_majority": "commonest answer",
}
