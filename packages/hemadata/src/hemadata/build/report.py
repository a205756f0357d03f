"""What a build says to a person."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hemadata.build.engine import Built
from hemadata.console import complain, say
from hemadata.errors import EXIT_DONE, EXIT_FINDINGS
from hemadata.quarantine import REASONS, WITHHELD


def exit_code(results: Sequence[Built], strict: bool) -> int:
    """0, or the code of the first error, or 1 where `strict` and undeclared defects were found."""
    for result in results:
        if result.error:
            return result.error.exit_code
    return EXIT_FINDINGS if strict and any(result.undeclared for result in results) else EXIT_DONE


def tell(results: Sequence[Built], absent: Sequence[str], out: Path, roots: Sequence[Path]) -> None:
    """Print the summary of a build."""
    for result in results:
        if result.error:
            complain(str(result.error))
        elif result.plan is not None:
            plan, size = result.plan, result.plan["bytes"] / 1e6
            say(f"{result.source}  {plan['images']:,} images, {size:,.1f} MB, {plan['units']} units (dry run)")
            _tell_quarantine(result)
        else:
            withheld = f"  {result.quarantined:,} in quarantine" if result.quarantined else ""
            boxes = f"  {result.objects:,} objects" if result.objects else ""
            fresh = "" if result.units_done else "  (up to date)"
            say(f"{result.source}  {result.images:,} images{boxes}  {result.shards} shards{withheld}{fresh}")
            _tell_quarantine(result)
            for follower, rows in result.moved.items():
                say(f"  {follower}: {rows:,} rows placed again, to follow the published split of {result.source}")
    if absent:
        where = " or ".join(map(str, roots))
        say(f"No raw data in {where} for: {', '.join(absent)}.   (hemadata sources show NAME tells where to get them)")
    done = [result for result in results if not result.error and result.plan is None]
    if any(result.quarantine for result in done):
        say(f"Everything else is in {out}/. Details: {out}/reports/quarantine.csv")
    elif done:
        say(f"Everything is in {out}/.")


def _tell_quarantine(result: Built) -> None:
    """One line per reason, with the first example; undeclared ones are marked."""
    counts = Counter(entry.reason for entry in result.quarantine)
    order = sorted(counts, key=lambda reason: (REASONS[reason][0] not in WITHHELD, -counts[reason]))
    for reason in order:
        entries = [entry for entry in result.quarantine if entry.reason == reason]
        new = f"  {result.undeclared[reason]:,} undeclared" if reason in result.undeclared else ""
        for number, entry in enumerate(entries[: 3 if len(entries) <= 3 else 1]):
            count, mark = (f"{len(entries):,}", new) if number == 0 else ("", "")
            say(f"  {REASONS[reason][1]:44} {count:>6}   {entry.file} ({entry.detail}){mark}")
