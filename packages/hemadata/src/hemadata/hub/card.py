"""The card of a repository: what a program writes stands between markers, what people write around them stays."""

import re
from collections.abc import Collection
from typing import Any

import yaml

from hemadata import schema
from hemadata.errors import HubError

_OURS = re.compile(rf"(?:{'|'.join(schema.TASKS)})(?:--.+)?|index")  # names of configs


def merged(old: str, new: str, writer: str = "hemadata", decided: Collection[str] = ()) -> str:
    """The new card inside the old one.

    Front matter: `configs` of hemadata are replaced, tags added, everything else that is set stays. Body: sections
    between markers are replaced in place, new ones come last, those that are no longer made go.

    Args:
        old: card of the repository; may be empty, or made by hand.
        new: card of what is published.
        writer: whose markers are meant.
        decided: keys of the front matter that are always the new card's.

    Raises:
        HubError: the old card has broken markers, or front matter that is no YAML.
    """
    (front, body), (ours, made) = _parts(old), _parts(new)
    body = body if old.strip() else made
    wanted, there = _sections(made, writer), _sections(body, writer)
    for name, text in there.items():
        body = body.replace(text, wanted.get(name, ""))
    missing = [text for name, text in wanted.items() if name not in there]
    if missing:
        body = "\n\n".join([body.rstrip("\n"), *missing]) + "\n"
    kept = {key: value for key, value in front.items() if key not in decided}
    whole = {key: ours[key] for key in decided if key in ours} | kept
    whole |= {key: value for key, value in ours.items() if key not in whole}
    whole["tags"] = list(dict.fromkeys([*_list(front, "tags"), *_list(ours, "tags")]))
    foreign = [c for c in _list(front, "configs") if not _OURS.fullmatch(str(c.get("config_name")))]
    mine = _list(ours, "configs")
    if any(config.get("default") for config in foreign):
        mine = [{key: value for key, value in config.items() if key != "default"} for config in mine]
    if mine or foreign:
        whole["configs"] = mine + foreign
    head = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{head}---\n{body.lstrip()}"


def _list(front: dict[str, Any], key: str) -> list[Any]:
    value = front.get(key)
    if not isinstance(value, list):
        return [] if value is None else [value] if key == "tags" else []
    return [entry for entry in value if isinstance(entry, dict)] if key == "configs" else value


def _parts(text: str) -> tuple[dict[str, Any], str]:
    """Front matter and body."""
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    found = re.match(r"---[ \t]*\n(.*?)\n?---[ \t]*(?:\n|$)(.*)", text, re.DOTALL)
    if not found:
        return {}, text
    try:
        front = yaml.safe_load(found[1]) or {}
    except yaml.YAMLError as error:
        raise HubError(f"README.md of the repository has front matter that is no YAML: {error}. Repair it.") from error
    if not isinstance(front, dict):
        raise HubError("README.md of the repository has front matter that is not a list of keys. Repair it.")
    return front, found[2]


def _sections(body: str, writer: str) -> dict[str, str]:
    """Name -> text of each section, markers included."""
    marks = re.finditer(rf"<!-- {writer}:(begin|end) ([a-z-]+) -->", body)
    found, opened = dict[str, str](), list[re.Match[str]]()
    for mark in marks:
        if mark[1] == "begin":
            opened.append(mark)
        elif len(opened) == 1 and opened[0][2] == mark[2] and mark[2] not in found:
            found[mark[2]] = body[opened.pop().start() : mark.end()]
        else:
            opened.append(mark)
            break
    if opened:
        raise HubError(
            f"README.md of the repository has a marker without its partner, or twice: {opened[-1][0]}. Repair it: each "
            f"section stands between one <!-- {writer}:begin NAME --> and one <!-- {writer}:end NAME -->."
        )
    return found
