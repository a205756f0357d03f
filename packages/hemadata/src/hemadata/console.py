"""What commands print: for a person on a terminal, or one JSON object for a program."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hemadata.errors import EXIT_FINDINGS, HemaError

EXIT_STOPPED = 130  # typer turns Ctrl-C into it
KEPT = "What was finished is kept: run the same command again to go on."


def run(app: Callable[..., Any], name: str, when_stopped: str = KEPT) -> None:
    """Run a command line; errors that a user can cause end in a sentence and an exit code.

    Args:
        app: the Typer application.
        name: of the program, for its help.
        when_stopped: what a person who pressed Ctrl-C should know.

    Raises:
        SystemExit: always, at the end.
    """
    try:
        app(prog_name=name)
    except HemaError as error:
        complain(str(error))
        raise SystemExit(error.exit_code) from None
    except OSError as error:  # no such folder, no room, no permission: the message names the file
        complain(f"{error.filename or 'A file'}: {error.strerror or error}.")
        raise SystemExit(EXIT_FINDINGS) from None
    except SystemExit as ended:
        if ended.code == EXIT_STOPPED:
            complain(f"Stopped. {when_stopped}")
        raise


def say(text: str = "") -> None:
    """A line for a person."""
    print(text)


def complain(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr)


def emit(value: Any) -> None:
    """One JSON value, alone on the last line of standard output."""
    print(json.dumps(value, ensure_ascii=False))


@contextmanager
def progress_bar(unit: str, quiet: bool = False) -> Iterator[Callable[[str, int, int], None] | None]:
    """A bar on standard error when it is a terminal, else None; called with name, done, total."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    done = (DownloadColumn(),) if unit == "bytes" else (MofNCompleteColumn(), TextColumn(unit))
    columns = (TextColumn("{task.description}"), BarColumn(), *done)
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}

        def update(name: str, count: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total or None)
            bar.update(tasks[name], completed=count)

        yield update
