"""Everything that hemasynth raises on purpose; the tree hangs under hemadata's, so that one handler prints both."""

from hemadata.errors import HemaError, InputMissingError


class EngineMissingError(InputMissingError):
    """The engine that was asked for cannot run here: a package, a GPU or a server is missing."""


class EngineError(HemaError):
    """The engine runs and does something that it must not: it ignores the schema, or refuses a request."""


class JournalError(HemaError):
    """The journal is damaged before its end, or another run is writing it."""


class RecordError(HemaError):
    """A record or a line given to the checker is not in the documented form."""
