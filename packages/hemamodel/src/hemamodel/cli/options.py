"""Options that several commands share, and how a command reads them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value; may be given several times.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
Preset = Annotated[Literal["tiny", "base"], typer.Option(help="Sizes of the model.")]
Variant = Annotated[Literal["paper", "released"], typer.Option(help="Whose wiring where they differ.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; default: a GPU if there is one.")]
Workers = Annotated[int | None, typer.Option(help="Processes that load images; default: by the cores.", min=0)]
CorpusFolder = Annotated[Path, typer.Option(help="Folder of the corpus.")]
Runs = Annotated[Path, typer.Option(help="Folder of the runs.")]
Seed = Annotated[int, typer.Option(help="Of weights, order, augmentation, noise and dropout.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="A new run, though one like it was stopped.")]
AcceptDataChange = Annotated[
    bool, typer.Option("--accept-data-change", help="Go on with a run that has read another corpus.")
]
StopAfter = Annotated[int | None, typer.Option(help="Stop after so many steps, to go on later.", min=1)]
Precision = Annotated[Literal["fp32", "bf16"] | None, typer.Option(help="Default: bf16 on a GPU, fp32 on the CPU.")]
Accumulate = Annotated[int, typer.Option(help="Do each step in so many parts: less memory.", min=1)]
Checkpointing = Annotated[
    bool, typer.Option("--checkpointing", help="Compute inner values again in the backward pass: less memory.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Do one step with the largest images, tell what it takes, write nothing.")
]
Profile = Annotated[bool, typer.Option("--profile", help="Tell where the time of steps 4 to 8 goes.")]
Task = Literal["classification", "detection", "segmentation", "vqa", "mlm"]


def processes(asked: int | None) -> int:
    """One process for each core but one, at most eight; they only decode and crop."""
    import os

    return min(8, (os.cpu_count() or 1) - 1) if asked is None else asked
