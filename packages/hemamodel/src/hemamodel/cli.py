"""Command line of hemamodel."""

import typer

app = typer.Typer(
    name="hemamodel",
    help="Uni-Hema: one model for detection, segmentation, classification and text on blood-cell images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def commands() -> None:
    """Keep the command's name in the call while there is only one."""


@app.command()
def info() -> None:
    """Say what is here."""
    from importlib.metadata import version

    typer.echo(f"hemamodel {version('hemamodel')}: the package stands, the model does not yet. See CHANGELOG.md.")


def main() -> None:
    """Run the command line."""
    app()
