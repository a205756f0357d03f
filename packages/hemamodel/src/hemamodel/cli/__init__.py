"""Command line of hemamodel. Everything heavy is imported inside the command, so that --help answers at once."""

import typer
from hemadata.console import run

app = typer.Typer(
    name="hemamodel",
    help="Uni-Hema: one model for detection, segmentation, classification and text on blood-cell images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawn help takes twice as long to appear
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point."""
    run(app, "hemamodel", "Run the same command again to go on from the last checkpoint.")


def _register() -> None:
    from hemamodel.cli import look, publish, train, use

    for part in (train, look, use, publish):
        for command, examples in part.COMMANDS:
            app.command(epilog=examples)(command)


_register()
