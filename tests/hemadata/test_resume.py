"""One corpus, whatever happened on the way: jobs, kill -9, a crash, a second build, a changed file, a new node."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hemadata
import pytest
from hemadata import ontology, sources
from hemadata.audit.contract import check
from hemadata.build import Built, Options, build, engine, plan, units
from hemadata.build import shards as shards_module
from hemadata.errors import CorpusError

N = 48
# `hemadata build` with small units, so that a small set has many of them; with a pause it can be killed halfway.
SMALL_UNITS = """
import sys, time
from hemadata.build import engine, plan
plan.UNIT_IMAGES = 4
pause, done = float(sys.argv.pop(1)), engine.run_unit
def slowly(task):
    time.sleep(pause)
    return done(task)
if pause:
    engine.run_unit = slowly
from hemadata.cli import main
main()
"""


def shards(corpus: Path) -> dict[str, str]:
    """Shard -> sha256."""
    return {
        path.relative_to(corpus).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((corpus / "data").rglob("*.parquet"))
    }


def everything(corpus: Path) -> dict[str, bytes]:
    """Every file that a reader may look at."""
    return {
        path.relative_to(corpus).as_posix(): path.read_bytes()
        for path in sorted(corpus.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def times(corpus: Path) -> dict[str, int]:
    return {
        path.relative_to(corpus).as_posix(): path.stat().st_mtime_ns
        for path in sorted(corpus.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def records(corpus: Path, name: str) -> list[str]:
    """Keys of the units that an unfinished build has finished."""
    found = []
    for path in sorted((corpus / ".building" / name).glob("*/record.json")):
        with contextlib.suppress(FileNotFoundError):  # the build has just ended
            found.append(json.loads(path.read_text())["key"])
    return [key for key in found if key]


def start(raw: Path, out: Path, *words: str, pause: float = 0.0) -> "subprocess.Popen[str]":
    """The command with small units, as the head of a process group of its own."""
    command = [sys.executable, "-c", SMALL_UNITS, str(pause), "build", "--raw", str(raw), "--out", str(out), *words]
    return subprocess.Popen(
        command, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def kill(process: "subprocess.Popen[str]", out: Path, name: str, after: int = 0) -> int:
    """kill -9 of the whole group as soon as more than so many units are finished; returns how many are."""
    try:
        while process.poll() is None and len(records(out, name)) <= after:
            time.sleep(0.002)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return len(records(out, name))


def kill_halfway(raw: Path, out: Path, name: str, *words: str, pause: float) -> int:
    """Start and kill; once more from nothing where the build was quicker than we were."""
    for _ in range(5):
        finished = kill(start(raw, out, "--source", name, *words, pause=pause), out, name)
        if finished and not (out / "manifest" / f"{name}.json").exists():
            return finished
        shutil.rmtree(out)
    pytest.fail("the build was never caught halfway")


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "UNIT_IMAGES", 4)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("resume") / "raw"
    sources.get("raabin").draw(root, N, 0)
    return root


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus that every other way must arrive at: one process, no interruption."""
    out = tmp_path_factory.mktemp("whole") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "UNIT_IMAGES", 4)
        (result,) = build(["raabin"], raw, out)
    assert result.error is None and result.images == N
    assert result.units == result.units_done > 8
    return out


@pytest.fixture
def own_raw(tmp_path: Path) -> Path:
    """A raw tree that a test may change."""
    sources.get("raabin").draw(tmp_path / "raw", N, 0)
    return tmp_path / "raw"


def one(raw: Path, out: Path, options: Options | None = None) -> Built:
    (result,) = build(["raabin"], raw, out, options)
    assert result.error is None, result.error
    return result


# Jobs and kill -9.


def test_two_processes_write_the_same_bytes(raw: Path, whole: Path, tmp_path: Path) -> None:
    process = start(raw, tmp_path / "c", "--source", "raabin", "--jobs", "2")
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    assert everything(tmp_path / "c").keys() == everything(whole).keys()
    assert shards(tmp_path / "c") == shards(whole)
    with hemadata.open(whole) as corpus, hemadata.open(tmp_path / "c") as other:
        assert corpus.index.equals(other.index)
        assert corpus.corpus_id == other.corpus_id


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_and_run_again_is_the_same(jobs: str, raw: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"
    finished = kill_halfway(raw, out, "raabin", "--jobs", jobs, pause=0.05 if jobs == "1" else 0.0)
    result = one(raw, out)
    assert result.units_done == result.units - finished
    assert shards(out) == shards(whole)
    assert not (out / ".building").exists() and not list(out.rglob("*.tmp"))
    assert check(out).findings == []
    with hemadata.open(whole) as corpus, hemadata.open(out) as other:
        assert corpus.index.equals(other.index)


def test_killed_again_and_again(raw: Path, whole: Path, tmp_path: Path) -> None:
    """Progress is never lost: each run goes on from the last one."""
    finished = [0]
    for _ in range(2):
        process = start(raw, tmp_path / "c", "--source", "raabin", "--jobs", "1", pause=0.05)
        finished.append(kill(process, tmp_path / "c", "raabin", after=finished[-1]))
    assert finished == sorted(set(finished))
    result = one(raw, tmp_path / "c")
    assert result.units_done == result.units - finished[-1]
    assert shards(tmp_path / "c") == shards(whole)


def test_real_data_with_two_jobs_killed_and_run_again(raw_root: Path, tmp_path: Path) -> None:
    if not (raw_root / "acevedo").is_dir():
        pytest.skip(f"no acevedo in {raw_root}")
    command = [sys.executable, "-m", "hemadata.cli", "build", "--source", "acevedo", "--raw", str(raw_root)]
    command += ["--check", "header", "--out"]
    for name, jobs in (("one", "1"), ("two", "2")):
        subprocess.run([*command, str(tmp_path / name), "--jobs", jobs], check=True, capture_output=True)
    killed = [*command, str(tmp_path / "killed"), "--jobs", "2"]
    kill(subprocess.Popen(killed, start_new_session=True, text=True), tmp_path / "killed", "acevedo")
    assert not (tmp_path / "killed" / "manifest" / "acevedo.json").exists(), "it was not killed halfway"
    subprocess.run(killed, check=True, capture_output=True)
    assert len(shards(tmp_path / "one")) > 8
    assert shards(tmp_path / "one") == shards(tmp_path / "two") == shards(tmp_path / "killed")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_workers_end_with_their_parent(raw: Path, tmp_path: Path) -> None:
    """kill -9 of the command alone must not leave workers behind that hold memory and write into the corpus."""
    process = start(raw, tmp_path / "c", "--source", "raabin", "--jobs", "2")
    try:
        while process.poll() is None and not records(tmp_path / "c", "raabin"):
            time.sleep(0.002)
        process.kill()
        process.wait()
        deadline = time.monotonic() + 5
        while (alive := list(_session(process.pid))) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive, f"{len(alive)} processes outlived the command"
    finally:
        for pid in _session(process.pid):
            os.kill(pid, signal.SIGKILL)


def _session(leader: int) -> Iterator[int]:
    """Living processes of a session."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(") ")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state not in "ZX":
            yield int(path.parent.name)


# A second build.


def test_second_build_does_nothing(raw: Path, whole: Path) -> None:
    before = times(whole)
    result = one(raw, whole)
    assert (result.units_done, result.images) == (0, N)
    assert times(whole) == before


def test_raw_tree_may_move(raw: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(raw)
    before = times(whole)
    assert one(tmp_path / "elsewhere", whole).units_done == 0
    assert times(whole) == before


def test_only_the_unit_of_a_changed_file_is_done_again(own_raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"
    one(own_raw, out)
    before, stamps = shards(out), times(out)
    with hemadata.open(out) as corpus:
        row = corpus.index.slice(0, 1).to_pylist()[0]
    path = own_raw / "raabin" / row["source_file"]
    path.write_bytes(path.read_bytes() + b"\0")
    assert one(own_raw, out).units_done == 1
    changed = {name for name, digest in shards(out).items() if before[name] != digest}
    assert changed == {row["file"]}
    rewritten = {name for name, stamp in times(out).items() if stamps.get(name) != stamp and name.startswith("data/")}
    assert {name.rpartition("-")[2] for name in rewritten} == {row["file"].rpartition("-")[2]}
    with hemadata.open(out) as corpus:
        assert corpus.image(row["sample_id"]) == path.read_bytes()
    assert check(out).findings == []


def test_removed_and_added_files(own_raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"
    one(own_raw, out)
    with hemadata.open(out) as corpus:
        first = corpus.index.select(["sample_id", "split", "group_id"]).to_pylist()
        gone = corpus.index.slice(0, 1).to_pylist()[0]
    path = own_raw / "raabin" / gone["source_file"]
    data = path.read_bytes()
    path.unlink()
    assert (one(own_raw, out).images, check(out).findings) == (N - 1, [])
    with hemadata.open(out) as corpus:
        assert gone["sample_id"] not in corpus.index["sample_id"].to_pylist()
    path.write_bytes(data)
    assert (one(own_raw, out).images, check(out).findings) == (N, [])
    with hemadata.open(out) as corpus:
        again = corpus.index.select(["sample_id", "split", "group_id"]).to_pylist()
    assert sorted(again, key=str) == sorted(first, key=str), "no row was placed elsewhere"


def test_lost_shard_and_lost_index_are_made_again(raw: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"
    one(raw, out)
    sorted((out / "data").rglob("*.parquet"))[0].unlink()
    assert one(raw, out).units_done == 1
    assert shards(out) == shards(whole)
    (out / "index" / "raabin.parquet").unlink()
    one(raw, out)
    assert check(out).findings == []
    with hemadata.open(whole) as corpus, hemadata.open(out) as other:
        assert corpus.index.equals(other.index)


# Interrupted in the middle, in this process.


class PowerCut(Exception):
    """Stands for whatever ends a process."""


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """The build ends after so many units."""
    done: list[int] = []

    def run_unit(task: units.UnitTask) -> object:
        if len(done) == after:
            raise PowerCut
        done.append(task.bucket)
        return units.run_unit(task)

    monkeypatch.setattr(engine, "run_unit", run_unit)


@pytest.mark.parametrize("between", [Options(check="header"), Options(prompt="1"), Options(limit=20)])
def test_interrupted_build_with_other_options_leaves_no_mixed_state(
    between: Options, raw: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "c"
    one(raw, out)
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        interrupt(patch, after=3)
        build(["raabin"], raw, out, between)
    assert one(raw, out).units_done >= 3
    assert shards(out) == shards(whole)
    assert check(out).findings == []
    with hemadata.open(whole) as corpus, hemadata.open(out) as other:
        assert corpus.index.equals(other.index)
    # and the other way: what was interrupted is finished as it was begun
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        interrupt(patch, after=2)
        build(["raabin"], raw, out, between)
    assert build(["raabin"], raw, out, between)[0].error is None
    build(["raabin"], raw, tmp_path / "direct", between)
    assert shards(out) == shards(tmp_path / "direct")
    assert check(out).findings == []


@pytest.mark.parametrize("after", [0, 1, 4])
def test_crash_while_writing_a_shard_leaves_the_old_corpus_readable(
    after: int, own_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file has changed, and the process ends in the middle of a shard: readers still get whole pictures."""
    out = tmp_path / "c"
    one(own_raw, out)
    before: dict[str, bytes] = {}
    with hemadata.open(out) as corpus:
        before = {sample: corpus.image(sample) for sample in corpus.index["sample_id"].to_pylist()}
    for path in own_raw.rglob("*.jpg"):
        path.write_bytes(path.read_bytes() + b"\0" * 301)
    write, done = shards_module._write_rows, list[object]()

    def fails(*words: object) -> object:
        if len(done) >= after:
            raise PowerCut
        result = write(*words)  # type: ignore[arg-type]
        if result[0]:
            done.append(result)
        return result

    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(shards_module, "_write_rows", fails)
        build(["raabin"], own_raw, out)
    with hemadata.open(out) as corpus:
        assert {row["sample_id"] for row in corpus.rows("classification")} == set(before)
        for sample, data in before.items():
            assert corpus.image(sample).rstrip(b"\0") == data.rstrip(b"\0"), f"{sample}: not its picture"
    one(own_raw, out)
    one(own_raw, tmp_path / "direct")
    assert shards(out) == shards(tmp_path / "direct")
    assert not list(out.rglob("*.tmp"))
    assert check(out).findings == []


@pytest.mark.parametrize("pattern", ["*/record.json", "*/index.arrow"])
def test_record_that_a_power_cut_left_empty_is_done_again(
    pattern: str, raw: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not flushed may come back empty after the power fails; the build must not stumble over it."""
    out = tmp_path / "c"
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        interrupt(patch, after=3)
        build(["raabin"], raw, out)
    left = sorted((out / ".building" / "raabin").glob(pattern))
    assert len(left) == 3
    left[0].write_bytes(b"")
    left[1].write_bytes(left[1].read_bytes()[:40])
    one(raw, out)
    assert shards(out) == shards(whole)
    assert check(out).findings == []


def test_interrupted_phantom_gives_way_to_real_data(
    raw: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "c"
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        interrupt(patch, after=2)
        build(["raabin"], raw, out, Options(phantom=12))
    assert one(raw, out).images == N
    assert shards(out) == shards(whole)
    with hemadata.open(out) as corpus:
        assert corpus.manifests["raabin"].phantom is None
    assert check(out).findings == []


# The ontology grows.


def test_added_node_rewrites_nothing_else(
    own_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    out = tmp_path / "c"
    sources.get("bccd").draw(own_raw, 8, 0)
    assert not [r.error for r in build(["raabin", "bccd"], own_raw, out) if r.error]
    before, stamps, sums = everything(out), times(out), shards(out)
    with hemadata.open(out) as corpus:
        identity = corpus.corpus_id

    texts = ontology.files()
    node = 'hairy_cell_of_the_test = { display = "New", match = "none", parent = "blood_cell", kind = "cell" }\n'
    texts["cells.toml"] = texts["cells.toml"] + node.encode()
    monkeypatch.setattr(ontology, "files", lambda: texts)
    request.addfinalizer(ontology.load.cache_clear)
    ontology.load.cache_clear()
    assert ontology.load().node("hairy_cell_of_the_test")

    path = next((own_raw / "bccd").rglob("BloodImage_00003.jpg"))
    path.write_bytes(path.read_bytes() + b"\0")
    (result,) = build(["bccd"], own_raw, out)
    assert result.error is None and result.units_done == 1
    for name, digest in shards(out).items():
        if "/raabin/" in name:
            assert sums[name] == digest and stamps[name] == times(out)[name]
    for name in ("index/raabin.parquet", "manifest/raabin.json", "ontology/views.toml", "assignment/v0001.parquet"):
        if name in before:
            assert before[name] == everything(out)[name] and stamps[name] == times(out)[name]
    with hemadata.open(out) as corpus:
        assert corpus.ontology.node("hairy_cell_of_the_test").name == "hairy_cell_of_the_test"
        assert corpus.corpus_id != identity
        assert sum(1 for _ in corpus.rows("classification")) == N
        assert sum(1 for _ in corpus.rows("detection")) == 8
    assert check(out).findings == []
    (result,) = build(["raabin"], own_raw, out)
    assert result.units_done == 0, "a new node concerns no row that is there"


# Two builds at once.


def test_same_source_twice_at_once_is_refused(raw: Path, whole: Path, tmp_path: Path) -> None:
    out, begun, go_on = tmp_path / "c", threading.Event(), threading.Event()
    results: list[Built] = []

    def stop_on_the_way(_: str, done: int, __: int) -> None:
        if done and not begun.is_set():
            begun.set()
            go_on.wait(20)

    first = threading.Thread(target=lambda: results.extend(build(["raabin"], raw, out, progress=stop_on_the_way)))
    first.start()
    try:
        assert begun.wait(20)
        before = everything(out)
        (second,) = build(["raabin"], raw, out)
        assert isinstance(second.error, CorpusError)
        assert "another process" in str(second.error) and str(out) in str(second.error)
        assert everything(out) == before
    finally:
        go_on.set()
        first.join()
    assert results[0].error is None
    assert shards(out) == shards(whole)


def test_different_sources_at_once_both_succeed(tmp_path: Path) -> None:
    out = tmp_path / "c"
    names = ("raabin", "bccd", "wbcatt")
    running = [start(tmp_path, out, "--source", name, "--phantom", "16", "--jobs", "1") for name in names]
    for process in running:
        text, _ = process.communicate(timeout=60)
        assert process.returncode == 0, text
    with hemadata.open(out) as corpus:
        assert corpus.sources == tuple(sorted(names))
        assert corpus.index.num_rows == 16 * len(names)
    assert check(out).findings == []
    card = (out / "README.md").read_text()
    assert all(f"--{name}" in card for name in names)
    alone = tmp_path / "alone"
    build(names, tmp_path, alone, Options(phantom=16))
    assert shards(out) == shards(alone)
    assert (out / "README.md").read_text() == (alone / "README.md").read_text()
