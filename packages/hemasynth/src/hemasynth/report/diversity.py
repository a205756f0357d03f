"""How much of the text repeats itself: distinct n-grams, self-BLEU, families of equal pairs, lengths."""

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hemasynth.faithful import MAX_WORDS

SAMPLE = 60  # texts per question type for self-BLEU, which grows with the square
_STOP = frozenset(["a", "an", "the", "of", "in", "is", "are", "this", "that", "it", "its", "and", "with"])
Grams = Counter[tuple[str, ...]]


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"[\w/-]+", text.lower())


def distinct(texts: Iterable[Sequence[str]], n: int) -> float:
    """Return the share of different n-grams among all."""
    found: Counter[tuple[str, ...]] = Counter()
    for words in texts:
        found.update(zip(*(words[i:] for i in range(n)), strict=False))
    return len(found) / found.total() if found else 0.0


def bleu4(words: Sequence[str], others: Sequence[list[Grams]], lengths: Sequence[int]) -> float:
    """Return the BLEU-4 of a text against others, with add-one smoothing from bigrams on."""
    if not words or not others:
        return 0.0
    total = 0.0
    for n in range(4):
        own = _grams(words, n + 1)
        hits = sum(min(count, max(other[n][gram] for other in others)) for gram, count in own.items())
        smooth = n > 0
        total += math.log(max((hits + smooth) / (own.total() + smooth), 1e-9)) if own.total() + smooth else 0.0
    nearest = min(lengths, key=lambda length: (abs(length - len(words)), length))
    return math.exp(total / 4) * min(1.0, math.exp(1 - nearest / len(words)))


def measure(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return, per question type, distinct-1, distinct-2 and self-BLEU-4 of questions with their answers."""
    texts: dict[str, list[list[str]]] = defaultdict(list)
    for row in rows:
        texts[row["question_type"]].append(tokens(f"{row['question']} {row['answer']}"))
    found = []
    for kind, own in sorted(texts.items()):
        drawn = random.Random(kind).sample(own, min(SAMPLE, len(own)))
        grams = [[_grams(words, n) for n in range(1, 5)] for words in drawn]
        sizes = [len(words) for words in drawn]
        scores = [
            bleu4(words, grams[:at] + grams[at + 1 :], sizes[:at] + sizes[at + 1 :]) for at, words in enumerate(drawn)
        ]
        found.append(
            {
                "type": kind,
                "pairs": len(own),
                "distinct_1": distinct(own, 1),
                "distinct_2": distinct(own, 2),
                "self_bleu_4": sum(scores) / len(scores),
            }
        )
    return found


def duplicates(rows: Sequence[Mapping[str, Any]], top: int = 10) -> dict[str, Any]:
    """Return how many pairs are copies, word by word and up to order and small words, and the largest families."""
    exact = Counter((row["question"], row["answer"]) for row in rows)
    near = Counter(_bag(f"{row['question']} | {row['answer']}") for row in rows)
    same_picture = Counter((row["image"], row["question"]) for row in rows)
    return {
        "exact": len(rows) - len(exact),
        "near": len(rows) - len(near),
        "same_picture": len(rows) - len(same_picture),
        "families": [{"question": q, "answer": a, "pairs": n} for (q, a), n in exact.most_common(top) if n > 1],
    }


def lengths(rows: Iterable[Mapping[str, Any]], step: int = 3) -> dict[str, Any]:
    """Return histograms of words in questions and answers; `limit` is the gate's."""
    found: dict[str, Counter[int]] = {"question": Counter(), "answer": Counter()}
    for row in rows:
        for part, counts in found.items():
            counts[len(row[part].split()) // step] += 1
    last = max((max(counts, default=0) for counts in found.values()), default=0)
    bins = [f"{at * step}-{at * step + step - 1}" for at in range(last + 1)]
    parts = {part: [counts[at] for at in range(last + 1)] for part, counts in found.items()}
    return {"bins": bins, **parts, "limit": MAX_WORDS}


def _grams(words: Sequence[str], n: int) -> Grams:
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def _bag(text: str) -> tuple[str, ...]:
    return tuple(sorted(word for word in tokens(text) if word not in _STOP))
