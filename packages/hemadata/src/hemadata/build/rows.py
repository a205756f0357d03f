"""One reference of the plan -> one row of the corpus, or the reason why there is none."""

import errno
import hashlib
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

from hemadata import schema
from hemadata.arrow import Structs
from hemadata.build.images import Check, Picture, look
from hemadata.build.masks import MaskReader
from hemadata.errors import DefectError
from hemadata.formats.boxes import Attribute, Box, Boxes, Rating
from hemadata.geometry import XYWH, fit_box, outside, turn_box
from hemadata.labels import LabelMap
from hemadata.prompts import Template, materialised
from hemadata.quarantine import Quarantined
from hemadata.sources.base import Ref, Source

Row = dict[str, Any]
# The network, the mount or the machine fails, not the file: the unit is done again, nothing goes to quarantine.
NOT_THE_FILE = (
    *(errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ENODEV),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
)


class RowMaker:
    """Makes the rows of one source.

    Args:
        source: facts and loader.
        check: how deeply images are looked at.
        prompt: template to render into `prompt`; None leaves the columns null.
        phantom: size of the phantom that is built; its rows say so in `source_version`.
    """

    def __init__(
        self, source: Source, check: Check, prompt: Template | None = None, phantom: int | None = None
    ) -> None:
        self.source, self.check, self.prompt = source, check, prompt
        self.overriding: Row = {} if phantom is None else {"source_version": f"phantom-{phantom}"}
        facts = source.facts
        self.labels = _Labels(source.label_map())
        self.fine = _Labels(source.fine_map())
        self.masks = MaskReader(facts.mask) if facts.mask else None
        self.has_objects = facts.task in ("detection", "segmentation")
        self.constants: Row = {column.name: None for column in schema.columns(facts.task)}
        self.constants |= {"source": facts.name, "source_version": facts.version, "license": facts.license}
        self.constants |= facts.domain.model_dump()
        if self.has_objects:
            self.constants["classes_annotated"] = facts.classes_annotated and list(facts.classes_annotated)
        if facts.foreground:
            self.constants["foreground"] = list(facts.foreground)

    def make(self, ref: Ref) -> tuple[Row | None, list[Quarantined]]:
        """Row of a reference and what had to be withheld or repaired; the row is None where the image is lost.

        Raises:
            OSError: the file system failed as a whole.
        """
        found: list[Quarantined] = []
        try:
            sample = self.source.load(ref)
            picture = look(sample.image, self.check, with_thumbnail=True)
            row = self._row(ref, picture, sample.image)
            row["flags"] += sample.flags
            if sample.mask is not None:
                self._add_mask(row, ref, sample.mask, picture, found)
            if sample.objects is not None:
                row["objects"] = self._objects(ref, sample.objects, picture, row["flags"], found)
            found += [Quarantined(self.source.name, _beside(ref), ref.key, *problem) for problem in sample.problems]
            row.update(ref.about)
            row.update(self.overriding)
            if self.prompt:
                row.update(materialised(self.prompt, self.source.facts.task, row))
            return row, found
        except DefectError as defect:
            reason, detail = defect.reason, defect.detail
        except OSError as error:  # the file went away, or the disk cannot read it
            if error.errno in NOT_THE_FILE:
                raise
            is_mask = ref.mask is not None and error.filename == ref.mask.path
            reason, detail = f"unreadable_{'mask' if is_mask else 'image'}", error.strerror or str(error)
        is_beside = reason.endswith(("mask", "mask_size", "mask_values", "annotation"))
        file = _beside(ref) if is_beside else ref.image.name
        found.append(Quarantined(self.source.name, file, ref.key, reason, detail))
        return None, found

    def _row(self, ref: Ref, picture: Picture, original: bytes) -> Row:
        row = self.constants.copy()
        sample_id = f"{self.source.name}/{ref.key}"
        width, height = picture.size
        flags = list(ref.flags)
        if picture.data is not original:
            flags.append("reencoded")
        if picture.orientation != 1:
            flags.append("exif_rotated")
        row["sample_id"] = sample_id
        row["image"] = {"bytes": picture.data, "path": f"{sample_id.replace('/', '__')}.{picture.kind}"}
        row["width"], row["height"] = width, height
        row["source_file"] = ref.image.name
        row["encoding_source"] = picture.encoding_source
        row["sha256"] = hashlib.sha256(original).hexdigest()
        row["pixel_hash"] = picture.pixel_hash
        row["thumbnail"] = picture.thumbnail  # no column of the shards: goes to fingerprints/
        row["flags"] = flags
        row["split_upstream"], row["split_paper"] = ref.split_upstream, ref.split_paper
        if ref.group is not None:
            row["native_group"] = f"{self.source.facts.group_space}/{ref.group}"
        if ref.label_raw is not None:
            row["label"], row["label_raw"], row["label_relation"] = self.labels[ref.label_raw]
            row["label_scope"] = self.source.facts.label_scope
        if ref.label_fine_raw is not None:
            row["label_fine"] = self.fine[ref.label_fine_raw][0]
        if ref.attributes is not None:
            row["attributes"] = _attributes(ref.attributes)
        return row

    def _objects(self, ref: Ref, boxes: Boxes, picture: Picture, flags: list[str], found: list[Quarantined]) -> Structs:
        """Objects in the displayed frame; most pictures need nothing turned, cut or withheld."""
        numbers, words, frames = boxes.numbers, boxes.labels, list(boxes.frames())
        columns: dict[str, Sequence[Any]] = {"bbox": numbers}
        kept: Sequence[int] = range(len(words))
        shown = frames
        if picture.orientation != 1 and not ref.objects_shown:
            shown = [turn_box(box, *picture.stored, picture.orientation) for box in frames]
        strays = outside(shown, *picture.size)
        if strays or shown is not frames:
            fitted = {n: self._clip(ref, boxes[n], n, shown[n], picture, found) for n in strays}
            kept = [n for n in kept if fitted.get(n, shown[n])]
            held = [fitted.get(n) or shown[n] for n in kept]
            columns["bbox"] = array("d", chain.from_iterable(held))
            columns["bbox_raw"] = [None if box is frames[n] else frames[n] for n, box in zip(kept, held, strict=True)]
            if any(fitted.values()) and "bbox_clipped" not in flags:
                flags.append("bbox_clipped")
        said = boxes.flags
        if strays or said:
            every = [[*(said[n] if said else ()), *(("bbox_clipped",) if n in strays else ())] for n in kept]
            columns["flags"] = [each or None for each in every]
        known = [self.labels[words[n]] for n in kept]
        columns |= zip(("label", "label_raw", "label_relation"), zip(*known, strict=True), strict=False)
        if attributes := boxes.attributes:
            columns["attributes"] = [_attributes(attributes[n]) for n in kept]
        if ratings := boxes.ratings:
            columns["ratings"] = [self._ratings(ratings[n]) for n in kept]
        if source_ids := boxes.source_ids:
            columns["source_id"] = [source_ids[n] for n in kept]
        return Structs(len(kept), columns)

    def _ratings(self, ratings: tuple[Rating, ...]) -> list[Row] | None:
        return [{"rater": rater, "raw": word, "label": self.labels[word][0]} for rater, word in ratings] or None

    def _clip(
        self, ref: Ref, box: Box, number: int, turned: XYWH, picture: Picture, found: list[Quarantined]
    ) -> XYWH | None:
        """Cut a box that reaches over the border no more than declared, withhold any other; either is reported."""
        bbox, trouble = fit_box(turned, *picture.size, self.source.facts.overhang)
        record = f"{ref.key} {box.label_raw} box {box.source_id or number + 1}"
        x, y, w, h = box.xywh
        detail = f"[{x:g}, {y:g}, {w:g}, {h:g}] x, y, w, h in an image of {picture.size[0]} x {picture.size[1]}"
        found.append(Quarantined(self.source.name, ref.image.name, record, trouble, detail))
        return bbox

    def _add_mask(self, row: Row, ref: Ref, data: bytes, picture: Picture, found: list[Quarantined]) -> None:
        assert self.masks and ref.mask, "a source with masks declares [mask]"
        mask = self.masks.read(data, picture.stored, picture.orientation)
        row["mask"] = {"bytes": mask.png, "path": row["image"]["path"].rpartition(".")[0] + "__mask.png"}
        row["mask_classes"] = self.masks.classes(mask)
        if mask.snapped:
            row["flags"].append("mask_snapped")
            values = ", ".join(map(str, mask.stray))
            detail = f"{mask.snapped} pixels with value {values}"
            found.append(Quarantined(self.source.name, ref.mask.name, ref.key, "stray_mask_values", detail))


class _Labels(dict[str | None, tuple[str | None, str | None, str | None]]):
    """Raw label -> (node, raw label, relation), each spelling resolved once; no label is three nulls."""

    def __init__(self, labels: LabelMap) -> None:
        super().__init__({None: (None, None, None)})
        self._map = labels

    def __missing__(self, raw: str) -> tuple[str | None, str | None, str | None]:
        label = self._map.resolve(raw)
        self[raw] = label.node, raw, label.relation
        return self[raw]


def _beside(ref: Ref) -> str:
    """Name of the file that annotates a picture by pixels."""
    return (ref.mask or ref.image).name


def _attributes(attributes: tuple[Attribute, ...]) -> list[Row]:
    return [{"name": name, "value": value, "value_raw": raw} for name, value, raw in attributes]
