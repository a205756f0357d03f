"""`--executor ray`: the same bytes as one process, whatever happens to nodes and workers on the way."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hemadata import sources
from hemadata.build import Built, Options, build, plan
from hemadata.build import Cluster as Address
from hemadata.build.sight import Sight
from hemadata.cli import app
from hemadata.errors import HemaError, UsageError
from typer.testing import CliRunner

os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # as `_connected` does it; Ray reads it when imported
ray: Any = pytest.importorskip("ray")

N = 32
COMMAND = "from hemadata.build import plan; plan.UNIT_IMAGES = 2; from hemadata.cli import main; main()"


def everything(corpus: Path) -> dict[str, bytes]:
    return {
        path.relative_to(corpus).as_posix(): path.read_bytes()
        for path in sorted(corpus.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "UNIT_IMAGES", 2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that does no units, and two nodes."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        try:
            made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
            for _ in range(2):
                made.add_node(num_cpus=1)
        except Exception as error:
            pytest.skip(f"Ray does not start here: {error}")
        try:
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cluster") / "raw"
    sources.get("raabin").draw(root, N, 0)
    return root


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes undisturbed."""
    out = tmp_path_factory.mktemp("whole") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "UNIT_IMAGES", 2)
        (result,) = build(["raabin"], raw, out)
    assert result.error is None and result.units > 8
    return everything(out)


def on_ray(cluster: Any, raw: Path, out: Path, then: Callable[[], None] = lambda: None) -> Built:
    """Build on the cluster; `then` is called when the first unit is done."""
    waiting = [then]

    def progress(_: str, done: int, __: int) -> None:
        if done and waiting:
            waiting.pop()()

    (result,) = build(["raabin"], raw, out, Options(cluster=Address(cluster.address)), progress)
    return result


def test_two_nodes_write_the_bytes_of_one_process(
    cluster: Any, raw: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a relative --out, and workers that are elsewhere
    assert on_ray(cluster, raw, Path("corpus")).error is None
    assert everything(tmp_path / "corpus") == whole
    assert on_ray(cluster, raw, Path("corpus")).units_done == 0


def workers(cluster: Any) -> list[int]:
    """Processes of the cluster that do units; killing their helpers would take the node along."""
    raylets = {n.all_processes["raylet"][0].process.pid for n in cluster.worker_nodes}
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((path / "stat").read_text().rpartition(") ")[2].split()[1])
            if parent in raylets and (path / "cmdline").read_bytes().startswith((b"ray::_do", b"ray::IDLE")):
                found.append(int(path.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_killed_worker_is_replaced(cluster: Any, raw: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    killed: list[int] = []

    def kill() -> None:
        end = time.monotonic() + 5
        while not (found := workers(cluster)) and time.monotonic() < end:  # Ray may be between two of them
            time.sleep(0.01)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    result = on_ray(cluster, raw, tmp_path / "c", kill)
    assert result.error is None and killed
    assert everything(tmp_path / "c") == whole


def test_killed_node_costs_only_its_units(cluster: Any, raw: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    lost = sorted(cluster.worker_nodes, key=lambda node: node.node_id)[0]
    result = on_ray(cluster, raw, tmp_path / "c", lambda: cluster.remove_node(lost, allow_graceful=False))
    cluster.add_node(num_cpus=1)
    assert result.error is None and result.units_done == result.units
    assert everything(tmp_path / "c") == whole
    assert not (tmp_path / "c" / ".building").exists()


def test_errors_of_a_unit_are_those_of_one_process(cluster: Any, tmp_path: Path) -> None:
    from hemadata.build.cluster import Cluster

    workers = Cluster(cluster.address, 1, Sight.of(tmp_path, "raabin", [], 0))
    workers.submit(int, "ten")
    with pytest.raises(ValueError, match="invalid literal") as told:
        list(workers.wait())
    assert type(told.value) is ValueError
    workers.cancel()
    assert list(tmp_path.iterdir()) == []


def test_node_that_sees_other_folders_stops_the_build_with_a_sentence(
    cluster: Any, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every node is asked; here the token is made to lie where none of them looks."""
    made = Sight.of

    def elsewhere(folder: Path, *words: Any) -> Sight:
        seen = made(folder, *words)
        seen.token.unlink()
        return seen

    monkeypatch.setattr(Sight, "of", elsewhere)
    result = on_ray(cluster, raw, tmp_path / "c")
    assert isinstance(result.error, HemaError)
    for word in ("Node ", "does not see the output folder", str(tmp_path / "c"), "every node mounts"):
        assert word in str(result.error)
    assert not list((tmp_path / "c").rglob("*.parquet")) or not (tmp_path / "c" / "data").exists()


def test_node_that_does_not_mount_the_raw_data_is_named(cluster: Any, raw: Path, tmp_path: Path) -> None:
    """A real node in a mount namespace of its own, where the raw folder is empty."""
    program = Path(sys.executable).with_name("ray")  # of this installation, whatever the PATH says
    start = f"mount -t tmpfs none '{raw}' && exec '{program}' start --address {cluster.address} --num-cpus 1 --block"
    tried = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", str(raw)], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip("no mount namespace can be made here")
    node = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", start],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while sum(n["Alive"] and n["Resources"].get("CPU", 0) > 0 for n in ray.nodes()) < 3:
            assert node.poll() is None and time.monotonic() < deadline, "the node does not start"
            time.sleep(0.2)
        result = on_ray(cluster, raw, tmp_path / "c")
        assert isinstance(result.error, HemaError)
        for word in ("Node ", f"does not see the raw folder {raw / 'raabin'}", "every node mounts at the same path"):
            assert word in str(result.error)
        assert not (tmp_path / "c" / "data").exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups")
def test_stopped_by_hand_it_goes_on(cluster: Any, raw: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    words = ["build", "--source", "raabin", "--raw", str(raw), "--out", str(tmp_path / "c")]
    words += ["--executor", "ray", "--address", cluster.address]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    building = tmp_path / "c" / ".building" / "raabin"
    while process.poll() is None and not list(building.glob("*/record.json")):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    if process.returncode != 0:  # else it was quicker than we were
        assert process.returncode == 130 and "run the same command again" in told and "Traceback" not in told, told
    again = subprocess.run([sys.executable, "-c", COMMAND, *words], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert everything(tmp_path / "c") == whole


# Without a cluster.


def test_what_a_node_does_not_see_is_named(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    folder = out / ".building" / "raabin"
    folder.mkdir(parents=True)
    copy = tmp_path / "raw"
    sources.get("raabin").draw(copy, 4, 0)
    source = sources.get("raabin")
    refs = list(source.index(source.open_raw([copy])))
    seen = Sight.of(folder, "raabin", refs, len(refs))
    assert seen.complaint() == "" and seen.answer("n1") == "" and seen.answered("n1") == ""
    assert "writes into another folder" in seen.answered("n2")
    assert f"does not see the output folder {out}." in replace(seen, token=folder / "seen-else").complaint()
    assert "another reader of raabin" in replace(seen, reader="").complaint()
    assert "does not know the source nothing" in replace(seen, source="nothing").complaint()
    older = (("hemadata", "0.0"), *seen.programs[1:])
    assert "this machine 0.0: shards would differ" in replace(seen, programs=older).complaint()
    Path(seen.raw[0].path).write_bytes(b"other")
    assert f"does not see the raw folder {copy / 'raabin'} as the others do" in seen.complaint()
    Path(seen.raw[0].path).unlink()
    assert f"does not see the raw folder {copy / 'raabin'} as the others do" in seen.complaint()
    seen.close()
    assert list(folder.iterdir()) == []


def test_address_without_the_executor_is_a_slip() -> None:
    with pytest.raises(UsageError, match="--executor ray too"):
        CliRunner().invoke(app, ["build", "--source", "raabin", "--address", "h:1"], catch_exceptions=False)
