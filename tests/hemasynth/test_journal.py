from pathlib import Path

import pytest
from hemasynth.errors import JournalError
from hemasynth.journal import Journal, read

ENTRIES = [{"id": f"C-{n}", "row": {"answer": 'It is "bilobed".\n'}} for n in range(3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "set" / "journal.jsonl"
    with Journal(path) as journal:
        journal.append(ENTRIES)
    return path


def test_what_was_written_is_read(path: Path) -> None:
    assert read(path) == (ENTRIES, path.stat().st_size)
    with Journal(path) as journal:
        assert journal.entries == ENTRIES


def test_cut_anywhere_loses_only_the_torn_line(path: Path) -> None:
    whole = path.read_bytes()
    ends = [0, *(at + 1 for at, byte in enumerate(whole) if byte == ord("\n"))]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        kept = sum(end <= length for end in ends) - 1
        with Journal(path) as journal:
            assert journal.entries == ENTRIES[:kept]
            journal.append(ENTRIES[kept:])
        assert path.read_bytes() == whole


def test_damage_before_the_last_line_is_an_error(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"bilobed", b"bilobes", 1))
    with pytest.raises(JournalError, match="line 1: the checksum is wrong"):
        Journal(path).__enter__()


def test_second_writer_is_refused_and_the_first_goes_on(path: Path) -> None:
    with Journal(path) as journal:
        with pytest.raises(JournalError, match="Another hemasynth is writing"):
            Journal(path).__enter__()
        journal.append(ENTRIES)
    assert len(read(path)[0]) == 6


def test_full_disk_leaves_the_file_as_it_was(path: Path) -> None:
    before = path.read_bytes()

    class Full:
        def __init__(self, file: object) -> None:
            self.file = file

        def write(self, data: memoryview) -> int:
            self.file.write(data[:10])  # type: ignore[attr-defined]
            raise OSError(28, "No space left on device")

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    with Journal(path) as journal:
        journal._file = Full(journal._file)  # type: ignore[assignment]
        with pytest.raises(JournalError, match="No space left"):
            journal.append(ENTRIES)
        assert journal.entries == ENTRIES
    assert path.read_bytes() == before
