"""The command line: exit codes, JSON, what `check` finds in a damaged corpus, pictures, and light help."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import hemadata
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hemadata import cli, schema
from hemadata.audit.contract import check
from hemadata.build import Options, build
from PIL import Image

# Without pydantic: typer brings it as soon as a command has options.
HEAVY = {"pyarrow", "numpy", "PIL", "datasets", "polars", "matplotlib", "jinja2", "pycocotools", "xxhash", "torch"}
LIGHT = {"hemadata", "hemadata.console", "hemadata.errors"}


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on the last line, with nothing before it."""
        assert self.out.endswith("\n") and self.out.count("\n") == 1, (
            f"more than JSON on standard output: {self.out[:200]!r}"
        )
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command in an empty folder, as the shell would, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["hemadata", *map(str, arguments)])
        capfd.readouterr()
        code: Any = None
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        except Exception as error:
            pytest.fail(f"the user sees a traceback: {type(error).__name__}: {error}", pytrace=False)
        return Said(0 if code is None else code, *capfd.readouterr())

    return run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of one classification and one segmentation source, to be copied and damaged."""
    out = tmp_path_factory.mktemp("small") / "corpus"
    results = build(["raabin", "wbc-image-dataset"], Path("nowhere"), out, Options(phantom=8))
    assert not [result.error for result in results if result.error]
    assert check(out, "full").findings == []
    return out


@pytest.fixture
def broken(small: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(small, tmp_path / "broken"))


# Help


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["check", "-h"], ["sources", "list", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "hemadata.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    tops = {name.partition(".")[0] for name in imported}
    assert "typer" in tops and tops & HEAVY == set()
    own = {name for name in imported if name.partition(".")[0] == "hemadata"}
    assert {name for name in own if not name.startswith("hemadata.cli")} <= LIGHT
    assert "Usage" in done.stdout


COMMANDS = ["build", "check", "view", "report", "stats", "schema", "sources list", "sources show", "prompts render"]
COMMANDS += ["fetch", "sources check", "sources new", "sources docs"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_can_speak_json(
    run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = run(*command.split(), "--help")
    assert said.code == 0 and "Usage" in said.out
    assert "--json" in said.out
    assert command == "schema" or "Example" in said.out


def test_no_arguments_show_the_help(run: Run) -> None:
    for arguments in ([], ["sources"], ["prompts"]):
        said = run(*arguments)
        assert "Usage" in said.out + said.err


# JSON


def test_build_json(run: Run) -> None:
    said = run("build", "--source", "raabin", "--source", "bccd", "--phantom", 5, "--out", "C", "--json")
    assert said.code == 0
    built = said.json["sources"]
    assert set(built) == {"raabin", "bccd"}
    assert (built["bccd"]["images"], built["bccd"]["quarantined"], built["bccd"]["undeclared"]) == (5, 2, {})
    for name, numbers in built.items():
        manifest = hemadata.open(Path("C")).manifests[name]
        assert (numbers["images"], numbers["objects"]) == (manifest.images, manifest.objects)
        assert numbers["shards"] == len(list(Path("C").glob(f"data/*/{name}/*.parquet")))


def test_build_json_of_a_dry_run(run: Run) -> None:
    said = run("build", "--source", "raabin", "--phantom", 5, "--out", "C", "--json", "--dry-run")
    assert said.code == 0 and said.json["sources"]["raabin"]["images"] == 5
    assert not list(Path("C").rglob("*.parquet"))


def test_build_json_tells_an_error_beside_what_was_built(run: Run) -> None:
    Path("raw").mkdir()
    said = run("build", "--source", "raabin", "--out", "C", "--json")
    assert said.code == 3
    assert "raabin" in said.json["sources"]["raabin"]["error"]
    assert "--phantom" in said.err


def test_sources_list_json(run: Run) -> None:
    said = run("sources", "list", "--json")
    assert said.code == 0
    keys = "name title table row task images_published classes_published train_published test_published license access"
    for entry in said.json:
        assert {*keys.split(), "annotation_origin"} <= set(entry)
        assert entry["annotation_origin"] in ("published", "derived", "none")
        assert entry["task"] in schema.TASKS
    named = [entry["name"] for entry in said.json]
    assert {"bccd", "raabin", "acevedo", "wbcatt-vqa", "leukemiaattri"} <= set(named) and "wbcatt" not in named
    places = [(entry["table"] or 99, entry["row"] or 0) for entry in said.json]
    assert places == sorted(places) and len(set(named)) == len(named)


def test_sources_list_counts_only_real_data_as_found(run: Run, small: Path) -> None:
    found = {entry["name"]: entry["images_found"] for entry in run("sources", "list", "--corpus", small, "--json").json}
    assert set(found.values()) == {None}, "a phantom is no data set"


def test_sources_show_json(run: Run) -> None:
    said = run("sources", "show", "raabin", "--json")
    assert said.code == 0 and said.json["name"] == "raabin" and said.json["labels"]["Neutrophil"] == "neutrophil"
    assert "Raabin" in run("sources", "show", "raabin").out


def test_check_json(run: Run, small: Path) -> None:
    said = run("check", small, "--json")
    assert said.code == 0 and said.json == {"sources": 2, "rows": 16, "findings": []}
    assert "16 rows of 2 sources checked, 0 findings" in run("check", small).out


def test_prompts_json(run: Run, phantom_corpus: Path) -> None:
    said = run("prompts", "render", phantom_corpus, "-n", 2, "--json")
    assert said.code == 0 and len(said.json) == 10
    rendered = {entry["sample_id"].partition("/")[0]: entry["prompt"] for entry in said.json}
    assert rendered["bccd"].startswith("This image is for the detection of ")
    assert rendered["wbcatt-vqa"].startswith("Q: ")
    assert {entry["prompt_id"] for entry in said.json} == {"1@1"}


def test_prompts_of_one_task_and_template(run: Run, phantom_corpus: Path) -> None:
    said = run("prompts", "render", phantom_corpus, "--task", "detection", "--template", "3", "-n", 1)
    assert said.code == 0 and said.out == "bccd/" + said.out[5:]
    assert "This image is for the diagnosis of" in said.out and said.out.count("\n") == 1


@pytest.mark.parametrize("option", [["--task", "detecion"], ["--source", "bcd"]])
def test_prompts_of_an_unknown_name_are_an_error(run: Run, phantom_corpus: Path, option: list[str]) -> None:
    said = run("prompts", "render", phantom_corpus, *option)
    assert said.code == 2 and option[1] in said.err


def test_schema_prints_the_reference(run: Run) -> None:
    assert run("schema").out == schema.render()


# Exit codes


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["build"], 2, "--all"),
        (["build", "--source", "raabin", "--all"], 2, "--all"),
        (["build", "--source", "rabin", "--phantom", "3"], 2, "raabin"),
        (["build", "--source", "raabin", "--phantom", "0"], 2, ""),
        (["build", "--source", "raabin", "--check", "deep"], 2, ""),
        (["build", "--source", "raabin", "--jobs", "0"], 2, ""),
        (["build", "--sorce", "raabin"], 2, "--source"),
        (["bild"], 2, ""),
        (["sources", "show", "rabin"], 2, "raabin"),
        (["sources", "check", "rabin"], 2, "raabin"),
        (["sources", "check", "raabin"], 3, "hemadata fetch"),
        (["fetch", "--source", "rabin"], 2, "raabin"),
        (["fetch"], 2, "--source"),
        (["view", "nowhere"], 2, ""),
        (["build", "--source", "raabin"], 3, "--phantom"),
        (["check"], 3, "hemadata build"),
        (["check", "nowhere"], 3, "hemadata build"),
        (["view", "nowhere", "bccd/x"], 3, "hemadata build"),
        (["prompts", "render", "nowhere"], 3, "hemadata build"),
    ],
)
def test_exit_codes(run: Run, arguments: list[str], code: int, words: str) -> None:
    said = run(*arguments)
    assert (said.code, words in said.err) == (code, True), said.err
    assert not list(Path().rglob("*.parquet"))


def test_strict_is_one_for_undeclared_defects_only(run: Run) -> None:
    assert run("build", "--source", "bccd", "--phantom", 3, "--out", "A", "--strict").code == 0, "two are declared"
    assert run("build", "--source", "bccd", "--phantom", 3, "--out", "A", "--strict").code == 0, "nothing to do"
    from hemadata import sources

    sources.get("raabin").draw(Path("raw"), 3, 0)
    next(Path("raw").rglob("*.jpg")).write_bytes(b"")
    assert run("build", "--source", "raabin", "--out", "B").code == 0
    said = run("build", "--source", "raabin", "--out", "B", "--strict", "--json")
    assert said.code == 1 and said.json["sources"]["raabin"]["undeclared"] == {"empty_file": 1}


def test_unknown_row_and_template(run: Run, small: Path) -> None:
    assert run("view", small, "raabin/none").code == 2
    assert run("prompts", "render", small, "--template", "9").code == 2


def test_out_that_is_a_file_is_told(run: Run) -> None:
    Path("file").write_text("x")
    said = run("build", "--source", "raabin", "--phantom", 3, "--out", "file")
    assert said.code in (1, 2, 3) and "file" in said.err


def test_names_that_are_not_utf8_are_built_or_told(run: Run) -> None:
    from hemadata import sources

    sources.get("raabin").draw(Path("raw"), 3, 0)
    image = next(Path("raw").rglob("*.jpg"))
    try:
        os.link(image, os.fsencode(image.parent) + b"/caf\xe9.jpg")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    said = run("build", "--source", "raabin", "--out", "C")
    assert said.code in (0, 1) and ("caf" in said.out + said.err or said.out.startswith("raabin  4 images"))


def test_keyboard_interrupt_says_that_nothing_is_lost(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("hemadata.schema.render", stop)
    said = run("schema")
    assert said.code == 130 and "run the same command again" in said.err


def test_output_in_a_pipe_has_no_colours_and_no_bars(run: Run) -> None:
    said = run("build", "--source", "raabin", "--phantom", 3, "--out", "C")
    assert said.out.startswith("raabin  3 images") and "\x1b" not in said.out + said.err and said.err == ""


# Pictures


def test_view_draws_a_png(run: Run, phantom_corpus: Path) -> None:
    with hemadata.open(phantom_corpus) as corpus:
        samples = {s: next(corpus.rows(m.task, source=s))["sample_id"] for s, m in corpus.manifests.items()}
        sizes = {s: Image.open(BytesIO(corpus.image(i))).size for s, i in samples.items()}
    for source, sample_id in samples.items():
        said = run("view", phantom_corpus, sample_id, "--out", f"{source}.png")
        assert said.code == 0 and f"{source}.png" in said.out
        drawn = Image.open(f"{source}.png")
        width, height = sizes[source]
        scale = max(1, -(-480 // min(width, height)))
        assert drawn.format == "PNG" and drawn.width == width * scale
        assert (drawn.height - height * scale - 10) % 20 == 0 and drawn.height > height * scale + 10


def test_view_shows_the_mask(run: Run, small: Path) -> None:
    with hemadata.open(small) as corpus:
        row = next(corpus.rows("segmentation"))
    assert run("view", small, row["sample_id"]).code == 0
    drawn = Image.open("sample.png").convert("RGB").crop((0, 0, 480, 480))
    scale = drawn.width / row["width"]
    mask = Image.open(BytesIO(row["mask"]["bytes"]))
    original = Image.open(BytesIO(row["image"]["bytes"])).convert("RGB")
    changed: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for x in range(2, row["width"] - 2, 3):
        for y in range(2, row["height"] - 2, 3):
            if len({mask.getpixel((x + i, y + j)) for i in (-2, 0, 2) for j in (-2, 0, 2)}) == 1:
                here, there = (
                    original.getpixel((x, y)),
                    drawn.getpixel((int((x + 0.5) * scale), int((y + 0.5) * scale))),
                )
                changed[mask.getpixel((x, y))].append(sum(abs(a - b) for a, b in zip(here, there, strict=True)))  # type: ignore
    mean = {region: sum(values) / max(len(values), 1) for region, values in changed.items()}
    assert mean[2] > mean[0] + 10, f"the nucleus is not coloured: {mean}"


@pytest.mark.parametrize("name", ["plain", "folder/sample.png", "sample.xyz"])
def test_view_writes_where_it_is_told_or_says_why_not(run: Run, small: Path, name: str) -> None:
    with hemadata.open(small) as corpus:
        sample_id = next(corpus.rows("classification", columns=["sample_id"]))["sample_id"]
    said = run("view", small, sample_id, "--out", name)
    assert (said.code == 0 and Image.open(name).format == "PNG") or (said.code in (1, 2, 3) and name in said.err)


# Check


def shards(corpus: Path) -> list[Path]:
    return sorted(corpus.glob("data/*/*/*.parquet"))


def rules(corpus: Path, depth: Any = "none") -> set[str]:
    return {finding.rule for finding in check(corpus, depth).findings}


def test_check_finds_a_flipped_bit_wherever_it_is(broken: Path) -> None:
    """In image bytes, pages, page headers or the footer: always a finding, never a crash."""
    missed, crashed = [], []
    for path in (shards(broken)[0], shards(broken)[-1]):
        whole = path.read_bytes()
        places = {0, 5, *range(0, len(whole), max(len(whole) // 25, 1)), *range(len(whole) - 6000, len(whole), 131)}
        for place in sorted(place for place in places if 0 <= place < len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
            try:
                if "shard-changed" not in rules(broken):
                    missed.append(place)
            except Exception as error:
                crashed.append(f"byte {place} of {len(whole)}: {type(error).__name__}: {str(error)[:80]}")
        path.write_bytes(whole)
    assert not missed and not crashed, f"{len(missed)} missed, {len(crashed)} crashed, e.g. {crashed[:2]}"
    assert rules(broken) == set()


def test_check_tells_which_image_is_changed(run: Run, broken: Path) -> None:
    with hemadata.open(broken) as corpus:
        place = corpus.index.to_pylist()[3]
    path = broken / place["file"]
    data = bytearray(path.read_bytes())
    data[place["offset"] + place["length"] // 2] ^= 0xFF
    path.write_bytes(data)
    said = run("check", broken, "--json")
    assert said.code == 1
    found = {(finding["rule"], finding["where"]) for finding in said.json["findings"]}
    assert {("shard-changed", place["file"]), ("rows-changed", place["file"])} <= found
    assert {rule for rule, where in found if where == place["sample_id"]} & {"pixels", "image"}
    assert "findings" in run("check", broken).out


@pytest.mark.parametrize("length", [0, 3, 1000])
def test_check_finds_a_cut_shard(broken: Path, length: int) -> None:
    shards(broken)[0].write_bytes(shards(broken)[0].read_bytes()[:length])
    assert {"shard-changed", "shard-unreadable"} <= rules(broken)


def test_check_finds_removed_and_stray_shards(run: Run, broken: Path) -> None:
    first, last = shards(broken)[0], shards(broken)[-1]
    shutil.copy(first, first.with_name("train-7f.parquet"))
    last.unlink()
    said = run("check", broken, "--check", "none", "--json")
    assert said.code == 1
    found = {(finding["rule"], finding["where"]) for finding in said.json["findings"]}
    assert ("shard-missing", last.relative_to(broken).as_posix()) in found
    assert ("shard-unknown", first.with_name("train-7f.parquet").relative_to(broken).as_posix()) in found


@pytest.mark.parametrize("label", ["basophil", "neutrophyl"])
def test_check_finds_rows_that_are_others(broken: Path, label: str) -> None:
    """A shard written anew with other labels, manifest not: the digest tells, and the ontology where it can."""
    path = next(broken.glob("data/classification/raabin/*.parquet"))
    table = pq.read_table(path)
    labels = [label] * len(table)
    column = table.schema.get_field_index("label")
    pq.write_table(table.set_column(column, "label", pa.array(labels)), path, compression="NONE", use_dictionary=False)
    assert "rows-changed" in rules(broken)
    assert ("label" in rules(broken)) == (label == "neutrophyl")


def change_index(corpus: Path, source: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = corpus / "index" / f"{source}.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("offset", lambda rows: rows[2].update(offset=rows[2]["offset"] + 1)),
        ("length", lambda rows: rows[2].update(length=rows[2]["length"] - 1)),
        ("no offset", lambda rows: rows[2].update(offset=None, length=None)),
        ("order", lambda rows: rows.reverse()),
        ("fewer", lambda rows: rows.pop()),
        ("twice", lambda rows: rows.append(rows[0])),
        ("split", lambda rows: rows[2].update(split="excluded")),
        ("file", lambda rows: rows[2].update(file="data/none.parquet")),
        ("label", lambda rows: rows[2].update(label="basophil" if rows[2]["label"] != "basophil" else "monocyte")),
        ("width", lambda rows: rows[2].update(width=7)),
        ("group", lambda rows: rows[2].update(group_id="raabin/none")),
    ],
)
def test_check_finds_a_changed_index(broken: Path, name: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    change_index(broken, "raabin", change)
    assert rules(broken) != set(), name


def test_check_finds_a_mask_at_another_place(broken: Path) -> None:
    change_index(broken, "wbc-image-dataset", lambda rows: rows[0].update(mask_offset=rows[0]["mask_offset"] + 1))
    assert "offset" in rules(broken)
    change_index(broken, "wbc-image-dataset", lambda rows: rows[0].update(mask_offset=None, mask_length=None))
    assert "offset" in rules(broken)


@pytest.mark.parametrize("content", [None, b"", b"no parquet"])
def test_check_tells_a_missing_or_broken_index(run: Run, broken: Path, content: bytes | None) -> None:
    path = broken / "index" / "raabin.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    said = run("check", broken, "--check", "none", "--json")
    assert said.code == 1 and any("raabin" in finding["where"] for finding in said.json["findings"])


def test_check_tells_an_index_of_another_schema(broken: Path) -> None:
    path = broken / "index" / "raabin.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["label"]), path)
    assert "schema" in rules(broken)


def test_check_finds_an_assignment_that_says_something_else(broken: Path) -> None:
    path = max((broken / "assignment").glob("v*.parquet"))
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0]["split"] = "test" if rows[0]["split"] != "test" else "train"
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    assert "split" in rules(broken)


def test_check_tells_a_manifest_that_is_none(run: Run, broken: Path) -> None:
    (broken / "manifest" / "raabin.json").write_text("{")
    said = run("check", broken)
    assert said.code == 1 and "raabin.json" in said.err


def test_check_tells_a_missing_ontology(run: Run, broken: Path) -> None:
    shutil.rmtree(broken / "ontology")
    said = run("check", broken, "--check", "none")
    assert said.code in (1, 3) and "ontology" in said.out + said.err
