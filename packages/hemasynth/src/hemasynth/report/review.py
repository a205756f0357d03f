"""Verdicts of a person, as the page exports them, and what they say about the whole set."""

import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hemadata.errors import InputMissingError

from hemasynth.errors import RecordError
from hemasynth.report.intervals import wilson

VERDICTS = ("accept", "reject", "unclear")
COLUMNS = ("question_id", "verdict", "note")


def read(path: Path, known: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return verdict and note by question id.

    Args:
        path: CSV with the columns of `COLUMNS`; an empty verdict is a pair that was not judged.
        known: the ids of the sample.

    Raises:
        InputMissingError: there is no such file.
        RecordError: it is not such a table, or judges a pair that is not in the sample, or judges one twice.
    """
    if not path.is_file():
        raise InputMissingError(f"There is no file {path}. The report page exports it.")
    found: dict[str, tuple[str, str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as table:
            reader = csv.DictReader(table)
            if not set(COLUMNS[:2]) <= set(reader.fieldnames or ()):
                raise RecordError(
                    f"{path}: expected the columns {', '.join(COLUMNS)}, found {', '.join(reader.fieldnames or ())}."
                )
            for row in reader:
                name, verdict = (row["question_id"] or "").strip(), (row["verdict"] or "").strip().lower()
                where = f"{path}, line {reader.line_num}"
                if name not in known:
                    raise RecordError(f"{where}: {name!r} is not in the sample of this set; was the set written anew?")
                if name in found:
                    raise RecordError(f"{where}: {name} is judged twice.")
                if verdict and verdict not in VERDICTS:
                    raise RecordError(
                        f"{where}: the verdict is {verdict!r}; expected {', '.join(VERDICTS)} or nothing."
                    )
                found[name] = verdict, (row.get("note") or "").strip()
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: not a table of comma-separated values in UTF-8 ({error}).") from error
    return found


def summary(verdicts: dict[str, tuple[str, str]], size: int) -> dict[str, Any]:
    """Return the acceptance rate among judged pairs with its Wilson interval; "unclear" counts as not accepted."""
    words = [verdict for verdict, _ in verdicts.values() if verdict]
    accepted, judged = words.count("accept"), len(words)
    return {
        "accepted": accepted,
        "rejected": words.count("reject"),
        "unclear": words.count("unclear"),
        "judged": judged,
        "open": size - judged,
        "rate": accepted / judged if judged else 0.0,
        "interval": wilson(accepted, judged),
    }
