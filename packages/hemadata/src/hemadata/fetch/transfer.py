"""One file over HTTP: resumed after a cut, tried again where that helps, refused where it is another file."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from itertools import pairwise

import httpx2

from hemadata.errors import HemaError
from hemadata.fetch.partial import Partial, Told
from hemadata.fetch.sniff import HEAD, found_instead
from hemadata.sources.facts import Download

MAX_UNDECLARED = 128 << 30  # bytes, where neither page nor server tells a size
TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
ADVICE = {401: "it asks for a login", 403: "it refuses", 404: "nothing is there", 410: "it was taken away"}
Progress = Callable[[str, int, int], None]
"""Called with the file's name, bytes so far, bytes in all (0: not told)."""


class LinkError(Exception):
    """A link does not give the file; the message says why, and the next link is tried."""


class _CutError(Exception):
    """The transfer ended early; trying again may help."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a link is tried.

    Args:
        attempts: how many in a row may bring no new byte.
        timeout: seconds without an answer.
        pause: seconds before the second attempt; doubled each time.
        longest: seconds of any pause, also of one that the server asks for.
        sleep: how pauses are made.
    """

    attempts: int = 5
    timeout: float = 60.0
    pause: float = 1.0
    longest: float = 120.0
    sleep: Callable[[float], None] = time.sleep


@contextmanager
def open_client(patience: Patience) -> Iterator[httpx2.Client]:
    """A client that follows redirects and says who asks; proxies are those of the environment."""
    headers = {"User-Agent": f"hemadata/{version('hemadata')}", "Accept-Encoding": "identity"}
    with httpx2.Client(follow_redirects=True, timeout=patience.timeout, headers=headers) as client:
        yield client


def get(
    client: httpx2.Client,
    link: str,
    download: Download,
    part: Partial,
    patience: Patience,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Bring a file into its `Partial`, from where an earlier attempt ended.

    Args:
        client: of `open_client`.
        link: one of the download's.
        download: what is declared of the file.
        part: where it goes.
        patience: how often it is tried.
        progress: told after every block.
        tell: told the size that the server announces.

    Raises:
        LinkError: the link gives no file, or another one, or ends early every time.
        HemaError: the disk has no room for it.
    """
    furthest, failures = part.size, 0
    while True:
        try:
            with _as_cuts_and_refusals():
                return _attempt(client, link, download, part, progress, tell)
        except _CutError as cut:
            failures = 0 if part.size > furthest else failures + 1
            furthest = max(furthest, part.size)
            if failures >= patience.attempts:
                raise LinkError(f"{cut}, {failures} times in a row") from cut
            patience.sleep(min(max(cut.wait, patience.pause * 2**failures), patience.longest))


@contextmanager
def _as_cuts_and_refusals() -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException as error:
        raise _CutError("no answer in time") from error
    except (httpx2.NetworkError, httpx2.ProtocolError, httpx2.ProxyError) as error:
        raise _CutError(f"the connection broke ({error or type(error).__name__})") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise LinkError(str(error) or type(error).__name__) from error


def _attempt(
    client: httpx2.Client,
    link: str,
    download: Download,
    part: Partial,
    progress: Progress | None,
    tell: Callable[[str], None],
) -> None:
    has_checksum = bool(download.sha256 or download.md5 or download.git_sha1)
    told, headers = part.told(), dict[str, str]()
    if told and told.link == link and (told.validator or has_checksum):
        headers["Range"] = f"bytes={part.size}-"
        if told.validator:
            headers["If-Range"] = told.validator
    with client.stream("GET", link, headers=headers) as answer:
        if answer.status_code == 416:
            return _past_the_end(answer, part)
        _refuse_status(answer)
        is_rest = answer.status_code == 206 and bool(headers)
        if is_rest and told:
            start, total = _range(answer)
            if start != part.size or (told.total is not None and total not in (None, told.total)):
                part.discard()
                raise _CutError("the server sends another part of the file than was asked for")
            total = total if total is not None else told.total
        else:  # from the beginning: the first time, a changed file, or a server that knows no ranges
            total = _length(answer)
            _refuse_size(total, download)
            part.begin(Told(str(link), total, _validator(answer)))
            tell(f"{part.target.name}: {f'{total:,} bytes are' if total is not None else 'no size is'} announced")
        _make_room(part, total)
        _receive(answer, download, part, total, progress)


def _receive(
    answer: httpx2.Response, download: Download, part: Partial, total: int | None, progress: Progress | None
) -> None:
    bound = next(size for size in (download.bytes, total, MAX_UNDECLARED) if size is not None)
    done, head = part.size, b"" if part.size == 0 else None
    with part.path.open("ab") as file:
        for block in answer.iter_raw():  # blocks as they come: gathered ones would be lost in a cut
            done += len(block)
            if done > bound:
                part.discard()
                raise LinkError(f"it sends more than the {bound:,} bytes that are declared")
            if head is not None and len(head) < HEAD:
                head = (head + block)[:HEAD]
                if len(head) == HEAD:
                    _refuse_content(head, download, part)
            file.write(block)
            if progress:
                progress(part.target.name, done, total or 0)
    if total is not None and done != total:
        raise _CutError(f"{done:,} of {total:,} bytes came")
    if head is not None and len(head) < HEAD:
        _refuse_content(head, download, part)


def _refuse_content(head: bytes, download: Download, part: Partial) -> None:
    if other := found_instead(head, download.kind):
        part.discard()
        raise LinkError(f"it answers with {other}")


def _refuse_status(answer: httpx2.Response) -> None:
    status = answer.status_code
    if status in TRY_AGAIN:
        raise _CutError(f"the server answers {status} {answer.reason_phrase}", _retry_after(answer))
    if status not in (200, 206):
        raise LinkError(f"the server answers {status}: {ADVICE.get(status, answer.reason_phrase)}")
    if answer.headers.get("Content-Encoding", "identity") not in ("", "identity"):
        raise LinkError(f"the server packs its answer ({answer.headers['Content-Encoding']}) though it may not")
    urls = [*(str(step.url) for step in answer.history), str(answer.url)]
    if any(a.startswith("https:") and b.startswith("http:") for a, b in pairwise(urls)):
        raise LinkError(f"it leads from https to {answer.url}")


def _refuse_size(total: int | None, download: Download) -> None:
    if None not in (total, download.bytes) and total != download.bytes:
        raise LinkError(f"it announces {total:,} bytes, {download.bytes:,} are declared: another version")


def _past_the_end(answer: httpx2.Response, part: Partial) -> None:
    """The server has no byte beyond those that are here: either the file is whole, or it is another one."""
    told, whole = part.told(), _range(answer)[1]
    if told and whole == part.size and told.total in (None, whole):
        return
    announced = f", {told.total:,} were announced" if told and told.total is not None else ""
    part.discard()
    held = f"{whole:,}" if whole is not None else "an unknown number of"
    raise _CutError(f"the server has {held} bytes{announced}")


def _make_room(part: Partial, total: int | None) -> None:
    free, due = shutil.disk_usage(part.path.parent).free, (total or 0) - part.size
    if due > free:
        raise HemaError(f"{part.target}: {due:,} bytes are to come, {free:,} are free on that disk.")


def _length(answer: httpx2.Response) -> int | None:
    value = answer.headers.get("Content-Length", "")
    return int(value) if value.isdecimal() else None


def _range(answer: httpx2.Response) -> tuple[int | None, int | None]:
    """First byte and whole size of `Content-Range: bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`."""
    found = re.match(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", answer.headers.get("Content-Range", ""))
    start, whole = found.groups() if found else (None, None)
    return (None if start is None else int(start), None if whole is None else int(whole))


def _validator(answer: httpx2.Response) -> str | None:
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified")


def _retry_after(answer: httpx2.Response) -> float:
    value = answer.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
