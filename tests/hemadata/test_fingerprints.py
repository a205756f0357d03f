"""Fingerprints: made from decoded pixels, equal under the eight turns, and searched as the slow reference does."""

from io import BytesIO

import numpy as np
import pytest
from hemadata.audit import candidates, fingerprints
from hemadata.audit.confirm import confirm, turn_grid
from hemadata.audit.duplicates import CELLS, FIELDS
from hemadata.build.images import decoded, look
from hemadata.build.thumbnail import SIDE
from hemadata.phantom import Smear, bmp_bytes, jpeg_bytes, png_bytes
from PIL import Image, ImageEnhance


def thumbnails(count: int, seed: int = 0) -> np.ndarray:
    """Pictures whose amplitude falls with frequency, as in nature."""
    chance = np.random.default_rng(seed)
    u, v = np.mgrid[:SIDE, :SIDE]
    table = np.cos(np.pi * (np.arange(SIDE)[None] + 0.5) * np.arange(SIDE)[:, None] / SIDE)
    waves = chance.standard_normal((count, SIDE, SIDE)) * (6 / np.maximum(np.hypot(u, v), 1))
    return np.clip(table.T @ waves @ table + 128, 0, 255).astype(np.uint8)


def copies(originals: np.ndarray, seed: int = 1) -> np.ndarray:
    """Turned, darker or brighter, noisy."""
    chance = np.random.default_rng(seed)
    made = [turn_grid(grey.astype(float), n % 8) * chance.uniform(0.8, 1.1) for n, grey in enumerate(originals)]
    return np.clip(np.array(made) + chance.normal(0, 1.5, originals.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("turn", range(8))
def test_turned_spectrum_is_the_spectrum_of_the_turned_picture(turn: int) -> None:
    pictures = thumbnails(5)
    turned = np.array([turn_grid(grey, turn) for grey in pictures])
    plain = fingerprints.spectra(pictures).astype(np.float32)
    assert fingerprints.turned(plain, turn) == pytest.approx(fingerprints.spectra(turned).astype(np.float32), abs=2e-3)
    back = fingerprints.turned(fingerprints.turned(plain, turn), int(fingerprints.INVERSE[turn]))
    assert (back == plain).all()


def test_spectra_do_not_know_brightness_contrast_or_block() -> None:
    pictures = thumbnails(7)
    plain = fingerprints.spectra(pictures).astype(np.float32)
    paler = fingerprints.spectra((pictures // 2 + 60).astype(np.uint8)).astype(np.float32)
    assert np.einsum("ij,ij->i", plain, paler).min() > 0.99
    assert (fingerprints.spectra(pictures, block=2) == fingerprints.spectra(pictures)).all()
    assert not fingerprints.spectra(np.full((1, SIDE, SIDE), 200, np.uint8)).any(), "a blank picture shows nothing"


def admitted(spectrum: np.ndarray, pairs: candidates.Pairs) -> set[tuple[int, int, int]]:
    a, b, turn = pairs
    good = CELLS.admits(*fingerprints.correlate(spectrum, a, b, turn))
    return set(zip(a[good].tolist(), b[good].tolist(), turn[good].tolist(), strict=True))


def test_hash_search_finds_what_comparing_every_pair_finds() -> None:
    originals = thumbnails(120)
    spectrum = fingerprints.spectra(np.concatenate([originals, copies(originals), np.zeros_like(originals[:3])]))
    pairs, crowded = candidates.by_hash(spectrum)
    expected = admitted(spectrum, candidates.every_pair(spectrum))
    assert admitted(spectrum, pairs) == expected and crowded == 0
    assert {(a, b) for a, b, _ in expected} == {(n, n + 120) for n in range(120)}
    few = admitted(spectrum, candidates.by_hash(spectrum, length=23)[0])
    assert len(few) >= 0.9 * len(expected), "with the key length of 700,000 images"


def test_search_of_fields_is_every_pair_above_its_score() -> None:
    originals = thumbnails(40)
    spectrum = fingerprints.spectra(np.concatenate([originals, copies(originals)]))
    chosen = np.arange(1, 80, 2)
    found = set(zip(*(column.tolist() for column in candidates.by_correlation(spectrum, chosen, block=7)), strict=True))
    band = fingerprints.terms().band(fingerprints.COARSE)
    for a, b, turn in zip(*(column.tolist() for column in candidates.every_pair(spectrum)), strict=True):
        first = spectrum[a, band].astype(np.float64)
        second = fingerprints.turned(spectrum[b], turn)[band].astype(np.float64)
        score = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        if a % 2 and b % 2 and abs(score - candidates.FIELD_SCORE) > 1e-3:
            assert ((a, b, turn) in found) == (score > candidates.FIELD_SCORE)


def test_look_alikes_are_told_apart_and_copies_among_them_found() -> None:
    """500 pictures of one coarse structure share every short key: longer keys part them."""
    alike = thumbnails(500).astype(float)
    table = np.cos(np.pi * (np.arange(SIDE)[None] + 0.5) * np.arange(SIDE)[:, None] / SIDE)
    inverse = np.linalg.inv(table)
    waves = inverse.T @ (alike - 128) @ inverse
    coarse = np.hypot(*np.mgrid[:SIDE, :SIDE]) < 14
    waves[:, coarse] = waves[0, coarse]
    alike = np.clip(table.T @ waves @ table + 128, 0, 255).astype(np.uint8)
    spectrum = fingerprints.spectra(np.concatenate([alike, copies(alike[:50])]))
    found = admitted(spectrum, candidates.by_hash(spectrum)[0])
    true = {(n, n + 500) for n in range(50)}
    assert {(a, b) for a, b, _ in found} <= true and len(found) >= 45


def test_crowd_is_compared_with_neighbours_and_counted() -> None:
    same = np.repeat(thumbnails(1), 200, axis=0)
    pairs, crowded = candidates.by_hash(fingerprints.spectra(same), crowd=16)
    assert crowded > 0 and len(pairs[0]) >= 199, "enough pairs to join them all"


def test_thumbnail_of_the_decode_pass_is_that_of_the_decoded_image() -> None:
    cell = Smear(0, (360, 363)).single_cell(0, "neutrophil").image
    for data in (jpeg_bytes(cell), png_bytes(cell), bmp_bytes(cell), png_bytes(cell.convert("L"))):
        picture = look(data, "full", with_thumbnail=True)
        assert picture.thumbnail is not None and len(picture.thumbnail) == SIDE * SIDE
        assert fingerprints.to_array([picture.thumbnail]).std() > fingerprints.BLANK
        assert look(data, "full").thumbnail is None and look(data, "header", with_thumbnail=True).thumbnail is None
        assert look(data, "full").pixel_hash == picture.pixel_hash
        assert decoded(data).shape[:2] == (363, 360)
    deep = Image.fromarray(np.asarray(cell.convert("L")).astype(np.uint16) * 200)
    small = look(png_bytes(deep), "full", with_thumbnail=True).thumbnail
    assert small and fingerprints.to_array([small]).std() > fingerprints.BLANK, "16 bits do not become all white"


def altered(image: Image.Image, turn: Image.Transpose) -> Image.Image:
    small = image.resize((image.width * 6 // 10, image.height * 6 // 10), Image.Resampling.BICUBIC)
    return ImageEnhance.Contrast(ImageEnhance.Brightness(small).enhance(0.85)).enhance(1.1).transpose(turn)


@pytest.mark.parametrize("limit", [CELLS, FIELDS])
def test_second_test_knows_copies_from_other_cells(limit: object) -> None:
    is_field = limit is FIELDS
    smear = Smear(3, (640, 480) if is_field else (300, 300))
    count = {"red_blood_cell": 20, "neutrophil": 1}
    images = [smear.field(n, count).image if is_field else smear.single_cell(n, "lymphocyte").image for n in range(6)]
    plain = [jpeg_bytes(image) for image in images]
    assert isinstance(limit, type(CELLS))
    for n, image in enumerate(images):
        copy = BytesIO()
        altered(image, Image.Transpose.ROTATE_90).save(copy, "JPEG", quality=60)
        scores = [max(confirm(data, copy.getvalue(), turn) for turn in range(8)) for data in plain]
        assert scores.pop(n) >= limit.confirmed
        assert max(scores) < limit.confirmed


def test_few_pictures_are_all_compared_and_many_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    originals = thumbnails(30)
    spectrum = fingerprints.spectra(np.concatenate([originals, copies(originals), np.zeros_like(originals[:3])]))
    pairs = candidates.among_few(spectrum)
    assert admitted(spectrum, pairs) == admitted(spectrum, candidates.every_pair(spectrum))
    assert fingerprints.correlate(spectrum, *pairs)[1].min() >= candidates.CLOSE - 1e-2
    monkeypatch.setattr(candidates, "FEW", 59)
    assert not len(candidates.among_few(spectrum)[0])
