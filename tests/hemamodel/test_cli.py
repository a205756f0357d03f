"""`hemamodel info`, as a person and as a program read it."""

import json

from hemamodel.cli import app
from hemamodel.stages import GROUPS
from typer.testing import CliRunner


def test_info_counts_the_groups() -> None:
    result = CliRunner().invoke(app, ["info", "--preset", "tiny", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert set(found) == {"variant", "preset", "trainable_parameters", "groups"}
    assert set(found["groups"]) == set(GROUPS)
    assert found["trainable_parameters"] == sum(found["groups"].values()), "from scratch, everything can learn"


def test_info_of_the_released_form_has_the_authors_counts() -> None:
    """Reference figures: the authors' own listing of the released checkpoint."""
    whole = json.loads(CliRunner().invoke(app, ["info", "--variant", "released", "--json"]).output)
    assert whole["trainable_parameters"] == 300_152_702
    found = whole["groups"]
    assert found["cmf"] == 2_583_296
    assert found["tgvr"] == 657_152
    assert found["upsampler"] == 2_141_953
    assert found["text_encoder"] + found["text_decoder"] == 247_577_856


def test_unknown_setting_names_the_nearest() -> None:
    result = CliRunner().invoke(app, ["info", "--set", "cmf.imge=encoder"])
    assert "cmf.image" in str(result.exception)
