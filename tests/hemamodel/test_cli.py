"""The command answers; the model follows."""

from hemamodel.cli import app
from typer.testing import CliRunner


def test_info_says_what_is_here() -> None:
    result = CliRunner().invoke(app, ["info"])
    assert result.exit_code == 0
    assert "hemamodel" in result.output
