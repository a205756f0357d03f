"""A finished corpus with a file changed: whoever reads it gets rows, a finding, or a sentence; never a crash."""

import contextlib
import io
import random
import shutil
import sys
from pathlib import Path

import hemadata
from hemadata.errors import HemaError

from fuzzing.guard import Box, Breach
from fuzzing.mutate import mutated
from fuzzing.seeds import Seeds
from fuzzing.trees import files_of

COMMANDS: tuple[tuple[str, ...], ...] = (
    *(("check", "{}"), ("check", "{}", "--check", "none"), ("stats", "{}", "--json"), ("duplicates", "{}")),
    *(("split", "{}"), ("prompts", "render", "{}"), ("report", "{}"), ("view", "{}", "bccd/BloodImage_00000")),
    ("export", "{}", "--to", "coco", "--out", "exported"),
    ("build", "--source", "raabin", "--phantom", "6", "--out", "{}"),
)


def spoiled(chance: random.Random, made: Seeds, box: Box) -> str:
    """Change one file of a corpus, then run a command over it, or read all of it through `hemadata.open`."""
    shutil.copytree(made.corpus(), box.out)
    path = chance.choice(files_of(box.out))
    if chance.random() < 0.1:
        path.unlink()
    else:
        path.write_bytes(mutated(path.read_bytes(), chance))
    with box.watched():
        if chance.random() < 0.3:
            return _read(box.out)
        words = chance.choice(COMMANDS)
        return _run([word.replace("{}", str(box.out)) for word in words], box.out)


def _read(path: Path) -> str:
    try:
        with hemadata.open(path) as corpus:
            for row in corpus.index.select(["sample_id", "task"]).to_pylist():
                corpus.image(row["sample_id"])
                corpus.mask(row["sample_id"])
            for task in sorted({manifest.task for manifest in corpus.manifests.values()}):
                for _ in corpus.rows(task):
                    pass
    except HemaError:
        return "refused"
    return "read"


def _run(words: list[str], out: Path) -> str:
    """Run a command in this process: exit codes 0 to 3, a sentence where it is not 0, never a traceback."""
    from hemadata.cli import main

    told, was, folder = io.StringIO(), sys.argv, Path.cwd()
    sys.argv = ["hemadata", *words]
    code: object = 0
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told), contextlib.chdir(out.parent / "tmp"):
            main()
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.argv = was
    assert Path.cwd() == folder
    if code not in (0, 1, 2, 3):
        raise Breach(f"{words[0]} ended with {code!r}")
    if code and not told.getvalue().strip():
        raise Breach(f"{words[0]} ended with {code!r} and no word")
    return "read" if code == 0 else "refused"
