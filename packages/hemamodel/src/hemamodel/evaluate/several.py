"""Several runs together: mean and deviation over seeds, as the paper reports; and two runs sample by sample."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from hemamodel.errors import UsageError
from hemamodel.evaluate.evidence import Evidence
from hemamodel.evaluate.interval import DRAWS, difference
from hemamodel.evaluate.names import MAIN, MORE
from hemamodel.evaluate.tell import markdown, short


def over_seeds(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Task -> source (`all` for all of them) -> score -> mean, sd and the values.

    Args:
        reports: of `evaluate`, of runs that differ in their seed.

    Raises:
        UsageError: they are of other corpora, splits or samples.
    """
    for name in ("corpus_id", "split", "sources"):
        if any(each[name] != reports[0][name] for each in reports):
            raise UsageError(f"These runs were not scored on the same rows: {name} differs. Score one after the other.")
    result: dict[str, Any] = {}
    for task, scores in reports[0]["scores"].items():
        places = ["all", *scores.get("by_source", {})]
        for place in places:
            parts = [
                each["scores"][task] if place == "all" else each["scores"][task]["by_source"][place] for each in reports
            ]
            result.setdefault(task, {})[place] = {
                name: {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else 0.0, "values": values}
                for name in (*MAIN, *MORE)
                if name in parts[0] and None not in (values := [part[name] for part in parts])
            }
    return result


def seeds_page(reports: Sequence[Mapping[str, Any]]) -> str:
    """Mean ± sd as Markdown."""
    lines = [f"# {len(reports)} runs: {', '.join(each['run'] for each in reports)}\n"]
    for task, places in over_seeds(reports).items():
        names = list(places["all"])
        rows = [
            [place, *(f"{short(each[name]['mean'])} ± {short(each[name]['sd'])}" for name in names)]
            for place, each in places.items()
        ]
        lines += [f"## {task}\n", *markdown(["source", *names], rows)]
    return "\n".join(lines) + "\n"


def against(one: Evidence, other: Evidence, units: Sequence[str], draws: int = DRAWS) -> dict[str, dict[str, float]]:
    """How much better one run is than another on the same samples: the paired difference and its interval.

    Raises:
        UsageError: they are not of the same samples.
    """
    asked = [getattr(each, "asked", None) for each in (one, other)]
    if one.sample_ids != other.sample_ids or asked[0] != asked[1]:
        raise UsageError(
            f"The two runs were not asked of the same samples: {len(one):,} and {len(other):,}. "
            "Choose runs of the same view, regions and prompts."
        )
    ours, theirs = one.metrics(), other.metrics()
    result = {}
    for name in ours:
        by, low, high = difference(ours[name], theirs[name], units, draws)
        result[name] = {"difference": by, "low": low, "high": high}
    return result
