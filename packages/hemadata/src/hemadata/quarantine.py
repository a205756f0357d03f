"""What was withheld, repaired or passed over, with file and reason: nothing disappears silently."""

from dataclasses import asdict, dataclass
from typing import Any

# reason -> (severity, what a person reads)
# lost: the image is not in the corpus; part: the row is, a box is not; repaired: kept, changed as declared;
# ignored: the file is no data
REASONS: dict[str, tuple[str, str]] = {
    "truncated_image": ("lost", "image is cut short"),
    "unreadable_image": ("lost", "image cannot be read"),
    "empty_file": ("lost", "file is empty"),
    "missing_image": ("lost", "annotation without image"),
    "missing_annotation": ("lost", "image without annotation"),
    "unreadable_annotation": ("lost", "annotation cannot be read"),
    "contradicting_labels": ("lost", "labels of one image contradict each other"),
    "oversized_image": ("lost", "image has more pixels than allowed"),
    "mask_size": ("lost", "mask of another size"),
    "mask_values": ("lost", "mask holds undeclared values"),
    "unreadable_mask": ("lost", "mask cannot be read"),
    "degenerate_box": ("part", "box without width or height"),
    "box_outside": ("part", "box outside the image"),
    "box_not_finite": ("part", "box holds no numbers"),
    "point_marks": ("part", "objects marked by a point, which has no extent: no box"),
    "incomplete_annotation": ("part", "annotation cannot be read in part"),
    "clipped_box": ("repaired", "box cut at the border"),
    "stray_mask_values": ("repaired", "stray mask values set to the nearest declared one"),
    "junk_file": ("ignored", "file that is no data"),
    "left_out": ("ignored", "link, device, archive or folder that was not read"),
}
WITHHELD = ("lost", "part")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One line of `reports/quarantine.csv`.

    Args:
        source: slug.
        file: path inside the raw folder.
        record: the image, box or row inside the file.
        reason: a key of `REASONS`.
        detail: what was found.
    """

    source: str
    file: str
    record: str
    reason: str
    detail: str

    @property
    def severity(self) -> str:
        """lost, part, repaired or ignored."""
        return REASONS[self.reason][0]

    def as_dict(self) -> dict[str, Any]:
        """The line as the CSV and the manifest hold it."""
        return {**asdict(self), "severity": self.severity}


def undeclared(found: list[Quarantined], declared: dict[str, int]) -> dict[str, int]:
    """Defects beyond what the TOML declares: reason -> how many more were found. Severity `ignored` never counts."""
    counts: dict[str, int] = {}
    for entry in found:
        if entry.severity != "ignored":
            counts[entry.reason] = counts.get(entry.reason, 0) + 1
    return {reason: n - declared.get(reason, 0) for reason, n in counts.items() if n > declared.get(reason, 0)}
