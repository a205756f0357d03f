"""A model by name: a folder here, or a repository of the Hub, fetched once and kept in the client's cache."""

import hashlib
import json
import re
from fnmatch import fnmatch
from pathlib import Path

from hemadata.console import complain
from hemadata.errors import HubError

from hemamodel.errors import InputMissingError, UsageError, WeightsError

# What a published model is made of, and all that is fetched of a repository; the card comes first.
CARD, RECORD, WEIGHTS = "README.md", "run.json", "model.safetensors"
FILES = (CARD, RECORD, "settings.json", WEIGHTS, "conversion.json", "text/*", "evaluation-*/report.*")
SUM = "weights_sha256"  # of run.json, where the run was published


def is_ours(path: str) -> bool:
    """Whether a file of a repository is one that a push writes; the card is everybody's."""
    return any(fnmatch(path, name) and path.count("/") == name.count("/") for name in FILES if name != CARD)


def locate(name: str | Path, revision: str | None = None) -> Path:
    """The folder of a model.

    Args:
        name: a folder; where there is none, `ORG/NAME` of the Hub, unless there is a folder ORG here: a slip in
            `runs/stage1-base-001` asks nobody.
        revision: branch, tag or commit; of the Hub only.

    Raises:
        UsageError: a folder has no revisions.
        InputMissingError: there is neither, or the Hub does not show it.
        HubError: the Hub cannot be reached.
    """
    path, text = Path(name), str(name)
    if path.is_dir():
        if revision is not None:
            raise UsageError(f"{path} is a folder here: it has no revision {revision}.")
        return path
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", text) or path.exists() or path.parent.is_dir():
        return path  # whoever reads it says what is missing
    return _fetched(text, revision)


def _fetched(repo: str, revision: str | None) -> Path:
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    complain(f"There is no folder {repo}: taking the model {repo} of the Hub.")
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(FILES), library_name="hemamodel"))
    except GatedRepoError:
        raise InputMissingError(f"{repo} is gated: ask for access on its page, then log in: hf auth login") from None
    except RevisionNotFoundError:
        raise InputMissingError(f"The model {repo} has no revision {revision}.") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise InputMissingError(
            f"There is no folder {repo}, and no model of that name on the Hub, or none that it shows you. Log in: "
            "hf auth login"
        ) from None
    except LocalEntryNotFoundError as error:
        raise HubError(f"The Hub cannot be reached, and {repo} was not fetched before: {_first(error)}") from error
    except (HfHubHTTPError, httpx2.TransportError, OSError) as error:
        raise HubError(f"{repo} cannot be fetched: {_first(error)} Run the same again: it goes on.") from error


def _first(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def refuse_damaged(folder: Path) -> None:
    """Compare the weights with the checksum that they were published with; a run of one's own has none.

    Raises:
        WeightsError: they are others.
    """
    weights = folder / WEIGHTS
    wanted = json.loads((folder / RECORD).read_text(encoding="utf-8")).get(SUM)
    if wanted is not None and weights.is_file() and (found := checksum(weights)) != wanted:
        raise WeightsError(
            f"{weights} is damaged: its SHA-256 begins with {found[:12]}, it was published with {str(wanted)[:12]}. "
            "Remove the file and fetch it again."
        )


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
