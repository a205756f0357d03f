"""Everything that hemamodel raises on purpose; the tree hangs under hemadata's, so that one handler prints both."""

from hemadata.errors import EXIT_DONE, EXIT_FINDINGS, HemaError, InputMissingError, UsageError

__all__ = [
    "EXIT_DONE",
    "EXIT_FINDINGS",
    "ConfigError",
    "DivergedError",
    "HemaError",
    "InputMissingError",
    "UsageError",
    "WeightsError",
]


class ConfigError(UsageError):
    """A setting is unknown, or its value is not one of those allowed."""


class WeightsError(HemaError):
    """A weight file is there but does not fit the model, or cannot be read."""


class DivergedError(HemaError):
    """Training has left the finite numbers."""
