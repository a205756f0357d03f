"""Archives that are read from the front: unpacked once, bounded, to the same corpus, and never trusted."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hemadata
import numpy as np
import pytest
from hemadata import sources
from hemadata.build import Options, build
from hemadata.errors import HemaError, LayoutError
from hemadata.formats import streams
from hemadata.formats.archives import MAX_HEADER
from hemadata.formats.rawtree import RawTree
from hemadata.formats.spool import Limits, Spool
from hypothesis import given, settings
from hypothesis import strategies as st

COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    **{".tar.gz": gzip.compress, ".tgz": gzip.compress, ".tar.bz2": bz2.compress, ".tar.xz": lzma.compress}
}
every_kind = pytest.mark.parametrize("kind", COMPRESSED)


def tar_of(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    """A tar of these files, and of headers alone."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in more:
            tar.addfile(info)
    return out.getvalue()


def odd(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def unpacked(archive: Path, limits: Limits | None = None) -> dict[str, bytes]:
    """Content of an archive, by way of a spool beside it."""
    folder = Spool(archive.parent / "spool", limits=limits or Limits()).unpack(str(archive)).folder
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


FILES = {"a/1.jpg": b"one" * 9000, "a/2.jpg": b"", "b/c/3.txt": os.urandom(70_000)}


# --- what comes out ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn")
    sources.get("bccd").draw(out, 6, 0)
    return out / "bccd"


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rows(raw: Path, out: Path) -> list[tuple[str, str, str]]:
    (result,) = build(["bccd"], raw, out, Options(check="header"))
    assert result.error is None and result.images == 6
    with hemadata.open(out) as corpus:
        return [(r["sample_id"], r["source_file"], r["sha256"] + str(r["objects"])) for r in corpus.rows("detection")]


@pytest.mark.parametrize("kind", [".tar.gz", ".tar.xz"])
def test_archive_gives_the_corpus_that_its_folder_gives(kind: str, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "raw" / "bccd").mkdir(parents=True)
    (tmp_path / "raw" / "bccd" / f"all{kind}").write_bytes(COMPRESSED[kind](tar_of(content(drawn))))
    assert rows(tmp_path / "raw", tmp_path / "a") == rows(drawn.parent, tmp_path / "b")
    assert not (tmp_path / "a" / ".building").exists(), "the spool is removed when the source is done"


@every_kind
def test_members_come_out_as_they_went_in(kind: str, tmp_path: Path) -> None:
    archive = tmp_path / f"x{kind}"
    archive.write_bytes(COMPRESSED[kind](tar_of(FILES)))
    assert unpacked(archive) == FILES


def test_single_gzip_file_stands_without_its_ending(tmp_path: Path) -> None:
    (tmp_path / "raw" / "in").mkdir(parents=True)
    (tmp_path / "raw" / "in" / "labels.csv.gz").write_bytes(gzip.compress(b"a,b\n"))
    tree = RawTree.scan(tmp_path / "raw", Spool(tmp_path / "spool"))
    assert sorted(tree.files) == ["in/labels.csv", "in/labels.csv.gz"]
    assert tree.files["in/labels.csv"].text() == "a,b\n"


def test_junk_and_zips_inside_are_recognised(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr("2.jpg", b"two")
    files = {"a/1.jpg": b"x", "__MACOSX/a/._1.jpg": b"x", "a/.DS_Store": b"x", "a/Thumbs.db": b"x"}
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "x.tar.gz").write_bytes(gzip.compress(tar_of(files | {"b/in.zip": inner.getvalue()})))
    tree = RawTree.scan(tmp_path / "raw", Spool(tmp_path / "spool"))
    assert sorted(tree.files) == ["a/1.jpg", "b/2.jpg", "b/in.zip", "x.tar.gz"]
    assert tree.files["b/2.jpg"].read() == b"two"
    assert [file.name for file in tree.junk] == ["__MACOSX/a/._1.jpg", "a/.DS_Store", "a/Thumbs.db"]


def test_unpacked_files_count_where_the_archive_lies_beside_them(tmp_path: Path) -> None:
    (tmp_path / "raw" / "a").mkdir(parents=True)
    (tmp_path / "raw" / "a" / "1.jpg").write_bytes(b"mine")
    (tmp_path / "raw" / "x.tar.gz").write_bytes(gzip.compress(tar_of(FILES)))
    tree = RawTree.scan(tmp_path / "raw", Spool(tmp_path / "spool"))
    assert tree.files["a/1.jpg"].read() == b"mine" and tree.files["b/c/3.txt"].read() == FILES["b/c/3.txt"]


def test_files_keep_the_time_of_the_archive_so_that_units_stay_done(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "raw" / "bccd").mkdir(parents=True)
    (tmp_path / "raw" / "bccd" / "x.tar.gz").write_bytes(gzip.compress(tar_of(content(drawn))))
    assert build(["bccd"], tmp_path / "raw", tmp_path / "out", Options(check="header"))[0].units_done
    assert not build(["bccd"], tmp_path / "raw", tmp_path / "out", Options(check="header"))[0].units_done


names = st.lists(st.text("abcé 漢.\\", min_size=1, max_size=5), min_size=1, max_size=3).map("/".join)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(names, st.binary(max_size=200), max_size=5), st.sampled_from(sorted(COMPRESSED)))
def test_any_tree_comes_out_whole_or_is_refused(files: dict[str, bytes], kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / f"x{kind}"
        archive.write_bytes(COMPRESSED[kind](tar_of(files)))
        wanted = {
            "/".join(p for p in n.replace("\\", "/").split("/") if p not in ("", ".")): d for n, d in files.items()
        }
        parts = {"/".join(name.split("/")[:k]) for name in wanted for k in range(1, name.count("/") + 1)}
        refused = any(n.startswith(("\\", "/")) or ".." in n.replace("\\", "/").split("/") for n in files)
        if refused or "" in wanted or parts & wanted.keys() or not files:
            if files:
                with pytest.raises(LayoutError):
                    unpacked(archive)
                assert everything(Path(folder)) == {archive.name}
        else:
            assert unpacked(archive) == wanted


# --- never trusted ----------------------------------------------------------------------------------------------------

HOSTILE = ["../out.jpg", "/tmp/hema-out.jpg", "a/../../out.jpg", "..\\out.jpg", "\\out.jpg", "a/..", "."]


@pytest.mark.parametrize("name", HOSTILE)
def test_member_that_would_leave_the_spool_is_refused(name: str, tmp_path: Path) -> None:
    archive = tmp_path / "in" / "x.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(gzip.compress(tar_of({"a/1.jpg": b"x", name: b"out"})))
    with pytest.raises(LayoutError, match=r"x\.tar\.gz: .* leave its folder"):
        unpacked(archive)
    assert everything(tmp_path) == {"in", "in/x.tar.gz"}


def test_links_and_devices_are_left_out_and_nothing_is_written_through_them(drawn: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    odd_ones = [odd("BCCD/to", tarfile.SYMTYPE, str(outside)), odd("BCCD/hard", tarfile.LNKTYPE, "/etc/passwd")]
    odd_ones += [odd("BCCD/pipe", tarfile.FIFOTYPE), odd("BCCD/disk", tarfile.BLKTYPE)]
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for info in odd_ones:
            tar.addfile(info)
        for name, body in (content(drawn) | {"BCCD/to/evil.txt": b"x"}).items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    (tmp_path / "raw" / "bccd").mkdir(parents=True)
    (tmp_path / "raw" / "bccd" / "x.tar.gz").write_bytes(gzip.compress(data.getvalue()))
    (result,) = build(["bccd"], tmp_path / "raw", tmp_path / "out", Options(check="header"))
    assert result.images == 6 and not list(outside.iterdir())
    told = {(e.file, e.detail.split(",")[0]) for e in result.quarantine if e.reason == "left_out"}
    ends = {"BCCD/to": "a link", "BCCD/hard": "a link", "BCCD/pipe": "a device", "BCCD/disk": "a device"}
    assert told == {(f"x.tar.gz/{name}", kind) for name, kind in ends.items()}


def test_links_in_plain_archives_are_left_out_too(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of({"a.jpg": b"x"}, odd("l", tarfile.SYMTYPE, "/etc/passwd")))
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as made:
        link = zipfile.ZipInfo("m")
        link.external_attr = 0o120777 << 16
        made.writestr(link, "/etc/passwd")
    tree = RawTree.scan(tmp_path)
    assert sorted(tree.files) == ["a.jpg", "x.tar", "y.zip"]
    assert [name for name, _ in tree.left_out] == ["x.tar/l", "y.zip/m"]


@pytest.mark.parametrize("kind", [".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".npz"])
def test_bomb_is_refused_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    archive, zeros = tmp_path / f"bomb{kind}", bytes(100_000_000)
    if kind == ".npz":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("a.npy", zeros)
    else:
        pack = COMPRESSED.get(kind, gzip.compress)
        archive.write_bytes(pack(zeros if kind == ".gz" else tar_of({"a.bin": zeros})))
    with pytest.raises(LayoutError, match=r"bomb.*at most .* are unpacked"):
        unpacked(archive)
    assert everything(tmp_path) == {archive.name}


def test_bomb_of_many_small_members_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(tar_of({f"{n}.txt": b"" for n in range(30)})))
    with pytest.raises(LayoutError, match="more than 20 members"):
        unpacked(archive, Limits(files=20))


def test_member_announced_larger_than_any_set_is_refused_before_it_is_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("huge.bin")
    info.size = 1 << 42
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240)))
    with pytest.raises(LayoutError, match=r"4,398,046,511,104 bytes with huge\.bin"):
        unpacked(archive)


@pytest.mark.parametrize("packed", [True, False])
def test_header_that_would_fill_the_memory_is_refused(packed: bool, tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, MAX_HEADER + 1
    data = info.tobuf(tarfile.GNU_FORMAT) + bytes(MAX_HEADER + 10240)
    (tmp_path / ("x.tar.gz" if packed else "x.tar")).write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(LayoutError, match="a header of"):
        RawTree.scan(tmp_path, Spool(tmp_path / "spool"))


def test_archives_within_archives_without_end_are_refused(tmp_path: Path) -> None:
    data, name = tar_of({"1.jpg": b"x"}), "x.tar.gz"
    for _ in range(6):
        data = tar_of({name: gzip.compress(data)})
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / name).write_bytes(gzip.compress(data))
    with pytest.raises(LayoutError, match="archives within archives"):
        RawTree.scan(tmp_path / "raw", Spool(tmp_path / "spool"))


def test_disk_without_room_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as made:
        made.writestr("a.npy", bytes(5000))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9999, 8999, 1000))  # type: ignore[attr-defined]
    with pytest.raises(HemaError, match=r"x\.npz: at least .* bytes are to be unpacked .* 1,000 are free"):
        unpacked(tmp_path / "x.npz")
    assert everything(tmp_path) == {"x.npz"}


# --- cut, mixed, killed -----------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_archive_cut_anywhere_is_refused_by_name(kind: str, share: float, tmp_path: Path) -> None:
    whole = COMPRESSED[kind](tar_of(FILES))
    archive = tmp_path / f"x{kind}"
    archive.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(LayoutError, match=rf"x\{kind}: the archive is cut or damaged"):
        unpacked(archive)
    assert everything(tmp_path) == {archive.name}


@pytest.mark.parametrize("packed", [True, False])
def test_broken_header_in_the_middle_is_not_taken_for_the_end(packed: bool, tmp_path: Path) -> None:
    data = bytearray(tar_of({f"{n}.jpg": bytes(30_000) for n in range(3)}))
    at = data.index(b"1.jpg")
    data[at : at + 512] = b"\xff" * 512
    (tmp_path / ("x.tar.gz" if packed else "x.tar")).write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(LayoutError, match="cut or damaged"):
        RawTree.scan(tmp_path, Spool(tmp_path / "spool"))


def test_two_versions_of_an_archive_are_told_and_two_copies_are_one(tmp_path: Path) -> None:
    def pack(name: str, body: bytes) -> None:
        with zipfile.ZipFile(tmp_path / name, "w") as made:
            made.writestr("a/1.jpg", body)

    pack("v1.zip", b"same")
    pack("copy.zip", b"same")
    assert RawTree.scan(tmp_path).files["a/1.jpg"].read() == b"same"
    pack("v2.zip", b"else")
    with pytest.raises(LayoutError, match=r"copy\.zip and v2\.zip both hold a/1\.jpg"):
        RawTree.scan(tmp_path)


KILLED = """
import os, sys
from pathlib import Path
from hemadata.formats import streams
from hemadata.formats.spool import Spool
whole, seen = streams._blocks, []
def dying(file, size=None):
    for block in whole(file, size):
        yield block
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), 9)
streams._blocks = dying
Spool(Path(sys.argv[2])).unpack(sys.argv[1])
"""


def test_killed_in_the_middle_it_begins_again_and_what_is_whole_is_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, folder = tmp_path / "x.tar.gz", tmp_path / "spool"
    archive.write_bytes(gzip.compress(tar_of(FILES)))
    assert subprocess.run([sys.executable, "-c", KILLED, str(archive), str(folder)], check=False).returncode == -9
    (left,) = folder.iterdir()
    assert left.suffix == ".part" and everything(left / "files")
    assert unpacked(archive) == FILES
    assert [path.suffix for path in folder.iterdir()] == [""]
    with monkeypatch.context() as patched:
        patched.setattr(streams, "reading", lambda path: pytest.fail("unpacked a second time"))
        assert unpacked(archive) == FILES
    (short,) = folder.rglob("3.txt")  # as a power failure leaves it
    short.write_bytes(b"")
    assert unpacked(archive) == FILES
    archive.write_bytes(gzip.compress(tar_of({"new.jpg": b"new"})))
    assert unpacked(archive) == {"new.jpg": b"new"}


def test_build_that_stops_keeps_the_spool_and_says_so(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raw" / "bccd").mkdir(parents=True)
    (tmp_path / "raw" / "bccd" / "x.tar.gz").write_bytes(gzip.compress(tar_of(content(drawn))))
    told: list[str] = []

    def run() -> Any:
        return build(["bccd"], tmp_path / "raw", tmp_path / "out", Options(check="header"), tell=told.append)[0]

    def stop(*_: object) -> None:
        raise HemaError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr("hemadata.build.engine._run", stop)
        assert str(run().error) == "stopped" and "keeps what was unpacked" in told[-1]
    monkeypatch.setattr(streams, "reading", lambda path: pytest.fail("unpacked a second time"))
    assert run().images == 6 and not (tmp_path / "out" / ".building").exists()


def test_large_archive_is_announced_with_its_size(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        made.writestr("a.npy", np.random.default_rng(0).integers(0, 4, 70_000_000, np.uint8).tobytes())
    told: list[str] = []
    Spool(tmp_path / "spool", told.append).unpack(str(tmp_path / "x.npz"))
    assert len(told) == 1 and "x.npz (" in told[0] and "unpacked 70 MB) is unpacked into" in told[0]


# --- .rar and .7z, by a tool ------------------------------------------------------------------------------------------


def rar_of(files: dict[str, bytes]) -> bytes:
    """A RAR 4 archive of stored files: signature, archive header, then header and bytes of each file, end."""

    def block(kind: int, flags: int, body: bytes, size: int = 0) -> bytes:
        head = kind.to_bytes(1, "little") + flags.to_bytes(2, "little") + (7 + len(body)).to_bytes(2, "little") + body
        return (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little") + head

    out = b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6))
    for name, data in files.items():
        numbers = [(len(data), 4), (len(data), 4), (3, 1), (zlib.crc32(data), 4), (0, 4), (20, 1), (0x30, 1)]
        body = b"".join(value.to_bytes(width, "little") for value, width in [*numbers, (len(name), 2), (0o100644, 4)])
        out += block(0x74, 0x8000, body + name.encode()) + data
    return out + block(0x7B, 0x4000, b"")


def one_tool(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this tool on the path; skips where the machine has none."""
    if (found := shutil.which(name)) is None:
        pytest.skip(f"no {name} here")
    folder.mkdir()
    (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))


def test_without_a_tool_the_archive_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "raw" / "raabin").mkdir(parents=True)
    (tmp_path / "raw" / "raabin" / "Train.rar").write_bytes(rar_of({"a.jpg": b"x"}))
    (result,) = build(["raabin"], tmp_path / "raw", tmp_path / "out")
    for word in ("Train.rar is not unpacked", "bsdtar", "7zz", "by hand"):
        assert word in str(result.error)


@pytest.mark.parametrize("tool", streams.TOOLS)
def test_rar_is_read_by_a_tool(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_tool(tool, tmp_path / "bin", monkeypatch)
    archive = tmp_path / "x.rar"
    archive.write_bytes(rar_of({"a/1.jpg": b"one", "a/2.jpg": b"two" * 5000}))
    if tool in streams.SEVEN_ZIP and subprocess.run([tool, "l", archive], capture_output=True, check=False).returncode:
        pytest.skip(f"this {tool} was built without RAR")
    assert unpacked(archive) == {"a/1.jpg": b"one", "a/2.jpg": b"two" * 5000}
    archive.write_bytes(archive.read_bytes()[:-9000])
    with pytest.raises(LayoutError, match=r"x\.rar: the archive is cut or damaged"):
        unpacked(archive)


@pytest.mark.parametrize("tool", streams.TOOLS)
def test_solid_7z_is_read_by_a_tool(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = shutil.which("bsdtar")
    if maker is None:
        pytest.skip("no bsdtar here to make one")
    (tmp_path / "in" / "a").mkdir(parents=True)
    wanted = {f"a/{n}.jpg": os.urandom(n * 40_000) for n in range(4)}
    for name, data in wanted.items():
        (tmp_path / "in" / name).write_bytes(data)
    (tmp_path / "in" / "a" / "link").symlink_to("/etc/passwd")
    archive = tmp_path / "x.7z"
    subprocess.run([maker, "--format=7zip", "-cf", archive, "-C", tmp_path / "in", "a"], check=True)
    one_tool(tool, tmp_path / "bin", monkeypatch)
    assert unpacked(archive) == wanted
    assert Spool(tmp_path / "spool").unpack(str(archive)).left_out == [("a/link", "link")]
    archive.write_bytes(archive.read_bytes()[:100_000])
    with pytest.raises(LayoutError, match=r"x\.7z: the archive is cut or damaged"):
        unpacked(archive)


# --- archives in archives that are read in place ----------------------------------------------------------------------


def zip_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize(("outer", "inner"), [(".zip", ".zip"), (".zip", ".tar.gz"), (".tar", ".zip")])
def test_archive_inside_an_archive_gives_the_corpus_that_its_folder_gives(
    outer: str, inner: str, drawn: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "raw" / "bccd"
    raw.mkdir(parents=True)
    packed = zip_of(content(drawn)) if inner == ".zip" else gzip.compress(tar_of(content(drawn)))
    held = {f"BCCD{inner}": packed, "read me.txt": b"", "__MACOSX/._BCCD.zip": b"no zip"}
    (raw / f"download{outer}").write_bytes(zip_of(held) if outer == ".zip" else tar_of(held))
    assert rows(tmp_path / "raw", tmp_path / "a") == rows(drawn.parent, tmp_path / "b")
    assert not (tmp_path / "a" / ".building").exists()
    assert [(name, "by hand" in why) for name, why in RawTree.scan(raw).left_out] == [
        (f"download{outer}/BCCD{inner}", True)
    ]


def test_zips_within_zips_without_end_are_refused(tmp_path: Path) -> None:
    data = zip_of({"a.jpg": b"x"})
    for _ in range(6):
        data = zip_of({"more.zip": data})
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "bomb.zip").write_bytes(data)
    with pytest.raises(LayoutError, match="archives within archives"):
        RawTree.scan(tmp_path / "raw", Spool(tmp_path / "spool"))


def test_bomb_inside_a_zip_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "outer.zip").write_bytes(zip_of({"inner.zip": bytes(5_000_000)}))
    with pytest.raises(LayoutError, match="at most"):
        RawTree.scan(tmp_path / "raw", Spool(tmp_path / "spool", limits=Limits(free=1_000_000)))
    assert not (tmp_path / "spool").exists()
