"""One repository of the Hub: what a push asks of it, each question safe to ask again.

Whatever changes the repository first looks whether it was done already: an answer that got lost does nothing twice.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.community import DiscussionWithDetails
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile

from hemadata.errors import HubError, InputMissingError
from hemadata.hub.answers import NO_TOKEN, persist, status_of

TITLE = "hemadata: "
T = TypeVar("T")
_DESCRIPTION = {
    "dataset": "Opened by `hemadata push`, which also merges it.",
    "model": "Opened by `hemamodel push`; merging it is yours.",
}


class Moved(Exception):
    """Somebody else has changed `main` since the pull request was opened."""


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
            raise InputMissingError(NO_TOKEN)
        self.repo, self.token, self._tell, self._kind = repo, token, tell, kind
        self._library = TITLE.rstrip(": ") if kind == "dataset" else "hemamodel"
        self.api = HfApi(endpoint=endpoint, token=token, library_name=self._library)
        self.url = f"{self.api.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo}"

    def persist(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer, as `answers.persist` does."""
        return persist(ask, self._tell)

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
            if status_of(error) == 412:
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
