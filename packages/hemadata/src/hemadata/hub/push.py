"""`hemadata push`: a view of the corpus goes to the Hub through a pull request, seen whole or not at all."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from hemadata.atomic import write_text
from hemadata.audit.contract import check
from hemadata.build.images import Check
from hemadata.corpus import Corpus
from hemadata.errors import CorpusError, HemaError, HubError, UsageError
from hemadata.folder import scratch
from hemadata.hub.answers import told
from hemadata.hub.card import merged
from hemadata.hub.choice import Choice, Kind, candidates, choose, refusal
from hemadata.hub.layout import CARD, RECORD, is_ours
from hemadata.hub.remote import TITLE, Moved, Remote
from hemadata.hub.verify import verify
from hemadata.hub.view import Tell, View, stage, standing_still
from hemadata.report.write import Progress

MOVES = 5  # how often `main` may be changed by others while we push


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks to be published.

    Args:
        repo: `ORG/NAME`.
        kind: public or gated.
        only: slugs; none: all.
        skip_unknown: leave sources of unknown licence out instead of refusing.
        recipes: also publish recipes of what stays, where allowed.
        private: make a new repository private.
        check: how deeply the corpus is checked first.
        staging: folder that keeps the view; None: one inside the corpus, removed afterwards.
        dry_run: send nothing.
        endpoint: of the Hub; None: the client's own.
        token: None: the client's own.
    """

    repo: str
    kind: Kind = "public"
    only: tuple[str, ...] = ()
    skip_unknown: bool = False
    recipes: bool = False
    private: bool = False
    check: Check = "full"
    staging: Path | None = None
    dry_run: bool = False
    endpoint: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push has done.

    Args:
        choice: what went.
        view: as staged; None where nothing was staged.
        url: of the repository.
        revision: commit of `main` that holds the view; None where nothing was sent.
        tag: its name.
        is_new: whether something had to be sent.
        deleted: files of former pushes that went.
        refused: of a dry run: why the push would be refused, with sources of unknown licence left out of `choice`.
    """

    choice: Choice
    view: View | None
    url: str = ""
    revision: str | None = None
    tag: str = ""
    is_new: bool = False
    deleted: tuple[str, ...] = ()
    refused: str = ""


def push(path: Path, wish: Wish, tell: Tell = lambda line: None, progress: Progress | None = None) -> Pushed:
    """Publish what may go.

    Args:
        path: folder of the corpus.
        wish: what, where and how.
        tell: told of every step, in a line for a person.
        progress: called with name, done, total.

    Raises:
        InputMissingError: there is no corpus, or no token.
        CorpusError: the corpus fails its check, or is being built.
        HubError: the Hub refuses or cannot be reached; run again, and it goes on.
        HemaError: a licence forbids it.
    """
    with told(wish.repo), ExitStack() as held:
        if "/" not in wish.repo:
            raise HFValidationError(wish.repo)
        validate_repo_id(wish.repo)
        with standing_still(path):
            corpus = held.enter_context(Corpus(path))
            found = candidates(corpus, wish.only)
            if wish.dry_run and not wish.staging:
                choice = choose(found, wish.kind, True, wish.recipes)
                return Pushed(choice, None, refused="" if wish.skip_unknown else refusal(found))
            choice = choose(found, wish.kind, wish.skip_unknown, wish.recipes)
            remote = None if wish.dry_run else Remote(wish.repo, wish.endpoint, wish.token, tell)
            if remote:
                remote.refuse_readers()  # before the long check, not after it
            _refuse_broken(path, wish.check, tell, progress)
            folder = held.enter_context(_staging(path, wish.staging))
            url = remote.url if remote else f"{wish.endpoint or constants.ENDPOINT}/datasets/{wish.repo}"
            view = stage(corpus, choice, folder, wish.repo, url, tell, progress)
        if not remote:
            return Pushed(choice, view, url)
        return _send(remote, wish, choice, view, held.enter_context(Corpus(folder)), tell, progress)


def _refuse_broken(path: Path, depth: Check, tell: Tell, progress: Progress | None) -> None:
    tell(f"Checking {path} (--check {depth}).")
    if findings := check(path, depth, progress).findings:
        shown = "\n".join(f"  {f.rule} {f.where}: {f.found}" for f in findings[:10])
        more = f"\n  and {len(findings) - 10:,} more" if len(findings) > 10 else ""
        raise CorpusError(
            f"{path} breaks its contract in {len(findings):,} places, so nothing was published:\n{shown}{more}\n"
            f"All of them: hemadata check {path}"
        )


@contextmanager
def _staging(corpus: Path, wanted: Path | None) -> Iterator[Path]:
    """An empty folder for the view; our own is removed afterwards, whatever happens."""
    if wanted:
        if wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
            raise UsageError(f"--staging {wanted} is there already. Choose another, or remove it first.")
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted
        return
    busy = CorpusError(f"{corpus} is being pushed by another process. Wait for it.")
    with scratch(corpus / ".publishing", busy) as folder:
        yield folder


def _send(
    remote: Remote, wish: Wish, choice: Choice, view: View, staged: Corpus, tell: Tell, progress: Progress | None
) -> Pushed:
    if not remote.is_there():
        tell(f"Making {remote.url}.")
        remote.create(wish.private)
        remote.refuse_readers()
    card = (view.folder / CARD).read_text(encoding="utf-8")
    for _ in range(MOVES):
        base = remote.head()
        there = remote.files(base)
        _refuse_strangers(remote, wish, base, there)
        if wish.kind == "gated":
            _gate(remote, there)
        old = remote.read(CARD, base) if CARD in there else ""
        write_text(view.folder / CARD, merged(old, card), durable=False)
        tag = f"corpus-{view.corpus_id}"
        stale = sorted(path for path in there if is_ours(path) and path not in view.files)
        done = Pushed(choice, view, remote.url, base, tag, deleted=tuple(stale))
        if not stale and not remote.differing(view.folder, base):
            tell(f"{remote.url} holds this view already.")
            remote.tag(tag, base)
            return done
        try:
            merged_at = _through_pull_request(remote, view, staged, base, tag, tell, progress)
        except Moved:
            tell(f"{remote.url} was changed meanwhile: once more, from what it holds now.")
            continue
        remote.tag(tag, merged_at)
        tell(f"Merged and tagged {tag}.")
        return Pushed(choice, view, remote.url, merged_at, tag, True, tuple(stale))
    raise HubError(f"{remote.url} was changed by others {MOVES} times while this push was under way. Try again later.")


def _gate(remote: Remote, there: Collection[str]) -> None:
    """The repository is gated before the first restricted byte is sent; nobody's own is gated for him."""
    if remote.is_gated():
        return
    if RECORD not in there and set(there) - {".gitattributes", CARD}:
        raise HubError(f"{remote.url} holds files of others and is open. Gate it in its settings, or push elsewhere.")
    remote.gate()
    if not remote.is_gated():
        raise HubError(f"{remote.url} does not become gated, so nothing was sent. Gate it in its settings.")


def _refuse_strangers(remote: Remote, wish: Wish, base: str, there: dict[str, str]) -> None:
    """Nobody else's files are overwritten or read as ours, and no repository changes its kind."""
    if RECORD not in there:
        if strange := sorted(path for path in there if is_ours(path)):
            raise HubError(
                f"{remote.url} holds files that hemadata did not put there and would overwrite or read: "
                f"{', '.join(strange[:5])}{' …' if len(strange) > 5 else ''}. Push to another repository."
            )
        return
    other = "gated" if wish.kind == "public" else "public"
    if f'"view": "{other}"' in remote.read(RECORD, base):
        raise HemaError(
            f"{remote.url} holds the {other} view of a corpus; the {wish.kind} one belongs in another repository."
        )


def _through_pull_request(
    remote: Remote, view: View, staged: Corpus, base: str, tag: str, tell: Tell, progress: Progress | None
) -> str:
    """Upload to a pull request, verify it there, merge; returns the commit of `main`."""
    request = remote.pull_request(f"{TITLE}{tag} on {base[:12]}")
    revision = request.git_reference
    assert revision
    tell(f"Uploading {len(view.files):,} files, {view.bytes:,} bytes at most, to {request.url}")
    stale = [path for path in remote.files(revision) if is_ours(path) and path not in view.files]
    remote.upload(view.folder, revision, f"Corpus {view.corpus_id}", stale)
    sent = remote.head(revision)
    here = remote.files(sent)
    wrong = remote.differing(view.folder, sent) + [p for p in here if is_ours(p) and p not in view.files]
    if wrong:
        raise HubError(f"{request.url} does not hold what was sent: {', '.join(wrong[:5])}. Run the same push again.")
    tell("Verifying footers, first rows and first pictures there.")
    verify(remote, sent, staged, progress)
    try:
        remote.merge(request.num, base)
    except Moved:
        remote.close(request.num)
        raise
    merged_at = remote.head()
    now = remote.files(merged_at)
    if mixed := sorted(path for path in {*now, *here} if is_ours(path) and now.get(path) != here.get(path)):
        raise HubError(
            f"{remote.url} was changed by another push at the same moment: {', '.join(mixed[:5])}. Run the push again "
            "at once: until then readers of main may see parts of both."
        )
    return merged_at
