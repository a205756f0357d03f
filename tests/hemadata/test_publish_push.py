"""`hemadata push` with the real client against a Hub on loopback, whole and with everything going wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub.constants
import huggingface_hub.utils._http as client
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fake_hub import OWNER, READER, FakeHub, File, Handler, Repo
from hemadata.build import Options, build
from hemadata.build.assign import ARROW, read_assignment, write_assignment
from hemadata.build.replace import replace_stale
from hemadata.corpus import Corpus
from hemadata.errors import CorpusError, HemaError, HubError, InputMissingError, UsageError
from hemadata.hub import answers
from hemadata.hub import push as push_module
from hemadata.hub.layout import SHARD, is_ours
from hemadata.hub.push import Pushed, Wish, push
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import disable_progress_bars

REPO = "org/blood"
SOURCES = ["bccd", "wbcatt"]
FAULTS = [429, "ratelimit", 500, "cut", "lost"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("push") / "corpus"
    results = build([*SOURCES, "vivax"], Path("nowhere"), out, Options(phantom=10))
    assert [result.error for result in results if result.error] == []
    return out


@pytest.fixture(scope="module")
def changed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same corpus, split the other way round: what was train is test, and a split is gone."""
    out = Path(shutil.copytree(corpus, tmp_path_factory.mktemp("changed") / "corpus"))
    table = read_assignment(out)
    swapped = {"train": "test", "test": "train", "validation": "train", "excluded": "excluded"}
    splits = [swapped[split] for split in table["split"].to_pylist()]
    column = ARROW.get_field_index("split")
    assert write_assignment(out, table.set_column(column, ARROW.field(column), [splits]))
    replace_stale(out)
    return out


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No test waits; what would have been waited is told."""
    slept = list[float]()
    for module in (client, answers):
        monkeypatch.setattr(module.time, "sleep", slept.append)
    return slept


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, waits: list[float]) -> Iterator[FakeHub]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    disable_progress_bars()
    with FakeHub(**getattr(request, "param", {})) as served:
        yield served


def send(hub: FakeHub, corpus: Path, **about: Any) -> Pushed:
    wish: dict[str, Any] = {"repo": REPO, "check": "none", "endpoint": hub.endpoint, "token": OWNER} | about
    return push(corpus, Wish(**wish))


def rows(tree: dict[str, File]) -> dict[str, set[str]]:
    """Split -> sample ids, as the shards of a tree say."""
    found: dict[str, set[str]] = {}
    for path, file in tree.items():
        if SHARD.fullmatch(path):
            table = pq.read_table(pa.BufferReader(file.data), columns=["sample_id"])
            found.setdefault(path.rpartition("/")[2].partition("-")[0], set()).update(table["sample_id"].to_pylist())
    return found


def wanted(corpus: Path) -> dict[str, set[str]]:
    with Corpus(corpus) as opened:
        index = opened.index.filter(pc.not_equal(opened.index["source"], "vivax")).to_pylist()
    found: dict[str, set[str]] = {}
    for row in index:
        found.setdefault(row["split"], set()).add(row["sample_id"])
    return found


def assert_published(hub: FakeHub, corpus: Path, done: Pushed) -> Repo:
    """`main` holds the corpus, one merge brought it, the tag names it, and no request is left open."""
    repo = hub.repos[REPO]
    assert done.view and set(done.view.files) <= set(repo.tree())
    assert [path for path in repo.tree() if is_ours(path) and path not in done.view.files] == []
    assert rows(repo.tree()) == wanted(corpus)
    assert done.revision == repo.refs["main"] == repo.tags[done.tag]
    assert {one["status"] for one in repo.discussions} <= {"merged", "closed"}
    return repo


def test_push_merges_tags_and_a_second_push_finds_nothing_to_do(hub: FakeHub, corpus: Path) -> None:
    done = send(hub, corpus)
    repo = assert_published(hub, corpus, done)
    assert done.is_new and repo.titles[1:] == [f"Corpus {done.view and done.view.corpus_id}", repo.titles[-1]]
    assert done.tag == f"corpus-{done.view and done.view.corpus_id}"
    order = [kind for kind in dict.fromkeys(hub.seen) if kind in ("create", "discuss", "preupload", "commit", "merge")]
    assert order == ["create", "discuss", "preupload", "commit", "merge"]
    sent, commits = hub.received, list(repo.titles)
    again = send(hub, corpus)
    assert not again.is_new and again.revision == done.revision
    assert (hub.received, repo.titles) == (sent, commits) and len(repo.discussions) == 1
    assert not (corpus / ".publishing").exists()


def test_update_removes_what_is_gone_and_sends_only_what_is_new(hub: FakeHub, corpus: Path, changed: Path) -> None:
    send(hub, corpus)
    repo = hub.repos[REPO]
    repo.commit("main", repo.tree() | {"notes/mine.md": File(b"mine", False)}, "by hand")
    before = hub.received
    done = send(hub, changed)
    assert any("/validation-" in path for path in done.deleted)
    assert_published(hub, changed, done)
    assert repo.tree()["notes/mine.md"].data == b"mine", "what others put there stays"
    assert ".gitattributes" in repo.tree()
    fresh = sum(len(data) for data in hub.large.values())
    assert hub.received == fresh > before, "no large file was sent twice"
    assert len(repo.tags) == 2


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", [0, 1])
def test_every_kind_of_request_may_fail_once(
    hub: FakeHub, corpus: Path, waits: list[float], fault: int | str, number: int
) -> None:
    """Each kind of request fails at its first, or its second, time: nothing is lost and nothing is doubled."""
    hub.fault = lambda kind, n: fault if n == number else None
    done = send(hub, corpus)
    repo = assert_published(hub, corpus, done)
    assert [one["status"] for one in repo.discussions] == ["merged"]
    assert len(repo.titles) == 3 and len(repo.tags) == 1
    assert waits, "it was waited"
    if fault in (429, "ratelimit"):
        # What the server asked for, and a second for its rounding.
        assert min(waits) >= (3 if fault == 429 else 4)


@pytest.mark.parametrize("hub", [{"part": 20_000}], indirect=True)
@pytest.mark.parametrize("fault", [None, 500, "cut"])
def test_large_files_in_parts(hub: FakeHub, corpus: Path, fault: int | str | None) -> None:
    hub.fault = lambda kind, n: fault if n == 0 and kind.startswith("lfs") else None
    assert_published(hub, corpus, send(hub, corpus))
    assert "lfs_part" in hub.seen and "lfs_complete" in hub.seen


@pytest.mark.parametrize("kind", ["preupload", "lfs_upload", "commit", "resolve", "merge", "tag"])
def test_a_hub_that_stays_down_is_told_and_the_next_push_goes_on(hub: FakeHub, corpus: Path, kind: str) -> None:
    hub.fault = lambda asked, n: 500 if asked == kind and (kind != "lfs_upload" or n >= 3) else None
    with pytest.raises(HubError, match="Run the same push again"):
        send(hub, corpus)
    repo = hub.repos[REPO]
    assert kind == "tag" or rows(repo.tree()) == {}, "main was not touched"
    received = hub.received
    hub.fault = lambda asked, n: None
    done = send(hub, corpus)
    assert_published(hub, corpus, done)
    assert len(repo.discussions) == 1, "the same pull request was resumed"
    assert hub.received == sum(map(len, hub.large.values())), "nothing was sent twice"
    assert received <= hub.received


# `hemadata push` of a small corpus, in a process of its own.
COMMAND = [sys.executable, "-m", "hemadata.cli", "push"]


def environment(hub: FakeHub, tmp_path: Path) -> dict[str, str]:
    own = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": OWNER, "HF_HOME": str(tmp_path / "hf")}
    return os.environ | own | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


@pytest.mark.parametrize("kind", ["discuss", "lfs_upload", "commit", "merge"])
def test_a_killed_push_goes_on(hub: FakeHub, corpus: Path, tmp_path: Path, kind: str) -> None:
    own = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    process: list[subprocess.Popen[bytes]] = []

    def kill(asked: str, number: int) -> str | None:
        if asked == kind and number == (2 if kind == "lfs_upload" else 0):
            os.kill(process[0].pid, signal.SIGKILL)
            return "lost"
        return None

    hub.fault = kill
    arguments = [str(own), "--repo", REPO, "--check", "none"]
    process.append(subprocess.Popen([*COMMAND, *arguments], env=environment(hub, tmp_path), stdout=subprocess.DEVNULL))
    assert process[0].wait(timeout=300) == -signal.SIGKILL
    hub.fault = lambda asked, n: None
    done = send(hub, own)
    repo = assert_published(hub, own, done)
    assert len(repo.discussions) == 1 and len(repo.titles) == 3
    assert not (own / ".publishing").exists()


def test_a_reader_of_main_sees_one_whole_version(hub: FakeHub, corpus: Path, changed: Path) -> None:
    """At every request of an update, and by a reader that runs beside it all the time."""
    send(hub, corpus)
    repo, versions = hub.repos[REPO], [wanted(corpus), wanted(changed)]
    seen: list[dict[str, set[str]]] = []
    ended = threading.Event()

    def look(kind: str, number: int) -> None:
        if kind != "resolve" or number % 8 == 0:
            seen.append(rows(repo.tree()))

    def read() -> None:
        api = huggingface_hub.HfApi(endpoint=hub.endpoint, token=OWNER)
        while not ended.is_set():
            sha = api.dataset_info(REPO).sha  # as load_dataset does: one commit for everything that is read
            files = huggingface_hub.HfFileSystem(endpoint=hub.endpoint, token=OWNER, skip_instance_cache=True)
            found: dict[str, set[str]] = {}
            for path in files.glob(f"datasets/{REPO}@{sha}/data/*/*/*.parquet"):
                table = pq.read_table(pa.BufferReader(files.cat_file(path)), columns=["sample_id"])
                split = path.rpartition("/")[2].partition("-")[0]
                found.setdefault(split, set()).update(table["sample_id"].to_pylist())
            seen.append(found)

    beside = threading.Thread(target=read)
    beside.start()
    hub.fault = look
    try:
        send(hub, changed)
    finally:
        ended.set()
        beside.join()
    assert len(seen) > 10 and all(found in versions for found in seen)
    assert versions[0] in seen and rows(repo.tree()) == versions[1]
    assert not any(found["train"] & found["test"] for found in seen)


LOAD = """
import datasets, json, sys
told = {}
for config in sys.argv[2:]:
    loaded = datasets.load_dataset(sys.argv[1], config)
    told[config] = {split: sorted(part["sample_id"]) for split, part in loaded.items()}
    if config != "index":
        row = loaded["train"][0]
        told[config]["decoded"] = list(row["image"].size) == [row["width"], row["height"]]
streamed = datasets.load_dataset(sys.argv[1], sys.argv[2], split="test", streaming=True)
told["streamed"] = sorted(row["sample_id"] for row in streamed)
print(json.dumps(told))
"""


def test_load_dataset_reads_every_config(
    hub: FakeHub, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, serve, revisions = send(hub, corpus), Handler.resolve, set[str]()

    def noted(self: Handler, repo: str, rev: str, path: str) -> Any:
        if SHARD.fullmatch(path):
            revisions.add(rev)
        return serve(self, repo, rev, path)

    monkeypatch.setattr(Handler, "resolve", noted)
    configs = ["detection", "classification", "detection--bccd", "classification--wbcatt", "index"]
    ran = subprocess.run(
        [sys.executable, "-c", LOAD, REPO, *configs],
        env=environment(hub, tmp_path),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    with Corpus(corpus) as opened:
        for config in configs[:-1]:
            task, _, source = config.partition("--")
            source = source or {"detection": "bccd", "classification": "wbcatt"}[task]
            for split in ("train", "validation", "test"):
                ids = sorted(row["sample_id"] for row in opened.rows(task, split, ["sample_id"], source=source))
                assert told[config].get(split, []) == ids, (config, split)
            assert told[config]["decoded"]
    assert len(told["index"]["train"]) == 20
    assert told["streamed"] == told["detection"]["test"]
    assert revisions == {done.revision}, "shards are read from one commit, whatever becomes of main meanwhile"


def test_main_moved_by_others_is_taken_over(hub: FakeHub, corpus: Path) -> None:
    """Somebody edits the card while we upload: the push begins again from there, and the edit stays."""

    def edit(kind: str, number: int) -> None:
        if kind == "commit" and number == 0:
            repo = hub.repos[REPO]
            repo.commit("main", repo.tree() | {"README.md": File(b"My words.\n", False)}, "edit")

    hub.fault = edit
    done = send(hub, corpus)
    repo = assert_published(hub, corpus, done)
    card = repo.tree()["README.md"].data.decode()
    assert "My words.\n" in card and "hemadata:begin sources" in card
    assert [one["status"] for one in repo.discussions] == ["closed", "merged"]


def test_another_push_at_the_very_same_moment_is_told(hub: FakeHub, corpus: Path) -> None:
    def race(repo: Repo) -> None:
        shard = File(b"theirs", True)
        repo.commit("main", repo.tree() | {"data/detection/theirs/train-00.parquet": shard}, "another push")

    hub.before_merge = race
    with pytest.raises(HubError, match="another push at the same moment"):
        send(hub, corpus)
    hub.before_merge = lambda repo: None
    assert_published(hub, corpus, send(hub, corpus))


def test_a_push_of_another_corpus_closes_what_an_interrupted_one_left(
    hub: FakeHub, corpus: Path, changed: Path
) -> None:
    hub.fault = lambda kind, n: 500 if kind == "commit" else None
    with pytest.raises(HubError):
        send(hub, corpus)
    hub.fault = lambda kind, n: None
    repo = assert_published(hub, changed, send(hub, changed))
    assert [one["status"] for one in repo.discussions] == ["closed", "merged"]


def test_foreign_files_are_never_overwritten_or_read_as_ours(hub: FakeHub, corpus: Path) -> None:
    files = {"README.md": b"Theirs.\n", "data/train-00.parquet": b"x", "index/table.csv": b"y"}
    hub.add(REPO, files)
    repo = assert_published(hub, corpus, send(hub, corpus))
    tree = repo.tree()
    assert {path: tree[path].data for path in files if path != "README.md"} == dict(list(files.items())[1:])
    assert "Theirs.\n" in tree["README.md"].data.decode()
    for strange in ("data/detection/x/train-00.parquet", "croissant.json", "index/bccd.parquet"):
        hub.add("org/other", {strange: b"x"})
        with pytest.raises(HubError, match="did not put there"):
            send(hub, corpus, repo="org/other")
        assert hub.repos["org/other"].discussions == []


def test_no_token_no_right_no_name(hub: FakeHub, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hemadata.hub.remote.get_token", lambda: None)
    with pytest.raises(InputMissingError, match="hf auth login"):
        send(hub, corpus, token=None)
    assert hub.seen == []
    with pytest.raises(HubError, match="does not let you write"):
        send(hub, corpus, token=READER)
    hub.add("org/theirs", {"README.md": b"x"})
    with pytest.raises(HubError, match="does not let you write to org/theirs"):
        send(hub, corpus, token=READER, repo="org/theirs")
    with pytest.raises(HubError, match="does not know your token"):
        send(hub, corpus, token="hf_wrong")
    for name in ("blood", "a/b/c", "org/na me", "org/--"):
        with pytest.raises(UsageError, match="ORG/NAME"):
            send(hub, corpus, repo=name)
    assert REPO not in hub.repos and "preupload" not in hub.seen


def test_restricted_sources_wait_for_the_gate(hub: FakeHub, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = send(hub, corpus, kind="gated", repo="org/gated")
    assert hub.repos["org/gated"].gated == "manual"
    assert hub.seen.index("settings") < hub.seen.index("discuss") < hub.seen.index("preupload")
    assert [one.source for one in done.choice.goes] == ["vivax"]
    assert {path.split("/")[2] for path in hub.repos["org/gated"].tree() if path.startswith("data/")} == {"vivax"}
    send(hub, corpus)
    for kind, repo in (("gated", REPO), ("public", "org/gated")):
        before = hub.repos[repo].titles.copy()
        with pytest.raises(HemaError, match="belongs in another repository"):
            send(hub, corpus, kind=kind, repo=repo)
        assert hub.repos[repo].titles == before
    monkeypatch.setattr(Handler, "settings", lambda self, repo: (200, {}, {}))
    with pytest.raises(HubError, match="does not become gated"):
        send(hub, corpus, kind="gated", repo="org/open")
    assert hub.repos["org/open"].discussions == []


def test_a_public_repository_that_people_have_filled_is_not_gated_for_them(hub: FakeHub, corpus: Path) -> None:
    send(hub, corpus)
    hub.add("org/filled", {"theirs.csv": b"1"})
    for repo in (REPO, "org/filled"):
        with pytest.raises(HemaError):
            send(hub, corpus, kind="gated", repo=repo)
        assert hub.repos[repo].gated is False


def test_a_corpus_that_breaks_its_contract_is_not_published(hub: FakeHub, corpus: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    shard = next(own.glob("data/detection/bccd/train-*.parquet"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CorpusError, match="shard-changed data/detection/bccd/train-00"):
        send(hub, own)
    assert hub.seen == ["whoami", "info"], "the token is looked at before the long check, nothing is made"
    with pytest.raises(InputMissingError, match="no corpus"):
        send(hub, tmp_path / "empty")


def test_a_corpus_that_is_being_built_waits(hub: FakeHub, corpus: Path) -> None:
    from filelock import FileLock

    with FileLock(corpus / "manifest" / ".bccd.lock"), pytest.raises(CorpusError, match="is being built"):
        send(hub, corpus)
    assert hub.seen == []


@pytest.mark.parametrize("where", ["picture", "footer", "length"])
def test_what_the_hub_serves_otherwise_is_not_merged(
    hub: FakeHub, corpus: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The checksums of the listing are right, the bytes that are served are not."""
    serve = Handler.resolve

    def other(self: Handler, repo: str, rev: str, path: str) -> Any:
        status, data, headers = serve(self, repo, rev, path)
        if path.endswith("bccd/train-00.parquet") and status == 206:
            if where == "picture" and len(data) > 10_000:
                data = data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]
            elif where == "footer" and data.endswith(b"PAR1"):
                data = data[:-4] + b"XXXX"
            elif where == "length":
                data = data[:-1]
        return status, data, headers

    monkeypatch.setattr(Handler, "resolve", other)
    with pytest.raises(HubError):
        send(hub, corpus)
    assert rows(hub.repos[REPO].tree()) == {} and "merge" not in hub.seen


def test_dry_run_tells_and_sends_nothing(hub: FakeHub, corpus: Path, tmp_path: Path) -> None:
    arguments = [str(corpus), "--repo", REPO, "--dry-run"]
    ran = subprocess.run(
        [*COMMAND, *arguments], env=environment(hub, tmp_path), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert all(words in ran.stdout for words in ("bccd", "MIT", "CC-BY-4.0", "vivax", "CC-BY-NC-SA-3.0", "MB"))
    assert hub.seen == []
    staging = tmp_path / "view"
    done = send(hub, corpus, dry_run=True, staging=staging)
    assert done.view and (staging / "hemadata.json").exists() and hub.seen == []
    with pytest.raises(UsageError, match="is there already"):
        send(hub, corpus, dry_run=True, staging=staging)


def test_json_of_a_push_is_one_object_and_no_bars(hub: FakeHub, corpus: Path, tmp_path: Path) -> None:
    arguments = [str(corpus), "--repo", REPO, "--check", "none", "--json"]
    ran = subprocess.run(
        [*COMMAND, *arguments], env=environment(hub, tmp_path), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["sent"] and told["revision"] == hub.repos[REPO].refs["main"] and told["tag"] in hub.repos[REPO].tags
    assert "%|" not in ran.stderr, "no bars in a pipe"


def test_push_gives_up_where_others_never_stop(hub: FakeHub, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_module, "MOVES", 2)

    def edit(kind: str, number: int) -> None:
        if kind == "commit":
            hub.repos[REPO].commit("main", hub.repos[REPO].tree() | {"n": File(str(number).encode(), False)}, "edit")

    hub.fault = edit
    with pytest.raises(HubError, match="changed by others 2 times"):
        send(hub, corpus)
    assert rows(hub.repos[REPO].tree()) == {}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 8),
        ({"RateLimit": '"api";r=0;t=30', "Retry-After": "7"}, 31),
        ({"RateLimit": '"api";r=5;t=30'}, None),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 1),
        ({"Retry-After": "999999999"}, 3601),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_the_server_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    response = httpx2.Response(429, headers=headers, request=httpx2.Request("GET", "http://127.0.0.1"))
    assert answers._asked_to_wait(HfHubHTTPError("too many", response=response)) == seconds
