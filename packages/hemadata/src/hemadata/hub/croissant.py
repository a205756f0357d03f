"""Croissant 1.0 metadata (JSON-LD) of a view: its files, and what every column of every task means."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from hemadata import schema
from hemadata.atomic import write_text
from hemadata.corpus import Corpus

SPDX = "https://spdx.org/licenses/{}.html"
# Repositories have no checksum of their own; the format wants one of the file object that stands for them.
_NO_CHECKSUM = "https://github.com/mlcommons/croissant/issues/80"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write_croissant(path: Path, view: Corpus, repo: str, url: str) -> None:
    """Write `croissant.json`.

    Args:
        path: of the file.
        view: open corpus.
        repo: `ORG/NAME`.
        url: of the repository.
    """
    write_text(path, json.dumps(croissant(view, repo, url), indent=1, ensure_ascii=False) + "\n", durable=False)


def croissant(view: Corpus, repo: str, url: str) -> dict[str, Any]:
    """The JSON-LD object; one record set per task."""
    facts = {name: manifest.facts for name, manifest in view.manifests.items()}
    tasks = [task for task in schema.TASKS if any(m.task == task for m in view.manifests.values())]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": repo.rpartition("/")[2],
        "description": f"Public blood-cell image sets as one corpus: {', '.join(facts)}. Corpus {view.corpus_id}.",
        "url": url,
        "version": f"1.0.0+{view.corpus_id}",
        "license": sorted({_licence(page) for page in facts.values()}),
        "citeAs": "\n".join(dict.fromkeys(page["citation"] for page in facts.values())),
        "keywords": ["hematology", "blood cells", "microscopy", *tasks],
        "creator": [{"@type": "Organization", "name": repo.partition("/")[0], "url": url.rpartition("/")[0]}],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "repo",
                "name": "repo",
                "description": "The repository.",
                "contentUrl": f"{url}/tree/main",
                "encodingFormat": "git+https",
                "sha256": _NO_CHECKSUM,
            },
            *(_files(task) for task in tasks),
        ],
        "recordSet": [_records(task) for task in tasks],
    }


def _licence(page: dict[str, Any]) -> str:
    name = str(page["license"])
    return page["homepage"] if name.startswith("LicenseRef-") else SPDX.format(name)


def _files(task: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{task}-files",
        "name": f"{task}-files",
        "description": f"Shards of {task}: data/{task}/<source>/<split>-<bucket>.parquet",
        "containedIn": {"@id": "repo"},
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{task}/*/*.parquet",
    }


def _records(task: str) -> dict[str, Any]:
    split = {
        "@type": "cr:Field",
        "@id": f"{task}/split",
        "name": "split",
        "description": f"{', '.join(schema.SPLITS)}: what the corpus decides",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": f"{task}-files"},
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": rf".*data/{task}/[^/]+/({'|'.join(schema.SPLITS)})-[0-9a-f]+\.parquet$"},
        },
    }
    return {
        "@type": "cr:RecordSet",
        "@id": task,
        "name": task,
        "description": f"One record is one image of the task {task}.",
        "key": {"@id": f"{task}/sample_id"},
        "field": [split, *(_field(task, column) for column in schema.columns(task))],
    }


def _field(task: str, column: schema.Column) -> dict[str, Any]:
    place = f"{task}/{column.name}"
    about = {"@type": "cr:Field", "@id": place, "name": column.name, "description": column.meaning}
    source = {"fileSet": {"@id": f"{task}-files"}, "extract": {"column": column.name}}
    if column.is_image:
        return about | {"dataType": "sc:ImageObject", "source": source | {"transform": {"jsonPath": "bytes"}}}
    kind = column.type
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        parts = [
            {
                "@type": "cr:Field",
                "@id": f"{place}/{part.name}",
                "name": part.name,
                "dataType": _type(part.type),
                "repeated": True,
                "source": source | {"transform": {"jsonPath": part.name}},
            }
            for part in kind.value_type
            if not _is_object(part.type)  # readers of the format know one level only; the files hold the rest
        ]
        return about | {"repeated": True, "subField": parts}
    if pa.types.is_list(kind):
        return about | {"dataType": _type(kind.value_type), "repeated": True, "source": source}
    return about | {"dataType": _type(kind), "source": source}


def _is_object(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) or (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)))


def _type(kind: pa.DataType) -> str:
    """Type of a leaf, inside whatever lists."""
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
