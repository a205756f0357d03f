"""Rules of the house: which package may import which, how long a file may be, what the text may not hold."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hemadata
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "packages"
MODULES = sorted(PACKAGES.glob("*/src/**/*.py"))


def imports(path: Path) -> Iterator[str]:
    """Absolute names of everything that a file imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offenders(folder: str, *forbidden: str) -> list[str]:
    found = sorted((PACKAGES / folder).rglob("*.py")) if (PACKAGES / folder).is_dir() else [PACKAGES / folder]
    assert found, folder
    return [
        f"{path.relative_to(PACKAGES)} imports {name}"
        for path in found
        for name in imports(path)
        if any(name == word or name.startswith(f"{word}.") for word in forbidden)
    ]


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("hemadata/src/hemadata/formats", ("hemadata.sources", "hemadata.build", "hemadata.audit", "hemadata.corpus")),
        (
            "hemadata/src/hemadata/sources",
            (
                "hemadata.build",
                "hemadata.audit",
                "hemadata.corpus",
                "hemadata.report",
                "hemadata.fetch",
                "hemadata.cli",
            ),
        ),
        ("hemadata/src/hemadata/phantom", ("hemadata.sources", "hemadata.build", "hemadata.formats")),
        ("hemadata/src/hemadata/ontology", ("hemadata.sources", "hemadata.build", "hemadata.formats", "pyarrow")),
        ("hemadata/src/hemadata/schema.py", ("hemadata",)),
        ("hemadata/src", ("hemasynth", "hemamodel", "torch", "transformers", "vllm")),
        ("hemasynth/src", ("pyarrow.parquet", "hemamodel")),
        ("hemamodel/src", ("pyarrow.parquet", "hemasynth")),
    ],
)
def test_arrows_point_one_way(folder: str, forbidden: tuple[str, ...]) -> None:
    assert offenders(folder, *forbidden) == []


def test_only_the_engines_of_hemasynth_know_torch_and_each_when_it_is_asked() -> None:
    found = offenders("hemasynth/src", "torch", "transformers", "vllm")
    assert found and all(line.startswith("hemasynth/src/hemasynth/") for line in found)
    outside = [line for line in found if "/engines/" not in line]
    assert [line for line in outside if "torch" in line or "vllm" in line] == []
    for path in (PACKAGES / "hemasynth/src").rglob("*.py"):
        top = [
            node
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = {getattr(node, "module", None) or node.names[0].name for node in top}
        assert not [name for name in names if name.split(".")[0] in ("torch", "transformers", "vllm")], path


def test_engine_knows_no_source_by_name() -> None:
    slugs = {page.stem for page in (PACKAGES / "hemadata/src/hemadata/sources").glob("*.toml")}
    for folder in ("build", "formats", "audit", "export", "hub"):
        for path in (PACKAGES / "hemadata/src/hemadata" / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert not (isinstance(node, ast.Constant) and node.value in slugs), f"{path} names {node.value}"


def test_files_are_short_enough_to_read() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8").count("\n") for path in PACKAGES.rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > 400 and ".venv" not in name} == {}


def test_every_module_says_what_it_is() -> None:
    assert [
        str(path) for path in MODULES if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ] == []


def tracked() -> Iterator[tuple[str, str]]:
    """Name and text of every file that is committed or about to be; the lock as committed: tools rewrite the copy."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in sorted(filter(None, listed.stdout.decode().split("\0"))):
        path = ROOT / name
        if name == "uv.lock":
            lock = subprocess.run(["git", "show", "HEAD:uv.lock"], cwd=ROOT, capture_output=True, check=True)
            yield name, lock.stdout.decode()
        elif path.is_file() and b"\0" not in (data := path.read_bytes())[:8000]:
            yield name, data.decode("utf-8")


def test_no_text_names_a_package_registry() -> None:
    hosts = [("py", "pi.org"), ("python", "hosted.org"), ("npm", "js.org"), ("crates", ".io"), ("anaconda", ".org")]
    hosts += [("py", "pi.python.org"), ("download.py", "torch.org"), ("mirrors.", "aliyun.com")]
    words = ["".join(pieces) for pieces in hosts]
    assert [(name, word) for name, text in tracked() for word in words if word in text] == []


def test_no_text_names_a_path_of_one_machine() -> None:
    words = ["/" + "work/", "/" + "root/", "/" + "home/", "/" + "Users/"]
    assert [(name, word) for name, text in tracked() for word in words if word in text and name != "uv.lock"] == []


def test_no_large_and_no_binary_data_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    large = [n for n in filter(None, listed.stdout.decode().split("\0")) if (ROOT / n).is_file() and n != "uv.lock"]
    assert [name for name in large if (ROOT / name).stat().st_size > 1 << 20] == []


def test_pictures_are_opened_in_one_place() -> None:
    """Whoever opens a picture by himself forgets the bound on its pixels, or lets a decoder in that nobody needs."""
    free = {"formats/pictures.py", "report/picture.py"}  # the second draws what the build has checked
    package = Path(hemadata.__file__).parent
    opening = {p.relative_to(package).as_posix() for p in package.rglob("*.py") if "Image.open(" in p.read_text()}
    assert opening - {name for name in opening if name.startswith("phantom/")} <= free
