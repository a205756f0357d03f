"""What the Hub answers: asked again where that passes, else told in a sentence.

`huggingface_hub` tries some requests again by itself, others not; `persist` does so for all of them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from hemadata.errors import HubError, InputMissingError, UsageError

TRIES = 8
LONGEST_WAIT = 60.0  # seconds, of our own choice; a server may ask for more
LONGEST_ASKED = 3600.0
PASSING = (408, 425, 429, 500, 502, 503, 504)
T = TypeVar("T")


@contextmanager
def told(repo: str) -> Iterator[None]:
    """What the Hub says, as a sentence.

    Raises:
        HubError, InputMissingError, UsageError: instead of the client's own errors.
    """
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise InputMissingError(NO_TOKEN) from error
    except HFValidationError as error:
        raise UsageError(f'"{repo}" is no name of a repository; expected --repo ORG/NAME.') from error
    except (HfHubHTTPError, httpx2.TransportError, RuntimeError, ValueError) as error:
        cause = _cause(error)
        if isinstance(cause, httpx2.TransportError):
            raise HubError(f"The Hub cannot be reached: {cause}. Run the same push again: it goes on.") from error
        if not isinstance(cause, HfHubHTTPError):
            raise
        raise HubError(_sentence(repo, cause)) from error


NO_TOKEN = "There is no token. Get one with write access on the Hub, then: hf auth login   (or set HF_TOKEN)"


def _sentence(repo: str, error: HfHubHTTPError) -> str:
    status = status_of(error)
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


def persist(ask: Callable[[], T], tell: Callable[[str], None]) -> T:
    """Ask until there is an answer, waiting as long as the server says; what does not pass is raised at once.

    Args:
        ask: safe to call again.
        tell: told when it is waited, in a line for a person.
    """
    wait = 1.0
    for tried in range(1, TRIES + 1):
        try:
            return ask()
        except (HfHubHTTPError, httpx2.TransportError, RuntimeError) as error:
            cause = _cause(error)
            passing = isinstance(cause, httpx2.TransportError) or status_of(cause) in PASSING
            if not passing or tried == TRIES:
                raise
            asked = _asked_to_wait(cause) or wait
            tell(f"The Hub answers {status_of(cause) or cause}. Waiting {asked:.0f} s, then again.")
            time.sleep(asked)
            wait = min(2 * wait, LONGEST_WAIT)
    raise AssertionError("unreachable")


def status_of(error: BaseException) -> int | None:
    """HTTP status of an answer; None: there was none."""
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
