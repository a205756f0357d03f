"""Everything that hemamodel raises on purpose. A message says what was found, where, what was expected, what to do."""

EXIT_DONE, EXIT_FINDINGS, EXIT_USAGE, EXIT_INPUT_MISSING = 0, 1, 2, 3


class HemaModelError(Exception):
    """Base of all errors that a user can cause; the command line prints them without a traceback."""

    exit_code = EXIT_FINDINGS


class UsageError(HemaModelError):
    """The call itself is wrong: an unknown name, an impossible option."""

    exit_code = EXIT_USAGE


class ConfigError(UsageError):
    """A setting is unknown, or its value is not one of those allowed."""


class InputMissingError(HemaModelError):
    """A corpus, a run or a weight file that should be read is not there."""

    exit_code = EXIT_INPUT_MISSING


class WeightsError(HemaModelError):
    """A weight file is there but does not fit the model."""
