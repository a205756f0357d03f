"""One function per kind of hostile input: makes it, has hemadata read it, and raises where something does not hold.

Each takes a `random.Random`, the seeds and a clean box, and returns what became of the input, in a word.
"""

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hemadata import sources
from hemadata.build.images import decoded, look
from hemadata.errors import DefectError, HemaError
from hemadata.formats import (
    captions,
    cell_records,
    coco,
    drawn_boxes,
    mark_pixels,
    marks,
    masks,
    namelists,
    npz,
    pairs,
    pictures,
    roboflow,
    sentences,
    tables,
    voc,
    voc_like,
    xml_page,
    yolo,
)
from hemadata.formats.frames import look as frame
from hemadata.formats.rawtree import RawFile, RawTree
from hemadata.formats.spool import Limits, Spool
from hemadata.sources.facts import read_facts

from fuzzing import corpora, seeds, trees
from fuzzing.guard import Box, Breach
from fuzzing.mutate import mutated
from fuzzing.seeds import Seeds

Target = Callable[[random.Random, Seeds, Box], str]
Read = Callable[[RawFile], object]
BOXES_XML = ("bccd", "bio-net", "m5", "plasmodium", "plasmodium-phonecamera", "tuberculosis-phonecamera")
RECORDS = ("raabin-m1", "raabin-m2")
TABLES = ("bmc", "apl-aml", "c-nmc-2019", "krd-wbc", "wbcatt", "mp-idb", "aml-hehr", "wbc-image-dataset")
NAMES = ("bccd", "anerbc-healthy", "m5", "nlm-thick-pv", "thick-blood-smears", "aml-matek")


CAPTIONS = json.dumps(
    {
        "images": [{"id": n, "file_name": f"a/{n}.jpg"} for n in range(3)],
        "annotations": [
            {"id": n, "image_id": n, "Question": "What is it?", "Answer": "A cell.", "masked_comment": "a <mask>"}
            for n in range(3)
        ],
    }
).encode()


def page(chance: random.Random, files: list[bytes], box: Box, name: str) -> RawFile:
    """A mutated file, written into the box."""
    path = box.raw / name
    path.write_bytes(mutated(chance.choice(files), chance, files))
    return RawFile(str(path), name)


def outcome(read: Callable[[], object]) -> str:
    """Read or refused; any other error is the caller's finding."""
    try:
        found = read()
        if isinstance(found, Iterable) and not isinstance(found, str | bytes):
            for _ in found:
                pass
    except HemaError as error:
        return refused(error)
    except DefectError:
        return "quarantined"
    except OSError as error:  # of a file that cannot be opened: the engine tells it by its name
        if error.filename is None:
            raise
        return "refused"
    return "read"


def refused(error: HemaError) -> str:
    """The word, where the error says something and was raised on purpose."""
    if not str(error).strip() or "the reader of" in str(error):
        raise Breach(f"refused for no reason of its own: {error}") from error
    return "refused"


def _pages(ending: str, names: tuple[str, ...], read: Read) -> Target:
    def target(chance: random.Random, made: Seeds, box: Box) -> str:
        file = page(chance, made.pages(ending, *names), box, f"page{ending}")
        return outcome(lambda: read(file))

    return target


def _text(ending: str, names: tuple[str, ...], read: Callable[[str], object]) -> Target:
    return _pages(ending, names, lambda file: read(file.text()))


def voc_twice(text: str) -> None:
    """The fast parser says what the slow one says."""
    results = []
    for parse in (voc.objects, voc.objects_by_parser):
        try:
            boxes = parse(text)
            results.append(repr((boxes.labels, list(boxes.numbers))))
        except HemaError:
            results.append("refused")
    if results[1] not in ("refused", results[0]):  # a page with damage that costs no box may be read
        raise Breach(f"two parsers disagree: {results[0][:200]} and {results[1][:200]}")


def _table(chance: random.Random, made: Seeds, box: Box) -> str:
    file = page(chance, made.pages(".csv", *TABLES), box, "t.csv")
    needed = set(chance.sample(("image", "label", "Cell_type", "path"), chance.randrange(3)))
    if chance.random() < 0.5:
        return outcome(lambda: list(tables.read_csv(file, chance.randrange(1, 12))))
    return outcome(lambda: list(tables.read_records(file, needed, chance.choice((None, "latin-1")))))


def _captions(chance: random.Random, made: Seeds, box: Box) -> str:
    files = made.pages(".json", "leukemiaattri", "leukemiaattri-mlm", "wbcatt-vqa")
    page(chance, [CAPTIONS] * len(files) + files, box, "train_annotations.json")
    tree = RawTree.scan(box.raw)
    return outcome(lambda: list(captions.read(tree, chance.choice(("Question", "masked_comment")))))


def _lists(chance: random.Random, made: Seeds, box: Box) -> str:
    page(chance, made.pages(".txt", *NAMES), box, "train.txt")
    tree = RawTree.scan(box.raw)
    return outcome(lambda: namelists.read_splits(tree, "{}.txt", {"train": "train", "test": "test"}))


def _roboflow(chance: random.Random, made: Seeds, box: Box) -> str:
    shutil.copytree(made.tree(chance.choice(("txl-pbc", "parasite"))), box.raw, dirs_exist_ok=True)
    trees.spoil(box.raw, box.outside, chance)
    return outcome(lambda: [len(boxes) for _, _, boxes in roboflow.read(RawTree.scan(box.raw), lambda *_: None)])


def _arrays(chance: random.Random, made: Seeds, box: Box) -> str:
    """An .npz with a mutated member, or mutated as a whole."""
    name, data = "x.npz", chance.choice(made.pages(".npz", "bloodmnist"))
    if chance.random() < 0.7:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", chance.choice((0, 8))) as new:
            for info in old.infolist():
                member = old.read(info)
                change = mutated(member[:128], chance) + member[128:] if chance.random() < 0.4 else member
                new.writestr(chance.choice((info.filename, info.filename, info.filename, "../x.npy", "a/b")), change)
        data = out.getvalue()
    else:
        data = mutated(data, chance)
    (box.raw / name).write_bytes(data)
    if chance.random() < 0.3:
        (box.raw / "y.npy").write_bytes(mutated(data[40:4000], chance))

    def read() -> None:
        spool = Spool(box.out / "spool", limits=Limits(size=64 << 20))
        tree = RawTree.scan(box.raw, spool)
        for arrays in npz.arrays(tree).values():
            for array in arrays.values():
                for row in array.rows()[:5] if array.dtype == "uint8" and len(array.shape) > 2 else ():
                    spool.fill()
                    look(row.read(), "full")
                if len(array.shape) <= 2:
                    array.values()

    return outcome(read)


def _parquet(read: Callable[[Path], object], source: str, file: str) -> Target:
    """The raw tree that hemasynth writes, mutated as a file or as a table."""

    def target(chance: random.Random, made: Seeds, box: Box) -> str:
        top = next(made.tree(source).rglob(file)).parent
        run = (top / "run.json").read_bytes()
        (box.raw / "run.json").write_bytes(mutated(run, chance) if chance.random() < 0.3 else run)
        if chance.random() < 0.6:
            pq.write_table(_table_of(pq.read_table(top / file), chance), box.raw / file)
        else:
            (box.raw / file).write_bytes(mutated((top / file).read_bytes(), chance))
        return outcome(lambda: read(box.raw))

    return target


def _table_of(table: pa.Table, chance: random.Random) -> pa.Table:
    """A table with columns lost, doubled in type, emptied or exchanged."""
    for _ in range(chance.choice((1, 2))):
        at = chance.randrange(table.num_columns)
        name, column = table.column_names[at], table.column(at)
        odd = [
            pa.nulls(len(table), column.type),
            pa.array([chance.choice(("", "\0", "x" * 9000, "../x", "\u202e", None)) for _ in range(len(table))]),
            pa.array([chance.choice((0, -1, 2**60, None)) for _ in range(len(table))]),
            pa.array([[chance.choice((0, -5, 2**30, None))] for _ in range(len(table))]),
            pa.array([b"\xff\xfe"] * len(table)),
            pa.array([{"name": None, "value": "x"}] * len(table)),
            table.column(chance.randrange(table.num_columns)),
        ]
        way = chance.randrange(len(odd) + 3)
        if way < len(odd):
            table = table.set_column(at, name, odd[way])
        elif way == len(odd) and table.num_columns > 1:
            table = table.remove_column(at)
        elif way == len(odd) + 1:
            table = table.append_column(name, column)
        else:
            table = pa.concat_tables([table, table.slice(0, chance.randrange(len(table) + 1))])
    return table


def _pictures(chance: random.Random, made: Seeds, box: Box) -> str:
    """A picture, at each depth; the size told is the size decoded."""
    files = list(seeds.pictures())
    data = mutated(chance.choice(files), chance, files)
    result = outcome(lambda: look(data, chance.choice(("none", "header", "full")), True) and None)
    try:
        height, width = decoded(data).shape[:2]
        if look(data, "full").size != (width, height):
            raise Breach(f"told {look(data, 'full').size}, decoded {(width, height)}")
    except DefectError:
        pass
    for read in (masks.read_pixels, masks.read_grey, frame, lambda d: mark_pixels.look(d, [(1.0, 2.0, 3.0, 4.0)])):
        outcome(lambda read=read: read(data) is None)  # type: ignore[misc]
    outcome(lambda: yolo.in_pixels(None, data))
    return result


def _bombs(chance: random.Random, made: Seeds, box: Box) -> str:
    """A header that promises any size over few bytes."""
    data = bytearray(chance.choice(seeds.pictures()))
    width, height = (chance.choice((1, 24, 17_000, 60_000, 65_535, 2**31 - 1)) for _ in range(2))
    if data[:4] == b"\x89PNG":
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        import zlib

        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    elif data[:2] == b"BM":
        data[18:26] = (width % 2**31).to_bytes(4, "little") + (height % 2**31).to_bytes(4, "little")
    elif data[:3] == b"GIF":
        data[6:10] = (width & 0xFFFF).to_bytes(2, "little") + (height & 0xFFFF).to_bytes(2, "little")
    elif data[:2] == b"\xff\xd8":
        for marker in (b"\xff\xc0", b"\xff\xc2"):
            if (at := data.find(marker)) > 0:
                data[at + 5 : at + 9] = (height & 0xFFFF).to_bytes(2, "big") + (width & 0xFFFF).to_bytes(2, "big")
    else:
        at = chance.randrange(len(data))
        data[at : at + 4] = width.to_bytes(4, chance.choice(("little", "big")))
    return outcome(lambda: look(bytes(data), chance.choice(("header", "full")), True) and None)


def _drawn(chance: random.Random, made: Seeds, box: Box) -> str:
    files = made.pages(".jpg", "mp-idb-det")

    def read() -> None:
        clean, copy = (pictures.decode(pictures.open_picture(mutated(chance.choice(files), chance))) for _ in "ab")
        if max(*clean.size, *copy.size) < 3000:
            drawn_boxes.find(clean, copy)

    return outcome(read)


def _archives(chance: random.Random, made: Seeds, box: Box) -> str:
    """Archives of every kind with hostile names, links and damage; every member is read."""
    content = {f"a/{n}.jpg": chance.randbytes(chance.choice((0, 10, 3000))) for n in range(chance.randrange(1, 6))}
    for number in range(chance.choice((1, 1, 2))):
        kind = chance.choice((".zip", ".zip", ".tar", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".gz"))
        form = kind if kind.startswith((".zip", ".tar")) else chance.choice((".zip", ".tar", ".tar.gz"))
        data = trees.archive(content, form, chance)
        if kind == ".7z" and (packed := seven(data)):
            data = packed
        (box.raw / f"{number}{kind}").write_bytes(mutated(data, chance) if chance.random() < 0.6 else data)

    def read() -> None:
        tree = RawTree.scan(box.raw, Spool(box.out / "spool", limits=Limits(size=64 << 20)))
        for file in tree.files.values():
            try:
                file.read()
            except OSError:  # the engine puts it in quarantine
                continue

    return outcome(read)


def seven(data: bytes) -> bytes:
    """A 7z archive of the members of a tar, where bsdtar is there to make it; else nothing."""
    import subprocess

    if not data or not shutil.which("bsdtar"):
        return b""
    words = ["bsdtar", "-cf", "-", "--format=7zip", "@-"]
    return subprocess.run(words, input=data, capture_output=True, check=False).stdout


def _facts(chance: random.Random, made: Seeds, box: Box) -> str:
    """The page of a third-party source: whatever stands in it, read or refused with the file's name."""
    name = chance.choice(sources.names())
    path = box.raw / f"{name}.toml"
    path.write_bytes(mutated(sources.get(name).toml, chance))

    def read() -> None:
        from hemadata.build.masks import MaskReader
        from hemadata.labels import LabelMap

        facts = read_facts(path)
        for table in (facts.labels, facts.labels_fine):
            LabelMap(table, facts.name)
        if facts.mask:
            MaskReader(facts.mask)

    return outcome(read)


def _build(chance: random.Random, made: Seeds, box: Box) -> str:
    """A whole build of a spoiled raw tree; what is built keeps the contract."""
    from hemadata.audit.contract import check
    from hemadata.build import Options, build

    name = chance.choice(sources.names())
    shutil.copytree(made.tree(name), box.raw, dirs_exist_ok=True, symlinks=True)
    trees.spoil(box.raw, box.outside, chance)
    options = Options(check=chance.choice(("full", "full", "header", "none")), variant=None)
    with box.watched():
        (result,) = build([name], box.raw, box.out, options)
    if result.error:
        return refused(result.error)
    if options.check == "full" and (findings := check(box.out).findings):
        raise Breach(f"{name}: the corpus breaks its contract: {findings[:3]}")
    return "quarantined" if result.quarantine else "read"


def _synth(folder: Path) -> object:
    return pairs.read(folder)


TARGETS: dict[str, Target] = {
    "voc": _text(".xml", BOXES_XML, voc_twice),
    "voc-like": _text(".xml", BOXES_XML, voc_like.objects),
    "xml-page": _text(".xml", BOXES_XML, xml_page.root_of),
    "yolo": _pages(".txt", ("txl-pbc",), lambda file: yolo.read(file, ["a", "b", "c"])),
    "yolo-names": _pages(".yaml", ("txl-pbc",), yolo.class_words),
    "coco": _pages(".json", ("leukemiaattri", "vivax", "parasite"), lambda file: list(coco.read(file))),
    "tables": _table,
    "cell-records": _pages(".json", RECORDS, cell_records.read),
    "marks": _pages(".txt", ("thick-blood-smears", "nlm-thick-pv"), marks.read),
    "captions": _captions,
    "name-lists": _lists,
    "roboflow": _roboflow,
    "npz": _arrays,
    "pairs": _parquet(pairs.read, "wbcatt-vqa", "pairs.parquet"),
    "sentences": _parquet(sentences.read, "leukemiaattri-mlm", "texts.parquet"),
    "pictures": _pictures,
    "pixel-bombs": _bombs,
    "drawn-boxes": _drawn,
    "archives": _archives,
    "facts": _facts,
    "build": _build,
    "corpus": corpora.spoiled,
}
