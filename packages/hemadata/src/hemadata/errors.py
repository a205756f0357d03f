"""Everything that hemadata raises on purpose. A message says what was found, where, what was expected, what to do."""

EXIT_DONE, EXIT_FINDINGS, EXIT_USAGE, EXIT_INPUT_MISSING = 0, 1, 2, 3


class HemaError(Exception):
    """Base of all errors that a user can cause; the command line prints them without a traceback."""

    exit_code = EXIT_FINDINGS


class UsageError(HemaError):
    """The call itself is wrong: an unknown name, an impossible option."""

    exit_code = EXIT_USAGE


class InputMissingError(HemaError):
    """Raw data or a corpus that should be read is not there."""

    exit_code = EXIT_INPUT_MISSING


class UnknownNodeError(HemaError):
    """A label names no node of the ontology."""


class UnknownLabelError(HemaError):
    """A raw label is not in the label map of its source."""


class LayoutError(HemaError):
    """A raw tree is there but does not look as its facts page says."""


class FormatError(HemaError):
    """An annotation file cannot be read as what it should be."""


class CorpusError(HemaError):
    """A corpus breaks the contract of `schema.py`, or another build holds it."""


class HubError(HemaError):
    """The Hub refuses, cannot be reached, or holds something else than was sent."""


class DefectError(Exception):
    """One image, box or mask cannot be used. Caught by the engine, which puts it in quarantine.

    Args:
        reason: a word of `quarantine.REASONS`.
        detail: what was found, in a few words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
