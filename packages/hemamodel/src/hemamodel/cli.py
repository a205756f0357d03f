"""Command line of hemamodel. Everything heavy is imported inside the command, so that --help answers at once."""

import json
import sys
from typing import Annotated, Literal

import typer

app = typer.Typer(
    name="hemamodel",
    help="Uni-Hema: one model for detection, segmentation, classification and text on blood-cell images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawn help takes twice as long to appear
    context_settings={"help_option_names": ["-h", "--help"]},
)

Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value; may be given several times.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
VOCABULARY = 32128  # of FLAN-T5: the count of a text branch from scratch depends on its tokenizer


def main() -> None:
    """Run the command line; errors that a user can cause end in a sentence and an exit code."""
    from hemadata.errors import HemaError

    from hemamodel.errors import HemaModelError

    try:
        app()
    except (HemaError, HemaModelError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None


@app.callback()
def commands() -> None:
    """Keep the command's name in the call while there is only one."""


@app.command(
    epilog="Examples:\n\n"
    "    hemamodel info --preset tiny\n\n"
    "    hemamodel info --variant released --set cmf.image=encoder --json"
)
def info(
    preset: Annotated[Literal["tiny", "base"], typer.Option(help="Sizes of the model.")] = "base",
    variant: Annotated[Literal["paper", "released"], typer.Option(help="Whose wiring where they differ.")] = "paper",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Parameters of the model, group by group, and the stages that train each group."""
    import torch

    from hemamodel.config import load_preset
    from hemamodel.model.unihema import build_model, count_parameters
    from hemamodel.stages import STAGES, load

    config = load_preset(preset, [f"variant={variant}", *(settings or [])])
    with torch.device("meta"):  # counted, never allocated
        model = build_model(config, VOCABULARY)
    groups = count_parameters(model.groups())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if as_json:
        print(json.dumps({"variant": variant, "preset": preset, "trainable_parameters": trainable, "groups": groups}))
        return
    for name, count in groups.items():
        stages = " ".join(str(stage) for stage in STAGES if name in load(stage).trainable)
        print(f"{name:14} {count:>12,}   stages {stages}")
    print(f"{'all':14} {sum(groups.values()):>12,}   {trainable:,} trainable   ({variant}, {preset})")


if __name__ == "__main__":
    main()
