"""Killed, out of disk, or done twice at once: after the next run the corpus is, byte for byte, the undisturbed one."""

import contextlib
import copy
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hemadata
import pytest
from hemadata import sources
from hemadata.audit import duplicates, leakage, splitting
from hemadata.audit.contract import check
from hemadata.build import Options, attempts, build, engine, finish, plan, replace, units
from hemadata.errors import CorpusError, HemaError
from hemadata.formats.rawfile import RawFile

N = 48
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
try:
    import crash
finally:
    sys.path.pop(0)


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "UNIT_IMAGES", 8)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("crash") / "raw"
    for name in ("acevedo", "raabin"):
        sources.get(name).draw(root, N, 0)
    cells = sorted(root.glob("acevedo/**/*.jpg"))
    for old, new in zip(cells[:6], cells[6:12], strict=True):  # copies, so that duplicates and split have work to do
        shutil.copy(old, new)
    return root


def made(raw: Path, out: Path) -> Path:
    results = build(["acevedo", "raabin"], raw, out)
    assert not [result.error for result in results if result.error]
    return out


@pytest.fixture(scope="module")
def steps(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The undisturbed corpus after each command."""
    folder = tmp_path_factory.mktemp("steps")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "UNIT_IMAGES", 8)
        made(raw, folder / "build")
        for name, before in (("duplicates", "build"), ("split", "duplicates")):
            shutil.copytree(folder / before, folder / name)
            COMMANDS[name](folder / name)
    before, after = (next((folder / name / "index").glob("acevedo*")).read_bytes() for name in ("build", "split"))
    assert before != after, "there is nothing to be disturbed"
    return {name: folder / name for name in ("build", *COMMANDS)}


def search(out: Path) -> None:
    replace.settle(out)
    with hemadata.open(out) as corpus:
        found = duplicates.find(corpus)
    leakage.keep(out, found)


COMMANDS: dict[str, Callable[[Path], object]] = {"duplicates": search, "split": splitting.split}
BEFORE = {"duplicates": "build", "split": "duplicates"}


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """`benchmarks/crash.py` does fifty, on real data too; here one of each step of a small corpus."""
    todo = [step for step in crash.steps(None, 12, 1) if step.name not in ("build acevedo", "build raabin")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crash.spool, "WORTH_TELLING", 1 << 40)
        result = crash.run(todo, len(todo), 3, tmp_path)
    assert result.wrong == [] and sum(result.kills.values()) >= 1


class Cut(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("command", COMMANDS)
def test_stopped_after_any_write_of_a_command(
    command: str, steps: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rename is a moment at which the power may fail; early ones are all tried, late ones now and then."""
    wanted, moment, ended = crash.everything(steps[command]), 0, False
    renames: list[int] = []
    real = Path.replace

    def counted(path: Path, target: Path) -> Path:
        renames.append(1)
        if len(renames) > moment:
            raise Cut
        return real(path, target)

    while not ended:
        out = tmp_path / f"{moment}"
        shutil.copytree(steps[BEFORE[command]], out)
        renames.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", counted)
            try:
                COMMANDS[command](out)
                ended = True
            except Cut:
                pass
        COMMANDS[command](out)
        assert crash.everything(out) == wanted, f"stopped before rename {moment}"
        shutil.rmtree(out)
        moment += max(1, moment // 2)
    assert moment > 3


def test_what_a_stopped_split_has_begun_is_settled_before_anything_is_read(
    steps: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards are in their new places, the index is the old one: who reads now takes rows for lost."""
    out = tmp_path / "c"
    shutil.copytree(steps["duplicates"], out)
    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(finish, "write_tables", lambda *_: (_ for _ in ()).throw(Cut()))
        splitting.split(out)
    assert {finding.rule for finding in check(out, "none").findings} > {"split"}
    replace.settle(out)
    assert {finding.rule for finding in check(out, "none").findings} == {"split"}, "another source waits for its turn"
    splitting.split(out)
    assert crash.everything(out) == crash.everything(steps["split"])


def test_stopped_while_tries_are_removed(
    steps: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "c"
    shutil.copytree(steps["duplicates"], out)
    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(attempts, "sweep", lambda *_: (_ for _ in ()).throw(Cut()))
        splitting.split(out)
    assert list((out / ".building").glob(".*-done-*"))
    splitting.split(out)
    assert crash.everything(out) == crash.everything(steps["split"])


def test_stopped_before_the_card_is_written(
    steps: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the corpus_id: while it is not written, nothing is done."""
    card, times = finish.card, -1
    for moment in range(100):
        out, written = tmp_path / f"{moment}", list[str]()
        shutil.copytree(steps["duplicates"], out)

        def cut(corpus: Path, manifests: Any, moment: int = moment, written: list[str] = written) -> str:
            if len(written) == moment:
                raise Cut
            written.append(card(corpus, manifests))
            return written[-1]

        with monkeypatch.context() as patch, contextlib.suppress(Cut):
            patch.setattr(finish, "card", cut)
            splitting.split(out)
            times = moment
        splitting.split(out)
        assert crash.everything(out) == crash.everything(steps["split"])
        if times == moment:
            break
    assert times > 1


# The same unit twice at once: a node that was presumed dead and is not.


def tasks_of(raw: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> list[units.UnitTask]:
    """What a build would do, and nothing of it done."""
    kept: list[units.UnitTask] = []

    def keep(tasks: list[units.UnitTask], *_: object) -> list[object]:
        kept.extend(tasks)
        raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(engine, "_do", keep)
        build(["raabin"], raw, out)
    return kept


def test_two_copies_of_every_unit_at_once(
    raw: Path, steps: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "c"
    assert not build(["acevedo"], raw, out)[0].error
    tasks = tasks_of(raw, out, monkeypatch)
    threads = [threading.Thread(target=units.run_unit, args=(copy.deepcopy(task),)) for task in tasks * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {len(tries) for tries in attempts.attempts(out, "raabin").values()} == {2}
    (result,) = build(["raabin"], raw, out)
    assert (result.error, result.units_done) == (None, 0)
    assert crash.everything(out) == crash.everything(steps["build"])


def test_copy_that_comes_too_late_changes_nothing(
    raw: Path, steps: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "c"
    assert not build(["acevedo"], raw, out)[0].error
    late = tasks_of(raw, out, monkeypatch)[0]
    made(raw, out)
    with pytest.raises(FileNotFoundError):
        units.run_unit(late)
    assert crash.everything(out) == crash.everything(steps["build"])


def test_copy_of_an_older_build_is_not_taken_for_the_new_one(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The late copy has other inputs: its files lie beside the right ones, and are dropped."""
    out, changed = tmp_path / "c", tmp_path / "raw"
    shutil.copytree(raw, changed)
    late = tasks_of(changed, out, monkeypatch)
    path = sorted(changed.glob("raabin/**/*.jpg"))[0]
    path.write_bytes(path.read_bytes() + b"\0")
    do = engine._do

    def with_late_ones(*words: Any) -> Any:
        records = do(*words)
        for task in late:
            units.run_unit(task)
        return records

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_do", with_late_ones)
        (result,) = build(["raabin"], changed, out)
    assert result.error is None
    build(["raabin"], changed, tmp_path / "direct")
    assert crash.everything(out) == crash.everything(tmp_path / "direct")


def test_record_of_a_shard_that_another_build_replaced_is_not_believed(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two builds with other options, both stopped while shards were put into their places: sizes alone may agree."""
    out = tmp_path / "c"
    for options in (Options(), Options(prompt="1")):
        with monkeypatch.context() as patch, pytest.raises(Cut):
            patch.setattr(finish, "keep_fingerprints", lambda *_: (_ for _ in ()).throw(Cut()))
            build(["raabin"], raw, out, options)
    assert build(["raabin"], raw, out)[0].error is None
    build(["raabin"], raw, tmp_path / "direct")
    assert crash.everything(out) == crash.everything(tmp_path / "direct")


def test_file_system_that_goes_away_is_no_defect_of_its_pictures(
    raw: Path, steps: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, read, count = tmp_path / "c", RawFile.read, iter(range(N * 2))

    def gone(file: RawFile) -> bytes:
        if next(count) > N // 2:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), file.path)
        return read(file)

    assert not build(["acevedo"], raw, out)[0].error
    with monkeypatch.context() as patch:
        patch.setattr(RawFile, "read", gone)
        (result,) = build(["raabin"], raw, out)
    assert "Stale file handle" in str(result.error) and str(raw) in str(result.error)
    made(raw, out)
    assert crash.everything(out) == crash.everything(steps["build"])


# No room.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB, made larger by `grow`."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def grow(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def test_disk_full_during_a_build(raw: Path, steps: dict[str, Path], small_disk: Path) -> None:
    out, failed = small_disk / "c", 0
    for size in ("256k", "400k", "600k", "800k", "1200k", "64m"):
        grow(small_disk, size)
        results = build(["acevedo", "raabin"], raw, out)
        errors = [str(result.error) for result in results if result.error]
        assert all("No space left" in error or "[errno 28]" in error.lower() for error in errors), errors
        failed += bool(errors)
    assert failed > 1 and not errors
    assert crash.everything(out) == crash.everything(steps["build"])


@pytest.mark.parametrize("command", COMMANDS)
def test_disk_full_during_a_command(command: str, steps: dict[str, Path], small_disk: Path) -> None:
    grow(small_disk, "64m")
    out, failed = small_disk / "c", 0
    shutil.copytree(steps[BEFORE[command]], out)
    used = shutil.disk_usage(small_disk).used
    for more in (0, 16, 64, 128, 64 << 10):
        grow(small_disk, f"{used // 1024 + more}k")
        try:
            COMMANDS[command](out)
        except OSError:
            failed += 1
    assert failed
    assert crash.everything(out) == crash.everything(steps[command])


def limited(size: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_files_that_may_not_grow(raw: Path, steps: dict[str, Path], tmp_path: Path) -> None:
    """The same without a mount: no file may grow beyond a size, in a process of its own."""
    out, program = (
        tmp_path / "c",
        "from hemadata.build import plan; plan.UNIT_IMAGES = 8; from hemadata.cli import main; main()",
    )
    words = [sys.executable, "-c", program, "build", "--source", "acevedo", "--source", "raabin", "--jobs", "1"]
    for size in (2_000, 20_000):
        done = subprocess.run(
            [*words, "--raw", str(raw), "--out", str(out)],
            preexec_fn=limited(size),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1 and "File too large" in done.stderr and "Traceback" not in done.stderr
    made(raw, out)
    assert crash.everything(out) == crash.everything(steps["build"])


def test_killed_worker_of_local_processes(raw: Path, steps: dict[str, Path], tmp_path: Path) -> None:
    """One process is gone: the build says so, what was finished is kept."""
    out = tmp_path / "c"
    assert not build(["acevedo"], raw, out)[0].error
    from multiprocessing import active_children

    def kill(_: str, done: int, __: int) -> None:
        if done:
            os.kill(active_children()[0].pid or 0, signal.SIGKILL)

    (result,) = build(["raabin"], raw, out, Options(jobs=2), kill)
    if result.error:  # else all units were done before it was noticed
        assert isinstance(result.error, HemaError) and "killed" in str(result.error)
    made(raw, out)
    assert crash.everything(out) == crash.everything(steps["build"])


def test_split_of_a_corpus_whose_build_was_stopped_says_so_first(
    raw: Path, steps: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "c"
    shutil.copytree(steps["build"], out)
    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(finish, "finish", lambda *_: (_ for _ in ()).throw(Cut()))
        build(["raabin"], raw, out, Options(prompt="1"))
    before = sorted((out / "assignment").glob("*.parquet"))
    for command in COMMANDS.values():
        with pytest.raises(CorpusError, match="raabin: its last build was interrupted"):
            command(out)
    assert sorted((out / "assignment").glob("*.parquet")) == before
