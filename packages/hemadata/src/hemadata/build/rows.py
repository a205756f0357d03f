"""One reference of the plan -> one row of the corpus, or the reason why there is none."""

import hashlib
from typing import Any

from hemadata import schema
from hemadata.build.images import Check, Picture, look
from hemadata.build.masks import MaskReader
from hemadata.errors import DefectError
from hemadata.formats.boxes import Attribute, Box
from hemadata.geometry import fit_box, turn_box
from hemadata.labels import LabelMap
from hemadata.prompts import Template, materialised
from hemadata.quarantine import Quarantined
from hemadata.sources.base import Ref, Source

Row = dict[str, Any]


class RowMaker:
    """Makes the rows of one source.

    Args:
        source: facts and loader.
        check: how deeply images are looked at.
        prompt: template to render into `prompt`; None leaves the columns null.
    """

    def __init__(self, source: Source, check: Check, prompt: Template | None = None) -> None:
        self.source, self.check, self.prompt = source, check, prompt
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
        """Row of a reference and what had to be withheld or repaired; the row is None where the image is lost."""
        found: list[Quarantined] = []
        try:
            sample = self.source.load(ref)
            picture = look(sample.image, self.check)
            row = self._row(ref, picture, sample.image)
            if sample.mask is not None:
                self._add_mask(row, ref, sample.mask, picture, found)
            if sample.objects is not None:
                row["objects"] = self._objects(ref, sample.objects, picture, row["flags"], found)
            row.update(ref.about)
            if self.prompt:
                row.update(materialised(self.prompt, self.source.facts.task, row))
            return row, found
        except DefectError as defect:
            reason, detail = defect.reason, defect.detail
        except OSError as error:  # the file went away, or the disk cannot read it
            reason, detail = "unreadable_image", error.strerror or str(error)
        file = ref.mask if ref.mask and reason.endswith(("mask", "mask_size", "mask_values")) else ref.image
        found.append(Quarantined(self.source.name, file.name, ref.key, reason, detail))
        return None, found

    def _row(self, ref: Ref, picture: Picture, original: bytes) -> Row:
        row = self.constants.copy()
        sample_id = f"{self.source.name}/{ref.key}"
        width, height = picture.size
        flags = ["reencoded"] if picture.data is not original else []
        if picture.orientation != 1:
            flags.append("exif_rotated")
        row["sample_id"] = sample_id
        row["image"] = {"bytes": picture.data, "path": f"{sample_id.replace('/', '__')}.{picture.kind}"}
        row["width"], row["height"] = width, height
        row["source_file"] = ref.image.name
        row["encoding_source"] = picture.encoding_source
        row["sha256"] = hashlib.sha256(original).hexdigest()
        row["pixel_hash"] = picture.pixel_hash
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

    def _objects(
        self, ref: Ref, boxes: tuple[Box, ...], picture: Picture, flags: list[str], found: list[Quarantined]
    ) -> list[Row]:
        stored_width, stored_height = picture.stored
        (width, height), orientation = picture.size, picture.orientation
        overhang = self.source.facts.overhang
        objects = []
        for number, box in enumerate(boxes):
            turned = turn_box(box.xywh, stored_width, stored_height, orientation) if orientation != 1 else box.xywh
            bbox, trouble = fit_box(turned, width, height, overhang)
            if trouble:
                record = f"{ref.key} {box.label_raw} box {box.source_id or number + 1}"
                detail = f"[{', '.join(f'{v:g}' for v in box.xywh)}] x, y, w, h in an image of {width} x {height}"
                found.append(Quarantined(self.source.name, ref.image.name, record, trouble, detail))
                if bbox is None:
                    continue
                if "bbox_clipped" not in flags:
                    flags.append("bbox_clipped")
            label, label_raw, relation = self.labels[box.label_raw] if box.label_raw is not None else (None, None, None)
            objects.append(
                {
                    "bbox": bbox,
                    "bbox_raw": None if bbox == box.xywh else box.xywh,
                    "label": label,
                    "label_raw": label_raw,
                    "label_relation": relation,
                    "attributes": _attributes(box.attributes) if box.attributes else None,
                    "ratings": None,
                    "rle": None,
                    "source_id": box.source_id,
                    "flags": ["bbox_clipped"] if trouble else None,
                }
            )
        return objects

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


class _Labels(dict[str, tuple[str | None, str, str]]):
    """Raw label -> (node, raw label, relation), each spelling resolved once."""

    def __init__(self, labels: LabelMap) -> None:
        super().__init__()
        self._map = labels

    def __missing__(self, raw: str) -> tuple[str | None, str, str]:
        label = self._map.resolve(raw)
        self[raw] = label.node, raw, label.relation
        return self[raw]


def _attributes(attributes: tuple[Attribute, ...]) -> list[Row]:
    return [{"name": name, "value": value, "value_raw": raw} for name, value, raw in attributes]
