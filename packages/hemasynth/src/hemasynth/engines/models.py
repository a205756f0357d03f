"""Names of models: an alias with a pinned revision, a repository of the Hub, or a folder with weights."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hemadata.errors import UsageError

from hemasynth.errors import EngineMissingError

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt")


@dataclass(frozen=True)
class Model:
    """A model that can be loaded, or asked for from a server.

    Attributes:
        name: what rows and `run.json` call it; for a folder, its last component, so that no place is told.
        where: what is given to the engine: a repository of the Hub or a folder.
        revision: the commit of the repository; None for a folder, and where none was named.
        weights: digest of a folder's configuration, index and file sizes; None for a repository.
    """

    name: str
    where: str
    revision: str | None = None
    weights: str | None = None


# Why pinned: a repository's main branch may change, and with it every sentence.
ALIASES = {
    "BioMistral-7B": Model(
        "BioMistral/BioMistral-7B", "BioMistral/BioMistral-7B", "9a11e1ffa817c211cbb52ee1fb312dc6b61b40a5"
    ),
}


def resolve(model: str, revision: str | None = None, served: bool = False) -> Model:
    """Return the model that a user names.

    Args:
        model: an alias, `organisation/repository`, or a folder.
        revision: commit, branch or tag; replaces the pinned one of an alias.
        served: a server gives names of its own, so any name is taken.

    Raises:
        UsageError: the name is neither an alias, nor a repository, nor a folder.
        EngineMissingError: the folder holds no model.
    """
    if model in ALIASES:
        known = ALIASES[model]
        return Model(known.name, known.where, revision or known.revision)
    folder = Path(model).expanduser()
    if folder.is_dir() and not served:
        return _folder(folder)
    if served or (model.count("/") == 1 and not model.startswith((".", "/", "~"))):
        return Model(model, model, revision)
    if "/" in model:
        raise EngineMissingError(
            f"There is no folder {model}. --model takes an alias, organisation/repository or a folder."
        )
    raise UsageError(
        f'No model is called "{model}". Known: {", ".join(ALIASES)}; or give organisation/repository, or a folder.'
    )


def _folder(folder: Path) -> Model:
    files = sorted(file for pattern in _WEIGHTS for file in folder.glob(pattern))
    if not files or not (folder / "config.json").is_file():
        raise EngineMissingError(
            f"{folder} holds no model: expected config.json and *.safetensors, "
            f"found {', '.join(sorted(file.name for file in folder.iterdir())[:8]) or 'nothing'}."
        )
    digest = hashlib.sha256()
    for text in (folder / "config.json", *sorted(folder.glob("*.index.json"))):
        digest.update(text.read_bytes())
    for file in files:
        digest.update(f"{file.name}:{file.stat().st_size}:".encode())
        with file.open("rb") as start:
            digest.update(start.read(1 << 20))  # header and first tensors: cheap, and different for another model
    return Model(folder.resolve().name, str(folder), weights=digest.hexdigest()[:16])
