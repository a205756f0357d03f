"""The Uni-Hema authors' JSON: COCO-like, all tasks in one page, the task told by the keys of an annotation.

Keys, class numbers and wording are those of their released code (research/reference-model.md, section 4).
"""

from io import BytesIO
from itertools import count
from typing import Any

import numpy as np
from PIL import Image

from hemadata import prompts, schema
from hemadata.export.format import SPLIT_NAMES, Format, Writer, flagged, image_name, said
from hemadata.export.page import JsonPage
from hemadata.formats.pictures import open_picture
from hemadata.ontology import View
from hemadata.regions import REGIONS

MISSING = 4  # of an attribute that nobody judged
# key of the authors -> (attribute of the corpus, value of code 0, of code 1)
MORPHOLOGY = {
    "nuclear_chromatio": ("nuclear_chromatin", "open", "coarse"),  # sic
    "nuclear_shape": ("nuclear_shape", "regular", "irregular"),
    "nucleolus": ("nucleolus", "inconspicuous", "prominent"),
    "cytoplasm": ("cytoplasm", "scanty", "abundant"),
    "cytoplasmic_basophilia": ("cytoplasmic_basophilia", "slight", "moderate"),
    "cytoplasmic_vacuoles": ("cytoplasmic_vacuoles", "absent", "prominent"),
}
ON_IMAGE = ("sample_id", "source", "license", "width", "height")
TEXT_CATEGORY = 1  # their converter gives it to every question and sentence
DETECTION, CLASSIFICATION = "uni_hema_det_30", "uni_hema_45"


class UniHemaWriter(Writer):
    """One page per split. An image entry is repeated for each of its questions: their reader keeps one each."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._detection, self._classification = self.opened.view(DETECTION), self.opened.view(CLASSIFICATION)
        self._pages: dict[str, JsonPage] = {}
        self._image_ids, self._ids = count(1), count(1)

    def add(self, row: dict[str, Any], stem: str) -> str | None:
        """Write the image, an entry per question or one, and its annotations."""
        entries, trouble = self._entries(row, stem)
        if not entries:
            return trouble
        split, name = SPLIT_NAMES[row["split"]], image_name(row, stem)
        if split not in self._pages:
            self._pages[split] = JsonPage(self.path(f"{split}.json"), self.open_files)
        page = self._pages[split]
        self.save(f"images/{name}", row["image"]["bytes"])
        on_image = {"file_name": name} | {column: row[column] for column in ON_IMAGE}
        is_text = row["task"] in ("vqa", "mlm")
        for number, entry in enumerate(entries):
            if is_text or not number:
                image_id = next(self._image_ids)
                page.add("images", {"id": image_id} | on_image)
            page.add("annotations", {"id": next(self._ids), "image_id": image_id} | entry)
        return None

    def finish(self) -> None:
        """Write the pages. Both heads number from their own list, so the page carries both."""
        for page in self._pages.values():
            page.finish(
                info=self.about,
                categories=_categories(self._detection),
                categories_classification=_categories(self._classification),
            )

    def _entries(self, row: dict[str, Any], stem: str) -> tuple[list[dict[str, Any]], str]:
        """Annotations of a row; where there is none, why."""
        task, disease = row["task"], prompts.spelled(row["disease"])
        if task == "detection":
            found = [self._object(row, entry, disease) for entry in row["objects"] or ()]
            return [
                entry for entry in found if entry
            ], f"no box of a class of {DETECTION}: their training cannot take it"
        if task == "segmentation":
            if row["mask"] is None:
                return [], "its source publishes no mask"
            name = f"masks/{stem}.png"
            self.save(name, _binary(row["mask"]["bytes"], row["foreground"] or ()))
            return [{"category_id": 1, "mask_name": name, "prompt": disease}], ""
        if task == "vqa":
            pairs = [(q["question"], q["answer"]) for q in row["qa"] or () if q["question"] and q["answer"]]
            asked = [{"task": "QA", "Question": f"Q: {question}", "Answer": answer} for question, answer in pairs]
            return [{"category_id": TEXT_CATEGORY} | entry for entry in asked], "no question with an answer"
        if task == "mlm":
            texts = [(t["masked_text"], t["text"]) for t in row["texts"] or () if t["masked_text"] and t["text"]]
            told = [{"masked_comment": masked, "completed_text": text} for masked, text in texts]
            return [{"category_id": TEXT_CATEGORY} | entry for entry in told], "no masked sentence"
        number = self._classification.id(row["source"], row["label_raw"], row["label"])
        if number is None:
            return [], f"label outside {CLASSIFICATION}"
        name = self._classification.classes[number]
        return [{"category_id": number, "class_name": name} | said({"label_raw": row["label_raw"]})], ""

    def _object(self, row: dict[str, Any], entry: dict[str, Any], disease: str) -> dict[str, Any] | None:
        number = self._detection.id(row["source"], entry["label_raw"], entry["label"])
        if number is None:
            self.notes[f"boxes outside {DETECTION} are left out"] += 1
            return None
        _, _, width, height = entry["bbox"]
        geometry = {"bbox": entry["bbox"], "area": width * height, "iscrowd": int(flagged(entry, "crowd"))}
        about = {"prompt": disease} | said({"label_raw": entry["label_raw"], "label": entry["label"]})
        return {"category_id": number} | geometry | about | _morphology(entry["attributes"])


def _morphology(attributes: list[dict[str, Any]] | None) -> dict[str, int]:
    """The six codes; none of them where no attribute was judged, which their reader takes for all missing."""
    judged: dict[str, Any] = {attribute["name"]: attribute["value"] for attribute in attributes or ()}
    codes = {key: {zero: 0, one: 1}.get(judged.get(name, ""), MISSING) for key, (name, zero, one) in MORPHOLOGY.items()}
    return codes if set(codes.values()) != {MISSING} else {}


def _binary(mask: bytes, foreground: list[str] | tuple[()]) -> bytes:
    """Palette mask -> grey PNG: 255 on the source's foreground, else 0."""
    values = np.asarray(open_picture(mask, "unreadable_mask"))
    grey = np.where(np.isin(values, [REGIONS[name].value for name in foreground]), 255, 0).astype(np.uint8)
    out = BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()


def _categories(view: View) -> list[dict[str, Any]]:
    return [{"id": number, "name": name} for number, name in enumerate(view.classes)]


FORMAT = Format(
    name="unihema-json",
    summary="The JSON that the Uni-Hema authors' released code reads: the task is told by the keys of an annotation, "
    "classes are numbered as in their two heads (30 for boxes, 45 for cells). Masks become grey images of the source's "
    "foreground, 0 and 255. Images that their training cannot take (no box, a label outside the heads) are left out "
    "and counted, boxes outside the 30 classes too.",
    layout="<split>.json  images/<image>  masks/<image>.png",
    tasks=schema.TASKS,
    places={
        "image.bytes": "`images/`, untouched",
        "split": "name of the page: train, val, test",
        "disease": "`annotations[].prompt`, as prompts spell it (boxes and masks)",
        "mask.bytes": "`masks/`, foreground against the rest",
        "label": "`class_name` and `category_id`: the class of the 45",
        "label_raw": "`annotations[].label_raw` (classification)",
        "objects.bbox": "`annotations[].bbox`",
        "objects.label": "`annotations[].label`; `category_id` is the class of the 30",
        "objects.label_raw": "`annotations[].label_raw`",
        "objects.attributes": "six attributes of LeukemiaAttri as 0 and 1; 4 where not judged",
        "qa.question": "`Question`, after `Q: `",
        "qa.answer": "`Answer`",
        "texts.masked_text": "`masked_comment`",
        "texts.text": "`completed_text`",
    }
    | {name: f"`images[].{name}`" for name in ON_IMAGE},
    writer=UniHemaWriter,
)
