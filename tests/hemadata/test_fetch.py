"""Downloads against a real server on loopback that cuts, lies about length, ignores ranges and answers web pages."""

import contextlib
import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hemadata import sources
from hemadata.errors import HemaError, UsageError
from hemadata.fetch import Fetched, Patience, fetch, transfer
from hemadata.fetch.sniff import found_instead
from hemadata.fetch.watch import arrival, watch
from hemadata.sources.base import Source
from hemadata.sources.facts import FREE_LICENSES, LICENSES, Download, SourceFacts
from pydantic import ValidationError


def make_zip(size: int = 200_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("images/0.bin", hashlib.shake_256(b"pixels").digest(size))
    return buffer.getvalue()


ZIP = make_zip()
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in &amp; accept</title></head><body>%s</body></html>" % (b"x" * 5000)
QUICK = Patience(attempts=3, timeout=5.0, pause=0.01, sleep=lambda seconds: None)


@dataclass
class Answer:
    """How the server answers one path; `cuts` are the byte counts after which it hangs up, request by request."""

    body: bytes = ZIP
    etag: str | None = '"one"'
    ranges: bool = True
    length: int | None = None  # announced instead of the true one
    announce: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)  # before anything else
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    wait: float = 0.0


class Server:
    """A web server on loopback; `asked` holds (path, Range, If-Range) of every request."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str | None, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *words: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda request, address: None  # type: ignore[method-assign] # clients hang up
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{path}"

    def add(self, path: str, **how: Any) -> str:
        self.answers[path] = Answer(**how)
        return self.url(path)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, asked, unless = request.path[1:], request.headers["Range"], request.headers["If-Range"]
        self.asked.append((path, asked, unless))
        how = self.answers.get(path)
        if how is None or how.statuses:
            request.send_response(how.statuses.pop(0) if how else 404)
            for name, value in (how.headers if how else {}).items():
                request.send_header(name, value)
            request.send_header("Content-Length", "0")
            return request.end_headers()
        time.sleep(how.wait)
        start = 0
        if asked and how.ranges and unless in (None, how.etag):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(how.body) and start:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(how.body)}")
            request.send_header("Content-Length", "0")
            return request.end_headers()
        request.send_response(206 if start else how.status)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(how.body) - 1}/{how.length or len(how.body)}")
        if how.etag:
            request.send_header("ETag", how.etag)
        for name, value in how.headers.items():
            request.send_header(name, value)
        rest = how.body[start:]
        if how.announce:
            request.send_header("Content-Length", str((how.length or len(how.body)) - start))
        else:
            request.send_header("Connection", "close")
        request.end_headers()
        cut = how.cuts.pop(0) if how.cuts else None
        with contextlib.suppress(OSError):  # the client has seen enough
            request.wfile.write(rest if cut is None else rest[:cut])
        if cut is not None or not how.announce or how.length:
            request.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def source_of(*downloads: dict[str, Any], **facts: Any) -> Source:
    """A source with these downloads; its reader finds every file of images/."""
    page: dict[str, Any] = {
        **{"name": "far-away", "title": "Far away", "task": "classification", "annotation_origin": "published"},
        **{"version": "1", "citation": "Nobody", "homepage": "https://example.org", "license": "MIT"},
        **{"access": "open", "domain": {"modality": "single-cell"}, "download": downloads, **facts},
    }
    module = ModuleType("far_away")

    def index(raw: Any) -> Iterator[Any]:
        from hemadata.sources.base import Ref

        return (Ref(file.stem, file) for file in raw.own.find("images").each("images/*"))

    module.index = index  # type: ignore[attr-defined]
    return Source(SourceFacts.model_validate(page), module, b"")


def get(server: Server, tmp_path: Path, *links: str, **declared: Any) -> Fetched:
    url, *mirrors = links
    download = {"url": url, "mirrors": mirrors, "file": "a.zip", "kind": "zip", **declared}
    return fetch(source_of(download), tmp_path, patience=QUICK)


def test_whole_file_gets_its_name_and_nothing_else_is_left(server: Server, tmp_path: Path) -> None:
    digest = hashlib.sha256(ZIP).hexdigest()
    done = get(server, tmp_path, server.add("a"), sha256=digest, bytes=len(ZIP))
    assert [(f.status, f.bytes, f.checked) for f in done.files] == [("fetched", len(ZIP), "sha256")]
    assert [p.name for p in (tmp_path / "far-away").iterdir()] == ["a.zip"]
    assert (tmp_path / "far-away" / "a.zip").read_bytes() == ZIP
    assert get(server, tmp_path, server.url("a"), sha256=digest).files[0].status == "present"
    assert len(server.asked) == 1, "what is there and sound is not fetched again"


def test_cut_transfer_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    done = get(server, tmp_path, server.add("a", cuts=[70_000, 50_000]))
    assert done.files[0].status == "fetched"
    assert (tmp_path / "far-away" / "a.zip").read_bytes() == ZIP
    ranges = [(asked, unless) for _, asked, unless in server.asked]
    assert ranges == [(None, None), ("bytes=70000-", '"one"'), ("bytes=120000-", '"one"')]


def test_killed_transfer_goes_on_in_the_next_call(server: Server, tmp_path: Path) -> None:
    link = server.add("a", cuts=[90_000, 0, 0, 0, 0])
    first = get(server, tmp_path, link)
    assert first.failed and not (tmp_path / "far-away" / "a.zip").exists()
    server.answers["a"].cuts.clear()
    assert get(server, tmp_path, link).files[0].status == "fetched"
    assert server.asked[-1][1] == "bytes=90000-"
    assert (tmp_path / "far-away" / "a.zip").read_bytes() == ZIP


def test_server_that_ignores_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    done = get(server, tmp_path, server.add("a", ranges=False, cuts=[60_000]))
    assert done.files[0].status == "fetched" and server.asked[1][1] == "bytes=60000-"
    assert (tmp_path / "far-away" / "a.zip").read_bytes() == ZIP


def test_file_that_changed_meanwhile_is_not_glued_to_the_old_part(server: Server, tmp_path: Path) -> None:
    link = server.add("a", body=make_zip(150_000), cuts=[60_000, 0, 0, 0, 0])
    assert get(server, tmp_path, link).failed
    server.add("a", etag='"two"')
    assert get(server, tmp_path, link).files[0].status == "fetched"
    assert (tmp_path / "far-away" / "a.zip").read_bytes() == ZIP


@pytest.mark.parametrize("declared", [{}, {"sha256": hashlib.sha256(ZIP).hexdigest()}])
def test_without_validator_only_a_checksum_allows_to_go_on(
    server: Server, tmp_path: Path, declared: dict[str, str]
) -> None:
    assert get(server, tmp_path, server.add("a", etag=None, cuts=[60_000]), **declared).files[0].status == "fetched"
    assert server.asked[1][1] == ("bytes=60000-" if declared else None)
    assert (tmp_path / "far-away" / "a.zip").read_bytes() == ZIP


@pytest.mark.parametrize(
    ("how", "declared", "words"),
    [
        ({"body": PAGE}, {}, "a web page called “Sign in & accept”"),
        ({"body": PAGE[:90]}, {}, "a web page"),
        ({"body": b'{"error": "quota"}'}, {}, "no zip: it begins with"),
        ({"body": b"Rar!\x1a\x07\x01\x00" + ZIP}, {}, "no zip"),
        ({"length": len(ZIP) + 5000}, {}, f"the server has {len(ZIP):,} bytes, {len(ZIP) + 5000:,} were announced"),
        ({"length": len(ZIP) + 5000, "ranges": False}, {}, "3 times in a row"),
        ({"length": len(ZIP) - 5000}, {}, "the archive is cut or damaged"),
        ({}, {"bytes": 12345}, "announces"),
        ({"announce": False}, {"bytes": 50_000}, "more than the 50,000 bytes"),
        ({"announce": False, "body": ZIP[:-9000]}, {"bytes": len(ZIP)}, "are declared"),
        ({}, {"sha256": "0" * 64}, "its sha256 is"),
        ({}, {"md5": "0" * 32}, "its md5 is"),
        ({}, {"git_sha1": "0" * 40}, "its git_sha1 is"),
        ({"headers": {"Content-Encoding": "gzip"}}, {}, "packs its answer"),
        ({"statuses": [403]}, {}, "403: it refuses"),
        ({"statuses": [401]}, {}, "it asks for a login"),
        ({"statuses": [429] * 9}, {}, "429 Too Many Requests, 3 times in a row"),
        ({"cuts": [0] * 9}, {}, "3 times in a row"),
        ({"status": 200, "body": b""}, {}, "nothing"),
    ],
)
def test_what_is_not_the_file_is_refused_and_told(
    server: Server, tmp_path: Path, how: dict[str, Any], declared: dict[str, Any], words: str
) -> None:
    done = get(server, tmp_path, server.add("a", **how), **declared)
    assert [f.status for f in done.files] == ["failed"]
    assert words in done.files[0].found[0], done.files[0].found
    assert not (tmp_path / "far-away" / "a.zip").exists()
    assert done.steps, "a person learns what to do"


def test_links_are_tried_in_order(server: Server, tmp_path: Path) -> None:
    links = [server.url("gone"), server.add("page", body=PAGE), server.add("a"), server.add("unused")]
    assert get(server, tmp_path, *links).files[0].status == "fetched"
    assert [path for path, *_ in server.asked] == ["gone", "page", "a"]


def test_part_of_one_link_is_not_continued_from_another(server: Server, tmp_path: Path) -> None:
    other = make_zip(150_000)
    links = server.add("old", body=other, cuts=[60_000, 0, 0, 0, 0]), server.add("a", etag='"one"')
    assert get(server, tmp_path, *links).files[0].status == "fetched"
    assert (tmp_path / "far-away" / "a.zip").read_bytes() == ZIP


def test_busy_server_is_asked_again_after_the_time_it_names(server: Server, tmp_path: Path) -> None:
    pauses: list[float] = []
    patience = Patience(attempts=3, pause=1.0, longest=20.0, sleep=pauses.append)
    link = server.add("a", statuses=[503, 429], headers={"Retry-After": "7"})
    source = source_of({"url": link, "file": "a.zip", "kind": "zip"})
    assert fetch(source, tmp_path, patience=patience).files[0].status == "fetched"
    assert pauses == [7.0, 7.0]
    server.add("b", statuses=[503, 503], headers={"Retry-After": "99999"})
    fetch(source_of({"url": server.url("b"), "file": "b.zip", "kind": "zip"}), tmp_path, patience=patience)
    assert pauses[2:] == [20.0, 20.0], "nobody waits for a day"


def test_server_that_says_nothing_is_given_up(server: Server, tmp_path: Path) -> None:
    patience = Patience(attempts=2, timeout=0.05, sleep=lambda seconds: None)
    source = source_of({"url": server.add("a", wait=0.5), "file": "a.zip", "kind": "zip"})
    assert "no answer in time, 2 times in a row" in fetch(source, tmp_path, patience=patience).files[0].found[0]


def test_redirects_are_followed_and_loops_end(server: Server, tmp_path: Path) -> None:
    server.add("a")
    link = server.add("moved", status=302, body=b"", headers={"Location": "/a"})
    assert get(server, tmp_path, link).files[0].status == "fetched"
    loop = server.add("loop", status=302, body=b"", headers={"Location": "/loop"})
    assert "redirects" in get(server, tmp_path / "second", loop).files[0].found[0]


def test_wrong_file_that_is_there_is_told_and_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "far-away").mkdir()
    (tmp_path / "far-away" / "a.zip").write_bytes(b"mine")
    done = get(server, tmp_path, server.add("a"))
    assert done.failed and "Move it away" in done.files[0].found[0]
    assert (tmp_path / "far-away" / "a.zip").read_bytes() == b"mine" and server.asked == []


def test_unannounced_size_is_bounded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MAX_UNDECLARED", 100_000)
    done = get(server, tmp_path, server.add("a", announce=False))
    assert "more than the 100,000 bytes" in done.files[0].found[0]
    assert list((tmp_path / "far-away").iterdir()) == []


def test_full_disk_is_told_before_the_first_byte(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(HemaError, match="1 are free"):
        get(server, tmp_path, server.add("a"))


def test_git_checksum_is_that_of_git(server: Server, tmp_path: Path) -> None:
    blob = hashlib.sha1(b"blob %d\0" % len(ZIP) + ZIP).hexdigest()
    done = get(server, tmp_path, server.add("a"), git_sha1=blob)
    assert (done.files[0].status, done.files[0].checked) == ("fetched", "git_sha1")


# Licences, and what only a person may get


@pytest.mark.parametrize("name", LICENSES)
def test_licence_that_is_not_free_must_be_accepted(server: Server, tmp_path: Path, name: str) -> None:
    assert (name in FREE_LICENSES) == ("NC" not in name and name not in ("unknown", "LicenseRef-research-only"))
    source = source_of({"url": server.add("a"), "file": "a.zip", "kind": "zip"}, license=name, license_note="ask her")
    if name not in FREE_LICENSES:
        with pytest.raises(UsageError, match=r"(?s)ask her.*--accept-license"):
            fetch(source, tmp_path, patience=QUICK)
        assert server.asked == [] and not list(tmp_path.iterdir())
    assert fetch(source, tmp_path, accept_license=True, patience=QUICK).files[0].status == "fetched"


@pytest.mark.parametrize(
    "declared",
    [
        {"kind": "folder"},
        {"kind": "git"},
        {"kind": "zip", "person": True},
        {"kind": "zip", "url": "https://www.kaggle.com/datasets/x/y"},
        {"kind": "zip", "url": "https://universe.roboflow.com/x/y"},
    ],
)
def test_what_only_a_person_may_get_is_told_as_steps(tmp_path: Path, declared: dict[str, Any]) -> None:
    source = source_of({"url": "https://example.org/a", "file": "a.zip", **declared}, license="unknown")
    done = fetch(source, tmp_path)
    assert done.files == []
    [(folder, steps)] = done.steps.items()
    assert folder == str(tmp_path / "far-away")
    assert [step[:2] for step in steps] == ["1.", "2."] and folder in steps[-1]


def test_optional_files_come_only_when_named(server: Server, tmp_path: Path) -> None:
    source = source_of(
        {"url": server.add("a"), "file": "a.zip", "kind": "zip"},
        {"url": server.add("b"), "file": "b.zip", "kind": "zip", "optional": True},
    )
    assert [f.path.name for f in fetch(source, tmp_path, patience=QUICK).files] == ["a.zip"]
    assert [f.path.name for f in fetch(source, tmp_path, files=["b.zip"], patience=QUICK).files] == ["b.zip"]
    with pytest.raises(UsageError, match=r"a\.zip, b\.zip"):
        fetch(source, tmp_path, files=["c.zip"], patience=QUICK)


@pytest.mark.parametrize("name", ["../a.zip", "/etc/a.zip", "x/../../a.zip", "", "..\\a.zip"])
def test_file_names_stay_below_the_raw_folder(name: str) -> None:
    with pytest.raises(ValidationError):
        Download(url="https://example.org/a.zip", file=name, kind="zip")


@pytest.mark.parametrize("name", sources.names())
def test_every_source_tells_how_its_folders_are_filled(name: str, tmp_path: Path) -> None:
    from hemadata.fetch import by_person, steps, wanted

    source = sources.get(name)
    due, by_hand = wanted(source), by_person(source)
    filled = {entry.folder for entry in due} | {folder for folder, _ in by_hand}
    assert filled == set(source.facts.raw_folders)
    assert all(entry.name and entry.download.url.startswith("http") for entry in due)
    for folder, owner in by_hand:
        lines = steps(owner, tmp_path / folder)
        numbers = [int(line.split(".")[0]) for line in lines if line.split(".")[0].isdecimal()]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 2, lines


# Watching


def test_watch_ends_when_all_has_arrived(tmp_path: Path) -> None:
    source = source_of({"url": "https://example.org", "kind": "folder"}, published={"images": 3})
    folder, told, waits = tmp_path / "far-away", list[str](), 0

    def next_file(seconds: float) -> None:
        nonlocal waits
        waits += 1
        acts: dict[int, Callable[[], Any]] = {
            1: lambda: folder.mkdir(),
            2: lambda: (folder / "data.zip.crdownload").write_bytes(b"PK"),
            6: lambda: (folder / "data.zip.crdownload").unlink(),
            7: lambda: (folder / "images").mkdir(),
            8: lambda: [(folder / "images" / f"{n}.png").write_bytes(b"x") for n in (1, 2)],
            12: lambda: (folder / "images" / "3.png").write_bytes(b"x"),
        }
        acts.get(waits, lambda: None)()
        assert waits < 30, told

    found = watch(source, tmp_path, told.append, sleep=next_file)
    assert found.is_complete and found.images == 3 and waits >= 13
    text = "\n".join(told)
    assert "is empty or not there" in text and "has not ended" in text and "2 of 3 images" in text


def test_arrival_of_a_file_of_another_size_is_not_complete(tmp_path: Path) -> None:
    source = source_of({"url": "https://example.org/a.zip", "file": "a.zip", "kind": "zip", "bytes": len(ZIP) + 1})
    (tmp_path / "far-away").mkdir()
    (tmp_path / "far-away" / "a.zip").write_bytes(ZIP)
    found = arrival(source, tmp_path)
    assert found.images == 1 and "cut, or another version" in found.missing[0]


def test_archives_that_the_build_unpacks_need_only_be_there(tmp_path: Path) -> None:
    names = ("Train.rar", "TestA.rar")
    source = source_of(*({"url": f"https://example.org/{name}", "file": name, "kind": "rar"} for name in names))
    (tmp_path / "far-away").mkdir()
    (tmp_path / "far-away" / "Train.rar").write_bytes(b"Rar!\x1a\x07\x01\x00")
    assert any("TestA.rar is not there" in line for line in arrival(source, tmp_path).missing)
    (tmp_path / "far-away" / "TestA.rar").write_bytes(b"Rar!\x1a\x07\x01\x00")
    assert arrival(source, tmp_path).is_complete


def test_head_of_every_kind() -> None:
    assert found_instead(ZIP[:100], "npz") is None
    assert found_instead(b"Rar!\x1a\x07\x01\x00", "rar") is None
    assert found_instead(b"7z\xbc\xaf\x27\x1c\0\4", "7z") is None
    assert found_instead(b"\x1f\x8b\x08", "tar.gz") is None
    assert found_instead(b"name,class\n", "csv") is None
    assert found_instead(b"\xef\xbb\xbf  <HTML>", "csv") == "a web page"
    assert found_instead(b"a,b\0\0", "csv") == "no text: it holds zero bytes"
    assert found_instead(b"", "tar") == "nothing"


# The command


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process, with the sources of the test."""
    from hemadata.cli import main

    def call(source: Source, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sources, "get", lambda name: source)
        arguments = ["hemadata", "fetch", "--source", "far-away", "--raw", str(tmp_path / "raw"), *words]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


def test_command_fetches_and_says_when_nothing_is_left(
    server: Server, command: Callable[..., tuple[int, str, str]]
) -> None:
    source = source_of({"url": server.add("a"), "file": "a.zip", "kind": "zip"}, published={"images": 1})
    code, out, _ = command(source)
    assert code == 0 and "far-away is complete: 1 images" in out and "hemadata build" in out
    assert f"a.zip: {len(ZIP):,} bytes are announced" in out
    code, out, err = command(source, "--json")
    said = json.loads(out)
    assert (code, said["complete"], said["images"], err) == (0, True, 1, "") and len(server.asked) == 1


def test_command_without_consent_is_a_usage_error(server: Server, command: Callable[..., tuple[int, str, str]]) -> None:
    source = source_of({"url": server.add("a"), "file": "a.zip", "kind": "zip"}, license="unknown")
    code, _, err = command(source)
    assert code == 2 and "--accept-license" in err
    assert command(source, "--accept-license")[0] == 0


def test_command_tells_failures_link_by_link(server: Server, command: Callable[..., tuple[int, str, str]]) -> None:
    page, gone = server.add("page", body=PAGE), server.url("gone")
    code, out, err = command(source_of({"url": page, "mirrors": [gone], "file": "a.zip", "kind": "zip"}))
    assert code == 1 and f"{page}: it answers with a web page" in err and f"{gone}: the server answers 404" in err
    assert "a person must act" in out and "1. " in out


def test_command_for_a_person_prints_steps_and_the_folder(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    source = source_of(instructions="1. Log in at X.\n2. Press Y.")
    code, out, _ = command(source)
    assert code == 3 and "1. Log in at X." in out and f"3. The folder to put the files in is {tmp_path / 'raw'}" in out
    code, out, _ = command(source, "--json")
    said = json.loads(out)
    assert code == 3 and not said["complete"] and "2. Press Y." in next(iter(said["steps"].values()))


def test_command_watches_until_complete(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "raw" / "far-away" / "images"

    def arrive(seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "1.png").write_bytes(b"x")

    monkeypatch.setattr("time.sleep", arrive)
    monkeypatch.setattr(watch, "__defaults__", (5.0, arrive))
    code, out, _ = command(source_of(instructions="1. Log in at X."), "--watch")
    assert code == 0 and "complete: 1 images" in out
