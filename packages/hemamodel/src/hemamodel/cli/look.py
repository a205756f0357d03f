"""Commands that look: evaluate, info."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from hemadata.console import emit, progress_bar, say

from hemamodel.cli.options import CorpusFolder, Device, Json, Preset, Settings, Variant, Workers, processes

VOCABULARY = 32128  # of FLAN-T5: the count of a text branch from scratch depends on its tokenizer


EVALUATE = (
    "Examples:\n\n"
    "    hemamodel evaluate runs/stage5-tiny-001\n\n"
    "    hemamodel evaluate runs/stage1-base-001 --source acevedo --json\n\n"
    "    hemamodel evaluate runs/stage5-base-00*                  mean and deviation over seeds\n\n"
    "    hemamodel evaluate runs/stage6-base-001 --against runs/stage6-base-002 --baselines\n\n"
    "Beside vqa and mlm the commonest answers of training stand without asking. A run that never sees a picture is "
    "trained by --set data.blind=true, with the same seed."
)
PROBE = (
    "Examples:\n\n"
    "    hemamodel probe runs/stage1-base-001 --source acevedo\n\n"
    "    hemamodel probe --encoder facebook/dinov2-small --source wbcatt --json"
)
INFO = (
    "Examples:\n\n"
    "    hemamodel info --preset tiny\n\n"
    "    hemamodel info --variant released --set cmf.image=encoder --json"
)


def evaluate(
    run: Annotated[
        list[Path],
        typer.Argument(help="Folder of a run, or a model of the Hub; several: mean ± sd over them."),
    ],
    corpus: CorpusFolder = Path("corpus"),
    split: Annotated[
        Literal["train", "validation", "test", "all"],
        typer.Option(help="Rows that are scored; all: of a corpus that it was not trained on."),
    ] = "test",
    task: Annotated[list[str] | None, typer.Option(help="Default: the tasks of the run's stage.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Default: the sources that it trained on.")] = None,
    threshold: Annotated[
        float, typer.Option(help="Least score of a box that counts for confusion and morphology.", min=0, max=1)
    ] = 0.3,
    batch_size: Annotated[int, typer.Option(help="Images at once; no score depends on it.", min=1)] = 8,
    limit: Annotated[int | None, typer.Option(help="Only the first so many images of each task.", min=1)] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.json, .md and .html; default: evaluation-SPLIT in the run.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Another run, asked the same: the paired difference, with its interval.")
    ] = None,
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="vqa, mlm: ask again with pictures exchanged; takes twice the time."),
    ] = False,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Score a run that still trains, as it is at its last checkpoint.")
    ] = False,
    symmetries: Annotated[
        bool, typer.Option("--symmetries", help="classification: mean over each picture's 8 turns and mirrorings.")
    ] = False,
    workers: Workers = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Scores of a run on a split of the corpus, with intervals, beside the publishers' and the paper's own tests."""
    import json

    from hemadata.atomic import write_text

    from hemamodel.errors import UsageError
    from hemamodel.evaluate.gallery import Gallery
    from hemamodel.evaluate.run import evaluate
    from hemamodel.evaluate.several import over_seeds, seeds_page
    from hemamodel.evaluate.tell import blocks, page, table
    from hemamodel.fetch import locate

    for each in run:
        if report is None and locate(each) != each:
            raise UsageError(f"{each} is a model of the Hub: name a folder for its report with --report.")
    reports = []
    for each in run:
        gallery = Gallery()
        with progress_bar("samples", quiet=as_json) as progress:
            found = evaluate(
                each,
                corpus,
                split=split,
                tasks=task or (),
                sources=source or (),
                batch_size=batch_size,
                workers=processes(workers),
                device=device,
                limit=limit,
                threshold=threshold,
                told=progress,
                against=against,
                baselines=baselines,
                seen=gallery.take,
                unfinished=unfinished,
                symmetries=symmetries,
            )
        reports.append(found)
        folder = each / f"evaluation-{split}" if report is None else report / each.name if len(run) > 1 else report
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "report.json", json.dumps(found, indent=1) + "\n")
        write_text(folder / "report.md", page(found))
        write_text(folder / "report.html", gallery.page(blocks(found)))
        if not as_json:
            say(table(found))
            say(f"The same with every number: {folder / 'report.md'}, report.json; with pictures: report.html")
    if len(reports) > 1 and not as_json:
        say(seeds_page(reports))
    if as_json:
        emit(reports[0] if len(reports) == 1 else {"runs": reports, "over_seeds": over_seeds(reports)})


def probe(
    run: Annotated[
        Path | None, typer.Argument(help="Folder of a complete run or a model of the Hub, for its own encoder.")
    ] = None,
    source: Annotated[str, typer.Option(help="Slug of a source of single cells.")] = "acevedo",
    encoder: Annotated[
        str, typer.Option(help="self, or a folder or Hub id of a vision model that transformers can load.")
    ] = "self",
    maps: Annotated[
        bool, typer.Option("--maps", help="Beside the run's feature of a cell, mean and spread of its backbone's maps.")
    ] = False,
    symmetries: Annotated[
        bool, typer.Option("--symmetries", help="Features are the mean over each picture's 8 turns and mirrorings.")
    ] = False,
    corpus: CorpusFolder = Path("corpus"),
    batch_size: Annotated[int, typer.Option(help="Images at once.", min=1)] = 32,
    workers: Workers = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Judge frozen features of single cells by a linear probe and by nearest neighbours (tables 6 and 10)."""
    from hemamodel.device import device_of
    from hemamodel.errors import UsageError
    from hemamodel.evaluate.encoders import foreign, own
    from hemamodel.evaluate.probe import probe, table

    place = device_of(device)
    if encoder == "self" and run is None:
        raise UsageError("Name a run to be probed, or another encoder: --encoder facebook/dinov2-small")
    if encoder != "self" and maps:
        raise UsageError("--maps is for a run's own encoder: leave it out, or --encoder.")
    chosen = own(run, place, maps) if encoder == "self" and run is not None else foreign(encoder, place)
    with progress_bar("cells", quiet=as_json) as progress:
        found = probe(chosen, corpus, source, device=place, batch_size=batch_size, workers=processes(workers),
                      symmetries=symmetries, told=progress)  # fmt: skip
    if as_json:
        emit(found)
    else:
        say(table(found))


def info(
    preset: Preset = "base",
    variant: Variant = "paper",
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
    file = {}
    if variant == "released" and preset == "base" and not settings:
        from hemamodel.convert import IGNORED

        ignored = sum(IGNORED.values())
        file = {"file": trainable + ignored, "used": trainable, "ignored": ignored}
    if as_json:
        emit({"variant": variant, "preset": preset, "trainable_parameters": trainable, "groups": groups}
             | ({"checkpoint": file} if file else {}))  # fmt: skip
        return
    for name, count in groups.items():
        stages = " ".join(str(stage) for stage in STAGES if name in load(stage).trainable)
        say(f"{name:14} {count:>12,}   stages {stages}")
    say(f"{'all':14} {sum(groups.values()):>12,}   {trainable:,} trainable   ({variant}, {preset})")
    if file:
        say(f"Listed by the authors: {file['file']:,} = {file['used']:,} used + {file['ignored']:,} that nothing uses.")


COMMANDS = ((evaluate, EVALUATE), (probe, PROBE), (info, INFO))
