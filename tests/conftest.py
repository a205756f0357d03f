"""Shared fixtures: the real raw data, where they are, and corpora built from phantoms."""

import os
from pathlib import Path

import pytest
from hemadata.build import Options, build
from hypothesis import HealthCheck, settings

HERE = Path(__file__).resolve()

# No test depends on the speed of the machine, none on chance.
settings.register_profile("hema", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hema")


@pytest.fixture(scope="session")
def raw_root() -> Path:
    """Folder with real raw data; tests that need it are skipped where it is absent."""
    root = Path(os.environ.get("HEMA_RAW", HERE.parents[2] / "shared" / "raw"))
    if not root.is_dir():
        pytest.skip(f"no real raw data in {root}; set HEMA_RAW to a folder with bccd, acevedo, ...")
    return root


@pytest.fixture(scope="session")
def phantom_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus with every task that has a source, from phantoms."""
    out = tmp_path_factory.mktemp("phantom") / "corpus"
    results = build(
        ["bccd", "wbc-image-dataset", "raabin", "wbcatt", "wbcatt-vqa"], Path("nowhere"), out, Options(phantom=24)
    )
    assert not [result.error for result in results if result.error]
    return out
