"""One repository of the Hub: what a push asks of it, each question safe to ask again.

`huggingface_hub` tries some requests again by itself, others not; `Remote.persist` does so for all of them. Whatever
changes the repository first looks whether it was done already: an answer that got lost does nothing twice.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal, TypeVar

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.community import DiscussionWithDetails
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from hemadata.errors import HubError, InputMissingError, UsageError

TRIES = 8
LONGEST_WAIT = 60.0  # seconds, of our own choice; a server may ask for more
LONGEST_ASKED = 3600.0
PASSING = (408, 425, 429, 500, 502, 503, 504)
TITLE = "hemadata: "
T = TypeVar("T")
_DESCRIPTION = {
    "dataset": "Opened by `hemadata push`, which also merges it.",
    "model": "Opened by `hemamodel push`; merging it is yours.",
}


class Moved(Exception):
    """Somebody else has changed `main` since the pull request was opened."""


@contextmanager
def told(repo: str) -> Iterator[None]:
    """What the Hub says, as a sentence.

    Raises:
        HubError, InputMissingError, UsageError: instead of the client's own errors.
    """
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise InputMissingError(_NO_TOKEN) from error
    except HFValidationError as error:
        raise UsageError(f'"{repo}" is no name of a repository; expected --repo ORG/NAME.') from error
    except (HfHubHTTPError, httpx2.TransportError, RuntimeError, ValueError) as error:
        cause = _cause(error)
        if isinstance(cause, httpx2.TransportError):
            raise HubError(f"The Hub cannot be reached: {cause}. Run the same push again: it goes on.") from error
        if not isinstance(cause, HfHubHTTPError):
            raise
        raise HubError(_sentence(repo, cause)) from error


_NO_TOKEN = "There is no token. Get one with write access on the Hub, then: hf auth login   (or set HF_TOKEN)"


def _sentence(repo: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code if error.response is not None else None
    said = (error.server_message or str(error).strip().splitlines()[-1]).strip()
    if status == 401 and not isinstance(error, GatedRepoError | RepositoryNotFoundError):
        return f"The Hub does not know your token ({said}). Log in again: hf auth login"
    if status in (401, 403):
        return f"The Hub does not let you write to {repo} ({said}). Your token needs write access to it."
    if status == 404:
        return f"The Hub has no {repo}, or does not show it to you ({said})."
    if status in PASSING:
        return f"The Hub still answers {status} after {TRIES} tries ({said}). Run the same push again: it goes on."
    return f"The Hub refuses ({status}): {said}"


def _cause(error: BaseException) -> BaseException:
    """What an upload thread died of."""
    while isinstance(error, RuntimeError) and error.__cause__:
        error = error.__cause__
    return error


class Remote:
    """A repository of a data set or a model.

    Args:
        repo: `ORG/NAME`.
        endpoint: address of the Hub; None: the client's own, that is `HF_ENDPOINT`.
        token: None: that of `hf auth login` or `HF_TOKEN`.
        tell: told when it is waited, in a line for a person.
        kind: of the repository.
    """

    def __init__(
        self,
        repo: str,
        endpoint: str | None = None,
        token: str | None = None,
        tell: Callable[[str], None] = lambda line: None,
        kind: Literal["dataset", "model"] = "dataset",
    ) -> None:
        if not (token := token or get_token()):
            raise InputMissingError(_NO_TOKEN)
        self.repo, self.token, self._tell, self._kind = repo, token, tell, kind
        self._library = TITLE.rstrip(": ") if kind == "dataset" else "hemamodel"
        self.api = HfApi(endpoint=endpoint, token=token, library_name=self._library)
        self.url = f"{self.api.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo}"

    def persist(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer, waiting as long as the server says; what does not pass is raised at once."""
        wait = 1.0
        for tried in range(1, TRIES + 1):
            try:
                return ask()
            except (HfHubHTTPError, httpx2.TransportError, RuntimeError) as error:
                cause = _cause(error)
                passing = isinstance(cause, httpx2.TransportError) or _status(cause) in PASSING
                if not passing or tried == TRIES:
                    raise
                asked = _asked_to_wait(cause) or wait
                self._tell(f"The Hub answers {_status(cause) or cause}. Waiting {asked:.0f} s, then again.")
                time.sleep(asked)
                wait = min(2 * wait, LONGEST_WAIT)
        raise AssertionError("unreachable")

    def who(self) -> str:
        """Name of the token's owner."""
        return str(self.persist(self.api.whoami)["name"])

    def is_there(self) -> bool:
        """Whether the repository exists and is shown to us."""
        return self.persist(lambda: self.api.repo_exists(self.repo, repo_type=self._kind))

    def create(self, private: bool) -> None:
        """Make the repository where it is not."""
        self.persist(
            lambda: self.api.create_repo(self.repo, repo_type=self._kind, private=private or None, exist_ok=True)
        )

    def refuse_readers(self) -> None:
        """Make sure that the token is known, and may write to the repository where it is there."""
        self.who()
        if self.is_there():
            self.persist(lambda: self.api.auth_check(self.repo, repo_type=self._kind, write=True))

    def is_gated(self) -> bool:
        """Whether people must ask before they read it."""
        return bool(self.persist(lambda: self.api.dataset_info(self.repo, expand=["gated"])).gated)

    def gate(self) -> None:
        """Let people ask first; the owners decide."""
        self.persist(lambda: self.api.update_repo_settings(self.repo, repo_type=self._kind, gated="manual"))

    def head(self, revision: str = "main") -> str:
        """Commit that a branch or pull request is at."""
        sha = self.persist(lambda: self.api.repo_info(self.repo, repo_type=self._kind, revision=revision)).sha
        assert sha
        return sha

    def files(self, revision: str) -> dict[str, str]:
        """Path -> git id of its content, of all files at a revision."""
        listed = self.persist(
            lambda: list(self.api.list_repo_tree(self.repo, recursive=True, revision=revision, repo_type=self._kind))
        )
        return {entry.path: entry.blob_id for entry in listed if isinstance(entry, RepoFile)}

    def read(self, path: str, revision: str) -> str:
        """A small text file; it does not stay in the client's cache."""
        with tempfile.TemporaryDirectory() as folder:
            local = self.persist(
                lambda: self.api.hf_hub_download(
                    self.repo, path, repo_type=self._kind, revision=revision, local_dir=folder
                )
            )
            return Path(local).read_text(encoding="utf-8")

    def pull_request(self, title: str) -> DiscussionWithDetails:
        """The open pull request of that title, a new one where there is none; others of ours are closed."""

        def find_or_open() -> DiscussionWithDetails:
            me, mine = self.who(), None
            for one in self.api.get_repo_discussions(self.repo, repo_type=self._kind, discussion_type="pull_request"):
                if one.status in ("draft", "open") and one.author == me and one.title.startswith(f"{self._library}: "):
                    if one.title == title and mine is None:
                        mine = one.num
                    else:
                        self._close(one.num)
            if mine is not None:
                return self.api.get_discussion_details(self.repo, mine, repo_type=self._kind)
            return self.api.create_pull_request(
                self.repo, title, repo_type=self._kind, description=_DESCRIPTION[self._kind]
            )

        return self.persist(find_or_open)

    def _close(self, number: int) -> None:
        self.api.change_discussion_status(
            self.repo, number, "closed", repo_type=self._kind, comment="Another push has taken its place."
        )

    def close(self, number: int) -> None:
        """Close a pull request of ours."""
        self.persist(lambda: self._close(number))

    def upload(self, folder: Path, revision: str, message: str, delete: list[str]) -> None:
        """Bring the files of a folder to a revision and remove some; what is there already is not sent again."""
        try:
            self.persist(
                lambda: self.api.upload_folder(
                    repo_id=self.repo,
                    folder_path=folder,
                    repo_type=self._kind,
                    revision=revision,
                    commit_message=message,
                    delete_patterns=delete,
                )
            )
        except ValueError as error:  # the card's front matter, or a large file, is not accepted
            raise HubError(f"{self.url} does not take the upload: {error}") from error

    def commit(self, folder: Path, paths: Sequence[str], delete: Sequence[str], at: tuple[str, str], title: str) -> str:
        """Bring some files of a folder to a branch, and remove others, in one commit.

        Args:
            folder: where they lie.
            paths: files to send, relative to it.
            delete: files to remove.
            at: branch or pull request, and the commit that it is expected at.
            title: of the commit.

        Returns:
            The commit.

        Raises:
            Moved: the branch is elsewhere; after an answer that got lost, perhaps at this very commit.
        """

        def send() -> str:
            # made anew for each try: an operation remembers what became of it
            operations = [CommitOperationAdd(path, str(folder / path)) for path in paths]
            gone = [CommitOperationDelete(path) for path in delete]
            revision, parent = at
            return self.api.create_commit(
                self.repo, [*operations, *gone], commit_message=title, repo_type=self._kind, revision=revision,
                parent_commit=parent,
            ).oid  # fmt: skip

        try:
            return self.persist(send)
        except HfHubHTTPError as error:
            if _status(error) == 412:
                raise Moved from error
            raise
        except ValueError as error:  # the card's front matter, or a large file, is not accepted
            raise HubError(f"{self.url} does not take the upload: {error}") from error

    def ready(self, number: int) -> None:
        """Turn a draft into an open pull request."""

        def change() -> None:
            if self.api.get_discussion_details(self.repo, number, repo_type=self._kind).status == "draft":
                self.api.change_discussion_status(self.repo, number, "open", repo_type=self._kind)

        self.persist(change)

    def differing(self, folder: Path, revision: str) -> list[str]:
        """Files of a folder that the revision has not, or not with the same checksum."""
        found = self.persist(
            lambda: self.api.verify_repo_checksums(self.repo, repo_type=self._kind, revision=revision, local_dir=folder)
        )
        return sorted([*(mismatch["path"] for mismatch in found.mismatches), *found.extra_paths])

    def merge(self, number: int, base: str) -> None:
        """Merge a pull request, if `main` is still where it was opened.

        Args:
            number: of the pull request.
            base: commit that `main` was at.

        Raises:
            Moved: `main` is elsewhere.
        """

        def merge() -> None:
            found = self.api.get_discussion_details(self.repo, number, repo_type=self._kind)
            if found.status == "merged":
                return
            if self.head() != base:
                raise Moved
            if found.status == "draft":
                self.api.change_discussion_status(self.repo, number, "open", repo_type=self._kind)
            self.api.merge_pull_request(self.repo, number, repo_type=self._kind)

        self.persist(merge)

    def tag(self, name: str, revision: str) -> None:
        """Name a commit; a tag that is there stays where it is."""
        self.persist(
            lambda: self.api.create_tag(self.repo, tag=name, revision=revision, repo_type=self._kind, exist_ok=True)
        )

    def tags(self) -> dict[str, str]:
        """Tag -> commit."""
        refs = self.persist(lambda: self.api.list_repo_refs(self.repo, repo_type=self._kind))
        return {tag.name: tag.target_commit for tag in refs.tags}


def _status(error: BaseException) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) and error.response is not None else None


def _asked_to_wait(error: BaseException) -> float | None:
    """Seconds that the server asks for: `RateLimit` of the Hub, or `Retry-After` in seconds or as a date."""
    if not isinstance(error, HfHubHTTPError) or error.response is None:
        return None
    headers = error.response.headers
    if (limit := parse_ratelimit_headers(headers)) is not None and limit.remaining == 0:
        return min(limit.reset_in_seconds, LONGEST_ASKED) + 1.0
    after = headers.get("retry-after", "").strip()
    try:
        seconds = float(after) if after.isdigit() else parsedate_to_datetime(after).timestamp() - time.time()
    except ValueError:  # none, or neither a number nor a date
        return None
    return min(max(0.0, seconds), LONGEST_ASKED) + 1.0
