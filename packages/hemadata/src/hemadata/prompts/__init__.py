"""Prompts are rendered from what a row says, by versioned templates; rows store facts, not prompts."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import xxhash

from hemadata.errors import UsageError

_FILE = Path(__file__).with_name("templates.toml")


@dataclass(frozen=True, slots=True)
class Template:
    """A template: one text per task, with `{disease}`, `{question}` or `{masked_text}` to fill in."""

    id: str
    version: int
    origin: str
    text: Mapping[str, str]

    @property
    def prompt_id(self) -> str:
        """What `prompt_id` of a row says."""
        return f"{self.id}@{self.version}"


@cache
def templates() -> dict[str, Template]:
    """All templates by id."""
    return {t["id"]: Template(**t) for t in tomllib.loads(_FILE.read_text(encoding="utf-8"))["template"]}


def get(template: str) -> Template:
    """The template of that id.

    Raises:
        UsageError: there is none.
    """
    if template not in templates():
        raise UsageError(f'No prompt template is called "{template}". There are {", ".join(templates())}.')
    return templates()[template]


def files() -> dict[str, bytes]:
    """The template files, for a corpus to carry."""
    return {_FILE.name: _FILE.read_bytes()}


def render(template: Template, task: str, row: Mapping[str, Any], seed: int = 0) -> str | None:
    """Prompt of a row; None where the row has nothing to ask (no question, no sentence).

    Args:
        template: which wording.
        task: task of the row.
        row: needs `sample_id` and `disease`, and `qa` or `texts` for the text tasks.
        seed: chooses among several questions or sentences, keyed by the row.
    """
    choices = row.get("qa") if task == "vqa" else row.get("texts") if task == "mlm" else [{}]
    if not choices:
        return None
    chosen = choices[xxhash.xxh3_64_intdigest(f"{row['sample_id']}\n{template.id}\n{seed}".encode()) % len(choices)]
    facts = {"disease": spelled(row.get("disease"))} | {k: chosen.get(k) for k in ("question", "masked_text")}
    return template.text[task].format(**facts)


def materialised(template: Template, task: str, row: Mapping[str, Any]) -> dict[str, str | None]:
    """The columns `prompt` and `prompt_id` of a row."""
    prompt = render(template, task, row)
    return {"prompt": prompt, "prompt_id": template.prompt_id if prompt is not None else None}


def spelled(disease: str | None) -> str:
    """A disease as prompts write it."""
    # Table 14 of the paper writes Leukemia, Malaria, Sickle Cell, Normal, and Unknown where nothing is known.
    return (disease or "unknown").replace("-", " ").title()
