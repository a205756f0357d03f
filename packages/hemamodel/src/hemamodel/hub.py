"""Models to and from the Hub: `from_pretrained`, `save_pretrained`, `push`. A published model is a run with a card."""

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import hemadata
from hemadata.atomic import write_text
from hemadata.errors import HubError
from hemadata.hub.answers import told
from hemadata.hub.card import merged
from hemadata.hub.remote import Moved, Remote
from huggingface_hub import ModelCard, constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from hemamodel.card import DECIDED, WRITER, card
from hemamodel.errors import UsageError
from hemamodel.fetch import CARD, RECORD, SUM, checksum, is_ours, locate
from hemamodel.train.start import load_run

if TYPE_CHECKING:
    from hemamodel.predict.predictor import Predictor

Say = Callable[[str], None]
TITLE = f"{WRITER}: another run"  # of the one pull request that a person has open
TRIES = 5  # how often the repository may be changed by others while we push


def from_pretrained(name: str | Path, revision: str | None = None, device: str | None = None) -> "Predictor":
    """A model, ready to be asked.

    Args:
        name: folder of a run or of a saved model; where there is none, `ORG/NAME` of the Hub.
        revision: branch, tag or commit of the Hub.
        device: None: a GPU if there is one.

    Raises:
        InputMissingError: there is no such model.
        HubError: the Hub cannot be reached.
        WeightsError: the weights are damaged.
    """
    from hemamodel.predict.predictor import Predictor

    return Predictor(locate(name, revision), device)


def save_pretrained(run: str | Path, folder: str | Path, corpus: str | Path | None = None, repo: str = "") -> Path:
    """Copy what others need of a complete run, with a card: weights, settings, text, reports of scores, nothing else.

    Args:
        run: its folder.
        folder: must not exist; is seen whole or not at all.
        corpus: that it was trained on, for licences and citations in the card.
        repo: name that the card tells people to load; default: that of the folder.

    Raises:
        UsageError: the folder exists, the run is not complete, or was trained on another corpus.
        WeightsError: its weights are damaged.
    """
    folder = Path(folder)
    if folder.exists():
        raise UsageError(f"{folder} exists. Name another folder.")
    found, model, _ = load_run(Path(run))  # whatever cannot be loaded is not passed on
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for path in sorted(found.path.rglob("*")):
            name = path.relative_to(found.path).as_posix()
            if path.is_file() and is_ours(name):
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, temporary / name)
        about = json.loads((temporary / RECORD).read_text(encoding="utf-8"))
        about[SUM] = checksum(temporary / found.weights.name)
        write_text(temporary / RECORD, json.dumps(about, indent=1) + "\n")
        with ExitStack() as held:
            opened = held.enter_context(hemadata.open(corpus)) if corpus else None
            write_text(temporary / CARD, card(found, model, repo or folder.name, opened))
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


@dataclass(frozen=True)
class Pushed:
    """What a push has done.

    Attributes:
        url: of the repository, or of the pull request.
        revision: commit that holds the model; None: a dry run.
        sent: files that were not there, or not the same.
        deleted: files of a former push that went.
        license: of the weights, as the card says.
    """

    url: str
    revision: str | None
    sent: tuple[str, ...]
    deleted: tuple[str, ...]
    license: str


def push(
    run: str | Path,
    repo: str,
    *,
    corpus: str | Path | None = None,
    private: bool = False,
    create_pr: bool = False,
    dry_run: bool = False,
    endpoint: str | None = None,
    token: str | None = None,
    tell: Say = lambda line: None,
) -> Pushed:
    """Publish a complete run as one commit; again, and nothing is done that was done before.

    Args:
        run: its folder.
        repo: `ORG/NAME`; made where it is not there.
        corpus: that it was trained on, for licences and citations in the card.
        private: make a new repository private.
        create_pr: a pull request instead of a commit to `main`; goes on with the one that is open.
        dry_run: send nothing.
        endpoint: of the Hub; None: the client's own.
        token: None: the client's own.
        tell: told of every step, in a line for a person.

    Raises:
        UsageError: no such name, the run is not complete, or was trained on another corpus.
        InputMissingError: there is no run, or no token.
        HubError: the Hub refuses or cannot be reached, or the repository holds something else; run again.
    """
    with told(repo), TemporaryDirectory(prefix="hemamodel-") as place:
        if "/" not in repo:
            raise HFValidationError(repo)
        validate_repo_id(repo)
        remote = None if dry_run else Remote(repo, endpoint, token, tell, kind="model")
        if remote:
            _ready(remote, create_pr)
        folder = save_pretrained(run, Path(place) / "model", corpus, repo)
        licence = ModelCard.load(folder / CARD).data.license
        if not remote:
            return Pushed(f"{endpoint or constants.ENDPOINT}/{repo}", None, _files(folder), (), licence)
        if not create_pr and not remote.is_there():
            tell(f"Making {remote.url}.")
            remote.create(private)
        return _send(remote, folder, create_pr, licence, tell)


def _ready(remote: Remote, create_pr: bool) -> None:
    """Whoever opens a pull request needs no right to write, but a repository."""
    if not create_pr:
        remote.refuse_readers()
        return
    remote.who()
    if not remote.is_there():
        raise UsageError(f"There is no {remote.url} for a pull request, or it is not shown to you.")


def _send(remote: Remote, folder: Path, create_pr: bool, licence: str, tell: Say) -> Pushed:
    ours = (folder / CARD).read_text(encoding="utf-8")
    title = f"{WRITER}: {json.loads((folder / RECORD).read_text(encoding='utf-8'))['name']}"
    for _ in range(TRIES):
        branch, number, base = "main", 0, remote.head()
        stale, changed = _compared(remote, folder, ours, base)
        if create_pr and (stale or changed):
            number = remote.pull_request(TITLE).num
            branch = f"refs/pr/{number}"
            base = remote.head(branch)
            stale, changed = _compared(remote, folder, ours, base)
        url = f"{remote.url}/discussions/{number}" if number else remote.url
        if not stale and not changed:
            tell(f"{url} holds this model already.")
        else:
            tell(f"Sending {len(changed)} files to {url}.")
            try:
                base = remote.commit(folder, changed, stale, (branch, base), title)
            except Moved:
                tell(f"{url} was changed meanwhile: once more, from what it holds now.")
                continue
        if number:
            remote.ready(number)
        return Pushed(url, base, tuple(changed), tuple(stale), licence)
    raise HubError(f"{remote.url} was changed by others {TRIES} times while this push was under way. Try again later.")


def _compared(remote: Remote, folder: Path, ours: str, at: str) -> tuple[list[str], list[str]]:
    """Files to be removed, and files to be sent; the card becomes that of the repository with our sections."""
    there = remote.files(at)
    foreign = sorted(path for path in there if is_ours(path))
    if foreign and RECORD not in there:
        raise HubError(
            f"{remote.url} holds files that hemamodel did not put there and would overwrite: {', '.join(foreign[:5])}. "
            "Push to another repository."
        )
    old = remote.read(CARD, at) if CARD in there else ""
    write_text(folder / CARD, merged(old, ours, WRITER, DECIDED), durable=False)
    here = _files(folder)
    return [path for path in foreign if path not in here], remote.differing(folder, at)


def _files(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))
