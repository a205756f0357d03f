"""EXIF orientation: boxes, masks and sizes are those of the frame that `datasets` decodes, seen in the pixels."""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import hemadata
import numpy as np
import pytest
from hemadata import sources
from hemadata.audit.contract import check
from hemadata.build import Options, build
from hemadata.build.images import Check, look
from hemadata.formats import voc
from hemadata.phantom import jpeg_bytes
from PIL import ExifTags, Image

WIDTH, HEIGHT = 96, 64  # of the stored frame
# Colour -> box in the stored frame, x, y, w, h; far from square and from the middle, so that no turn goes unseen.
MARKS = {"RBC": (8, 8, 24, 16), "WBC": (56, 8, 32, 8), "Platelets": (16, 40, 8, 16)}
COLOURS = {"RBC": (230, 30, 30), "WBC": (30, 200, 30), "Platelets": (40, 40, 230)}
ORIENTATIONS = range(1, 9)
WBC = "white-blood-cell-dataset"


def painted() -> Image.Image:
    pixels = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    for name, (x, y, w, h) in MARKS.items():
        pixels[y : y + h, x : x + w] = COLOURS[name]
    return Image.fromarray(pixels)


def nucleus() -> np.ndarray:
    """Mask of the WBC mark, stored frame."""
    x, y, w, h = MARKS["WBC"]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + h, x : x + w] = 255
    return mask


def name(orientation: int) -> str:
    return f"turned_{orientation}"


@pytest.fixture(scope="module", params=["full", "header", "none"])
def turned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both layouts, one picture for each orientation, built."""
    folder = tmp_path_factory.mktemp(f"exif-{request.param}")
    boxes, pairs = folder / "raw" / "bccd" / "BCCD", folder / "raw" / WBC
    places = [boxes / "JPEGImages", boxes / "Annotations", pairs / "BloodImageSetS6NucSeg"]
    images, pages, fields = places
    masks = pairs / "BloodImageSetS6NucSeg_masks"
    for place in (*places, masks):
        place.mkdir(parents=True)
    for orientation in ORIENTATIONS:
        data = jpeg_bytes(painted(), quality=95, orientation=orientation)
        (images / f"{name(orientation)}.jpg").write_bytes(data)
        (fields / f"{name(orientation)}.jpg").write_bytes(data)
        corners = [(word, (x + 1, y + 1, x + w, y + h)) for word, (x, y, w, h) in MARKS.items()]
        (pages / f"{name(orientation)}.xml").write_text(voc.page("x.jpg", (WIDTH, HEIGHT), corners))
        Image.fromarray(nucleus()).save(masks / f"{name(orientation)}.png")
    # A mask may also be drawn on the picture as displayed.
    upright = Image.fromarray(nucleus()).transpose(Image.Transpose.ROTATE_270)
    (fields / "displayed_6.jpg").write_bytes(jpeg_bytes(painted(), quality=95, orientation=6))
    upright.save(masks / "displayed_6.png")
    results = build(["bccd", WBC], folder / "raw", folder / "corpus", Options(check=request.param))
    assert [(r.error, r.quarantine) for r in results] == [(None, []), (None, [])]
    assert check(folder / "corpus").findings == []
    return folder / "corpus"


@pytest.fixture(scope="module")
def decoded(turned: Path) -> dict[str, dict[str, dict]]:
    """config -> sample name -> row as `datasets` decodes it."""
    datasets = pytest.importorskip("datasets")

    def rows(config: str) -> Iterator[dict]:
        for part in datasets.load_dataset(str(turned), config, streaming=True).values():
            yield from part

    return {
        task: {row["sample_id"].partition("/")[2]: row for row in rows(task)} for task in ("detection", "segmentation")
    }


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_boxes_lie_on_the_painted_pixels(orientation: int, decoded: dict[str, dict[str, dict]]) -> None:
    row = decoded["detection"][name(orientation)]
    pixels = np.asarray(row["image"].convert("RGB")).astype(int)
    assert pixels.shape[:2] == (row["height"], row["width"])
    assert (row["width"], row["height"]) == ((HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT))
    assert row["flags"] == ([] if orientation == 1 else ["exif_rotated"])
    assert [entry["label_raw"] for entry in row["objects"]] == list(MARKS)
    for entry in row["objects"]:
        x, y, w, h = map(int, entry["bbox"])
        assert [x, y, w, h] == entry["bbox"]
        colour = np.array(COLOURS[entry["label_raw"]])
        # The whole box, corners included, has the colour (JPEG blurs it a little); two pixels beyond each edge has not.
        assert np.abs(pixels[y : y + h, x : x + w] - colour).max() < 90
        outside = [pixels[y - 2, x], pixels[y, x - 2], pixels[y + h + 1, x + w - 1], pixels[y + h - 1, x + w + 1]]
        assert all(np.abs(pixel - colour).max() > 100 for pixel in outside)
        stored = list(map(float, MARKS[entry["label_raw"]]))
        assert entry["bbox_raw"] == (None if orientation == 1 else stored)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_masks_lie_on_the_painted_pixels(orientation: int, decoded: dict[str, dict[str, dict]]) -> None:
    _check_mask(decoded["segmentation"][name(orientation)], orientation)


def test_mask_of_the_displayed_frame_is_left_as_it_is(decoded: dict[str, dict[str, dict]]) -> None:
    _check_mask(decoded["segmentation"]["displayed_6"], 6)


def _check_mask(row: dict, orientation: int) -> None:
    pixels, mask = np.asarray(row["image"].convert("RGB")).astype(int), np.asarray(row["mask"])
    assert pixels.shape[:2] == mask.shape == (row["height"], row["width"])
    assert ("exif_rotated" in row["flags"]) == (orientation != 1)
    green = np.abs(pixels - np.array(COLOURS["WBC"])).max(axis=2) < 90
    assert np.array_equal(mask == 2, green)
    assert int(green.sum()) == MARKS["WBC"][2] * MARKS["WBC"][3]


def test_jpeg_bytes_stay_as_they_are(turned: Path) -> None:
    raw = turned.parent / "raw" / "bccd" / "BCCD" / "JPEGImages"
    with hemadata.open(turned) as corpus:
        for orientation in ORIENTATIONS:
            data = (raw / f"{name(orientation)}.jpg").read_bytes()
            assert corpus.image(f"bccd/{name(orientation)}") == data


# Other carriers of an orientation: look() must say what `datasets` decodes.


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = orientation
    return block


def saved(form: str, orientation: int, **options: object) -> bytes:
    out = BytesIO()
    painted().save(out, form, exif=exif(orientation), **options)
    return out.getvalue()


def late_exif(data: bytes) -> bytes:
    """Move eXIf behind the pixels, where the PNG specification allows it too."""
    start = data.index(b"eXIf") - 4
    (length,) = struct.unpack_from(">I", data, start)
    block = data[start : start + 12 + length]
    rest = data.replace(block, b"")
    return rest[:-12] + block + rest[-12:]


def xmp(orientation: int) -> bytes:
    """JPEG whose orientation stands in XMP alone."""
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    out = BytesIO()
    painted().save(out, "JPEG", xmp=packet.encode())
    return out.getvalue()


FORMS = {
    "png": lambda o: saved("PNG", o),
    "png, eXIf behind the pixels": lambda o: late_exif(saved("PNG", o)),
    "webp": lambda o: saved("WEBP", o, lossless=True),
    "tiff": lambda o: saved("TIFF", o),
    "tiff, compressed": lambda o: saved("TIFF", o, compression="tiff_deflate"),
    "jpeg": lambda o: saved("JPEG", o),
    "jpeg, xmp": xmp,
}


@pytest.mark.parametrize("depth", ["none", "header", "full"])
@pytest.mark.parametrize("form", FORMS)
def test_look_sees_what_datasets_decodes(form: str, depth: Check) -> None:
    datasets = pytest.importorskip("datasets")
    for orientation in ORIENTATIONS:
        data = FORMS[form](orientation)
        picture = look(data, depth)
        shown = datasets.Image().decode_example({"bytes": picture.data, "path": None})
        assert picture.size == shown.size == ((HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT))
        assert (picture.stored, picture.orientation) == ((WIDTH, HEIGHT), orientation)
        assert picture.data is data or form.startswith("tiff")
        original = datasets.Image().decode_example({"bytes": data, "path": None})
        assert np.array_equal(np.asarray(shown), np.asarray(original))


def test_equal_pictures_have_equal_hashes_whatever_carries_them() -> None:
    """Turned by EXIF or by hand, as PNG, TIFF, BMP or WebP: one displayed picture, one pixel_hash."""
    for orientation in ORIENTATIONS:
        plain, out = BytesIO(), BytesIO()
        shown = Image.open(BytesIO(saved("TIFF", orientation)))
        shown.load()
        Image.fromarray(np.asarray(shown)).save(plain, "BMP")
        Image.fromarray(np.asarray(shown)).convert("RGBA").save(out, "PNG")
        files = [plain.getvalue(), out.getvalue(), saved("PNG", orientation), saved("TIFF", orientation)]
        files.append(saved("WEBP", orientation, lossless=True))
        assert len({look(data, "full").pixel_hash for data in files}) == 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_is_told_or_ignored_but_never_guessed(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    sources.get("bccd").draw(raw, 3, 0)
    path = raw / "bccd" / "BCCD" / "JPEGImages" / "BloodImage_00001.jpg"
    data = jpeg_bytes(Image.open(path), orientation=6)
    start = data.index(b"Exif\0\0") + 6
    path.write_bytes(data[: start + 4] + b"\xff\xff\xff\xff" + data[start + 8 :])
    (result,) = build(["bccd"], raw, tmp_path / "c")
    datasets = pytest.importorskip("datasets")
    with hemadata.open(tmp_path / "c") as corpus:
        rows = {row["sample_id"]: row for row in corpus.rows("detection")}
    if row := rows.get("bccd/BloodImage_00001"):
        shown = datasets.Image().decode_example(row["image"])
        assert shown.size == (row["width"], row["height"])
    else:
        assert [e.file for e in result.quarantine if e.severity == "lost"] == ["BCCD/JPEGImages/BloodImage_00001.jpg"]
    assert result.images >= 2
