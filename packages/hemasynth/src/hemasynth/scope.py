"""Of what a sentence speaks: this cell, cells of a kind in general, another cell of the picture, nothing for sure."""

from typing import TYPE_CHECKING

from hemasynth import wrapping

if TYPE_CHECKING:
    from hemasynth.syntax import Sentence

FACT, GENERIC, FOREIGN, IGNORED = "fact", "generic", "foreign", "ignored"
HABIT = "habit"  # generic too, and then whatever is said is: "neutrophils fight infections"
_ANYONE = frozenset({"anyone", "anybody", "nobody", "no one", "noone"})
_STATIVE = frozenset({"has", "have", "is", "are", "contains", "contain"})
_ASKING = frozenset({"what", "how", "why", "do", "are", "which", "when", "where", "can"})
_RESUMES = frozenset({"this", "it", "here", "these", "they"})
_POINTS = frozenset({"here", "this", "these", "pictured", "image", "picture", "field", "slide", "smear", "film"})
_PLACES = ("field", "image", "picture", "frame", "slide", "smear", "view")
_THIS = frozenset({"the", "this", "its", "these", "it", "here"})
_MEASURED = ("compared", "in comparison", "relative", "as compared", "versus")
_OPENS = ("break", "and", "relative", "end", "with")


def forces(sentence: "Sentence") -> list[str]:
    """Return the force of every term of a sentence, in the words of `claims.Claim`; "ignored" makes no claim."""
    force = [FACT] * len(sentence.terms)
    for start, end in _segments(sentence):
        for kind, meant in (("hedge", GENERIC), ("habit", HABIT)):
            found = (i for i in range(start, end) if sentence.kinds[i] == kind and not _was_able(sentence, i))
            if (first := next(found, None)) is not None:
                own = _own_clause(sentence, start, first) if kind == "hedge" else start
                force[own:end] = [meant] * (end - own)
    if sentence.word(0) == "if" and sentence.kind(1) == "determiner" and sentence.word(1) in ("a", "an", "any"):
        force = [HABIT] * len(force)  # "if a granulocyte has red granules, it is an eosinophil"
    for at in range(len(force)):
        if force[at] == FACT and _in_general(sentence, at):
            start, end = next(part for part in _segments(sentence) if part[0] <= at < part[1])
            if (
                sentence.kinds[start] == "break" and sentence.word(start) != "but"
            ):  # "while monocytes have ..., this one"
                end = next((i for i in range(at, end) if sentence.word(i) == ","), end)
            force[start:end] = [HABIT] * (end - start)
    if sentence.kind(0) == "label" and sentence.kind(1) == "anchor" and sentence.terms[1].plural and HABIT in force:
        force = [HABIT] * len(force)  # "eosinophil granules bind eosin and are commonly red"
    if any(_defines(sentence, at) or _typifies(sentence, at) for at in range(len(force))):
        force = [HABIT] * len(force)
    if "among" in sentence.kinds and "can" in map(sentence.word, range(len(force))):
        force = [HABIT] * len(force)  # "can the nucleus be irregular in leukaemia?"
    counted = any(sentence.word(i) in ("%", "percent", "per cent") for i in range(len(force)))
    if (
        counted
        and "habit" not in sentence.kinds
        and sentence.kind(0) == "label"
        and sentence.terms[0].plural
        and "this" not in map(sentence.word, (0, 1))
    ):
        force = [FOREIGN] * len(force)  # "eosinophils make up 4 % of the cells of this patient"
    if counted and HABIT in force and "habit" not in sentence.kinds:  # "blasts make up 30 % of the cells"
        force = [FOREIGN] * len(force)
    for at, kind in enumerate(sentence.kinds):
        if kind == "seeming":  # "at first glance a monocyte, but ..."
            start, end = next(part for part in _segments(sentence) if part[0] <= at < part[1])
            if sentence.kinds[start] == "break":  # "while one might expect it to be round, it is ..."
                end = next((i for i in range(at, end) if sentence.word(i) == ","), end)
                force[start:end] = [IGNORED] * (end - start)
            if sentence.kind(end) == "break":
                force[start:end] = [IGNORED] * (end - start)
        elif kind == "untold":  # "a colour of the granules cannot be given" says nothing of granules
            start, end = next(part for part in _segments(sentence) if part[0] <= at < part[1])
            force[start:end] = [IGNORED] * (end - start)
        elif kind == "elsewhere" or (kind == "another" and _is_cell(sentence, at + 1)):
            subject = kind == "another" and at <= 1
            if sentence.word(at).endswith(_PLACES) and (here := _cell_before(sentence, at)) is not None:
                force[here:at] = [FOREIGN] * (at - here)  # "the basophil in the next field has ..."
                subject = True
            end = _until(sentence, at, ("break",) if subject else ("break", "and", "relative", "have"))
            if subject or any(sentence.noun(i) in ("cell", "bystander") for i in range(at, end)):
                force[at:end] = [FOREIGN] * (end - at)
        elif sentence.word(at) == "two" and sentence.word(at - 1) == "or" and sentence.noun(at - 2):
            force[at] = IGNORED  # "a vacuole or two"
        elif kind == "whether":
            end = at + 1
            while sentence.kind(end) in ("value", "alone", "and", "label", "determiner"):
                end += 1
            force[at:end] = [IGNORED] * (end - at)
        elif kind == "contrast" and (other := _cell_after(sentence, at)) is not None:
            start = other + 1  # "unlike monocytes, which have ..., it": what is said of the others is left alone
            comma = sentence.kind(start) == "and" and sentence.kind(start + 1) in ("relative", "with")
            end = _until(sentence, start - 1 + 2 * comma, ("break", "and"))
            force[start:end] = [IGNORED] * (end - start)
            if sentence.word(at).startswith(_MEASURED) or "with" in sentence.kinds[at:other]:
                force[at:end] = [IGNORED] * (
                    end - at
                )  # "compared with a monocyte", "in contrast to the nucleus of one" deny nothing
    return force


def _typifies(sentence: "Sentence", at: int) -> bool:
    """Tell "open chromatin is a hallmark of blasts" from "its chromatin is typical of a blast"."""
    if sentence.kinds[at] != "typical" or sentence.word(0) in _THIS or sentence.kind(0) == "label":
        return False
    if sentence.word(0) in ("what", "which") and sentence.word(at + 1) in ("a", "an"):
        return True  # "which nucleus is typical of an eosinophil?"
    after = range(at + 1, min(at + 6, len(sentence.kinds)))
    return any(sentence.noun(i) == "cell" and sentence.terms[i].plural for i in after)


def _cell_before(sentence: "Sentence", at: int) -> int | None:
    return at - 1 if sentence.noun(at - 1) in ("cell", "bystander") else None


def _defines(sentence: "Sentence", at: int) -> bool:
    """Tell "dense chromatin means ..." and "what does dense mean" from "this means that it is round"."""
    if sentence.kinds[at] != "defines":
        return False
    asked = sentence.word(0) == "what" and "this" not in (sentence.word(i) for i in range(at))
    bare = sentence.kinds[0] in ("value", "alone", "anchor", "label") and "be" not in sentence.kinds[:at]
    return asked or (bare and sentence.kind(at - 1) in ("value", "alone", "anchor", "label", "property"))


def _segments(sentence: "Sentence") -> list[tuple[int, int]]:
    """Return the parts that a hedge does not leave: between "but", "while", and a comma before "this" or "it"."""
    cuts = [
        i
        for i, kind in enumerate(sentence.kinds)
        if kind == "break"
        or (
            kind == "and"
            and sentence.word(i + 1) in _RESUMES
            and sentence.kind(i + 2) in ("be", "have", "label", "anchor")
        )
        or (kind == "and" and _trails_off(sentence, i + 1))
        or (sentence.word(i) == ":" and sentence.kind(i - 1) == "not_predicate")
        or (sentence.word(i) == ":" and "be" in sentence.kinds[:i] and sentence.kind(i + 1) == "determiner")
        or (sentence.kinds[0] == "contrast" and sentence.word(i) == "," and "," not in map(sentence.word, range(i)))
    ]
    return list(zip([0, *cuts], [*cuts, len(sentence.kinds)], strict=True))


def _own_clause(sentence: "Sentence", start: int, hedge: int) -> int:
    """Return where the clause of a hedge begins: "the cell is round, and its nucleus could be indented"."""
    for i in range(hedge - 1, start, -1):
        opened = sentence.word(i) == "and" and sentence.kind(i + 1) == "determiner"
        if (
            opened
            and _has_verb(sentence, start, i)
            and any(sentence.noun(j) or sentence.kinds[j] == "foreign" for j in range(i, hedge))
        ):
            return i
    return start


def _has_verb(sentence: "Sentence", start: int, end: int) -> bool:
    return any(sentence.kinds[i] in ("be", "have") for i in range(start, end))


def _trails_off(sentence: "Sentence", at: int) -> bool:
    """Tell whether a doubt begins behind a fact: "..., suggesting a neutrophil", "..., which suggests that ..."."""
    doubt = at + (sentence.kind(at) == "relative")
    return sentence.kind(doubt) == "hedge" and (doubt > at or sentence.word(doubt).endswith(("ing", "ive of")))


def _was_able(sentence: "Sentence", at: int) -> bool:
    """Tell "granules could be seen" and "it may be described as round" from "it could be a monocyte"."""
    word, after = sentence.word(at), [sentence.kind(i) for i in range(at + 1, at + 5)]
    if word in ("may", "might") and after[0] == "be" and (after[1] in ("end", "break") or sentence.word(at + 2) == ","):
        return True  # "small though the cell may be, ..."
    persons = {sentence.word(i) for i in range(max(at - 6, 0), at)}
    if word in ("would", "could") and not persons.isdisjoint(_ANYONE):
        return True  # "I do not believe that anyone would call it round"
    if word in ("could", "may", "can", "would") and after[:2] == ["be", "be"]:
        return True
    if word == "could" and sentence.kind(at - 1) == "not_predicate":
        return True  # "at no point could it be called small"
    if word in ("would", "could", "should") and wrapping.judges(sentence, at):
        return True  # "it would be anything but correct to say"
    if word in ("would", "could", "should") and after[0] == "end":
        return True  # "no, bilobed would": the verb is that of the question
    if word == "would" and "not_clause" in after:
        return True  # "it would not be wrong to call"
    if sentence.kind(at - 1) == "not_predicate" and word == "suspected":
        return True
    return word == "could" and ("present" in after[:3] or after[0] == "not_predicate")


def _until(sentence: "Sentence", at: int, kinds: tuple[str, ...]) -> int:
    return next((i for i in range(at + 1, len(sentence.kinds)) if sentence.kinds[i] in kinds), len(sentence.kinds))


def _cell_after(sentence: "Sentence", at: int) -> int | None:
    for i in range(at + 1, min(at + 9, len(sentence.kinds))):
        if sentence.noun(i) in ("cell", "bystander"):
            return i
        if sentence.kinds[i] in ("and", "break"):
            break
    return None


def _is_cell(sentence: "Sentence", at: int) -> bool:
    return sentence.noun(at) in ("cell", "bystander") or sentence.noun(at + 1) in ("cell", "bystander")


def _states(sentence: "Sentence", at: int) -> bool:
    """Tell "neutrophils have lobes" from "neutrophils, ..." and "neutrophils are seen"."""
    after = [sentence.kind(i) for i in range(at + 1, at + 4)]
    if sentence.word(at + 1) == ",":  # "granulocytes, as the name says, contain ..."
        comma = next((i for i in range(at + 2, len(sentence.kinds)) if sentence.word(i) == ","), None)
        return (
            comma is not None and sentence.kind(comma + 1) in ("have", "be") and "have" not in sentence.kinds[at:comma]
        )
    seen = "present" in after and not _in_illness(sentence, at)
    return after[0] not in ("and", "break", "end", "contrast") and not seen


def _in_illness(sentence: "Sentence", at: int) -> bool:
    """Tell "neutrophils are found in megaloblastic anaemia" from "neutrophils are found"."""
    place = next((i for i in range(at, len(sentence.kinds)) if sentence.word(i) == "in"), None)
    return place is not None and "foreign" in (sentence.kind(i) for i in (place + 1, place + 2))


def _in_general(sentence: "Sentence", at: int) -> bool:
    """Tell whether a cell type begins a general statement: "Neutrophils have ...", "A monocyte is ..."."""
    if sentence.kind(at) != "label":
        return False
    before = at - 1
    while sentence.kind(before) in ("other", "foreign") and sentence.word(before) in sentence.lexicon.habitual:
        before -= 1
    start, end = next((start, end) for start, end in _segments(sentence) if start <= at < end)
    comma = next((i for i in range(at, end) if sentence.word(i) == ","), end)  # "while monocytes have ..., this one"
    if sentence.terms[at].plural and not _POINTS.isdisjoint(sentence.word(i) for i in range(start, comma)):
        return False  # "neutrophils in this picture"
    if sentence.terms[at].plural:
        if sentence.word(0) in _ASKING and sentence.kind(before) != "determiner":
            return True
        return sentence.kind(before) in _OPENS and _states(sentence, at)
    indefinite = sentence.word(before) in ("a", "an", "any", "every", "each") and sentence.kind(before - 1) in (
        "end",
        "break",
    )
    return (
        indefinite
        and sentence.word(at + 1) in _STATIVE
        and sentence.kind(at + 2) not in ("present", "hedge", "not_predicate")
    )
