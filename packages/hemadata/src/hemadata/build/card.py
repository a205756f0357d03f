"""The corpus card: YAML that names the configs by globs (features ride in the files), and a table of sources."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.compute as pc

from hemadata import ontology, schema
from hemadata.arrow import ROW_GROUP_ROWS, in_groups
from hemadata.build.assign import assignment_parts
from hemadata.build.digest import rows_digest
from hemadata.build.records import Manifest
from hemadata.quarantine import WITHHELD

_CARD = jinja2.Template(
    """\
---
pretty_name: hema corpus
license: other
tags: [hematology, blood-cells, microscopy]
configs:
{%- for name, splits in configs %}
- config_name: {{ name }}
  {%- if loop.first %}
  default: true
  {%- endif %}
  data_files:
  {%- for split, glob in splits %}
  - split: {{ split }}
    path: {{ glob }}
  {%- endfor %}
{%- endfor %}
---
# hema corpus

<!-- hemadata:begin corpus -->
Corpus `{{ corpus_id }}`, schema {{ schema_version }}, ontology {{ ontology_version }}. Made by `hemadata build`.

```python
import datasets
datasets.load_dataset("{{ name }}", "{{ configs[0][0] }}")

import hemadata
hemadata.open("folder/of/this/corpus").rows("{{ manifests[0].task }}", "train")
```

Labels are nodes of `ontology/cells.toml`; the raw label stands beside each. What was withheld, repaired or passed over
is listed in `reports/quarantine.csv`. Splits of the publishers are in `split_upstream`; the split in force, by groups,
is where a row's file is, and in `assignment/`.
<!-- hemadata:end corpus -->

<!-- hemadata:begin sources -->
| source | task | images | objects | withheld | licence | version | citation |
|---|---|---|---|---|---|---|---|
{%- for m in manifests %}
| {{ linked(m.source, m.facts.homepage) }} | {{ m.task }} | {{ m.images }} | {{ m.objects or "" }} | {{ withheld(m) }} |
{{- " " }}{{ licence(m.facts) }} | {{ m.source_version }} | {{ cited(m.facts) }} |
{%- endfor %}
<!-- hemadata:end sources -->
{%- if left_out %}

<!-- hemadata:begin left-out -->
Not in here:

| source | images | licence | why | how to get it |
|---|---|---|---|---|
{%- for one in left_out %}
| {{ linked(one.source, one.homepage) }} | {{ one.images }} | {{ one.licence }} | {{ one.why }} | {{ one.how }} |
{%- endfor %}
<!-- hemadata:end left-out -->
{%- endif %}
""",
    keep_trailing_newline=True,
)


def card(
    corpus: Path,
    manifests: list[Manifest],
    name: str = "path/or/name/of/this/corpus",
    left_out: Sequence[Mapping[str, Any]] = (),
) -> str:
    """README.md of a corpus; what stands between markers `hemadata:begin` and `hemadata:end` may be made again.

    Args:
        corpus: its folder.
        manifests: of its sources.
        name: what `load_dataset` knows it by.
        left_out: source, homepage, images, licence, why and how of sources that a published view lacks.
    """
    text: str = _CARD.render(
        configs=_configs(manifests),
        corpus_id=corpus_id(corpus, manifests),
        schema_version=schema.SCHEMA_VERSION,
        ontology_version=ontology.load().version,
        manifests=manifests,
        withheld=lambda m: sum(entry.severity in WITHHELD for entry in m.quarantine) or "",
        name=name,
        left_out=left_out,
        linked=lambda name, page: f"[{name}]({page})" if page else name,
        licence=licence,
        cited=cited,
    )
    return text


def licence(facts: Mapping[str, Any]) -> str:
    """Licence of a source with its note, for a cell of a table."""
    return _cell(": ".join(filter(None, (facts["license"], facts.get("license_note")))))


def cited(facts: Mapping[str, Any]) -> str:
    """How a source is cited, for a cell of a table."""
    return _cell(" ".join(filter(None, (facts["citation"], _doi(facts.get("doi"))))))


def _cell(text: str) -> str:
    """Text that stays in its cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _doi(doi: str | None) -> str | None:
    return f"[doi:{doi}](https://doi.org/{doi})" if doi else None


def _configs(manifests: list[Manifest]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Configs with their splits and globs: one per task, one per source, and the index."""
    tasks: dict[str, set[str]] = defaultdict(set)
    single: dict[str, tuple[str, set[str]]] = {}
    for manifest in manifests:
        splits = {shard.split for shard in manifest.shards}
        tasks[manifest.task] |= splits
        single[f"{manifest.task}--{manifest.source}"] = (f"data/{manifest.task}/{manifest.source}", splits)
    wanted = [(task, f"data/{task}/*", tasks[task]) for task in schema.TASKS if tasks.get(task)]
    wanted += [(name, folder, splits) for name, (folder, splits) in sorted(single.items())]
    configs = [
        (name, [(s, f"{folder}/{s}-*.parquet") for s in schema.SPLITS if s in splits])
        for name, folder, splits in wanted
    ]
    return [*configs, ("index", [("train", "index/*.parquet")])]


def corpus_id(corpus: Path, manifests: list[Manifest]) -> str:
    """Short hash of all rows digests, the assignment in force and the ontology version."""
    digest = hashlib.sha256(ontology.load().version.encode())
    for manifest in sorted(manifests, key=lambda m: m.source):
        for shard in sorted(manifest.shards, key=lambda s: s.path):
            digest.update(f"{shard.path} {shard.rows_digest}\n".encode())
    built = {manifest.source for manifest in manifests}
    mine = pa.array(sorted(built), pa.string())
    parts = (table.filter(pc.is_in(table["source"], mine)) for table in assignment_parts(corpus))
    digest.update(rows_digest(in_groups(parts, ROW_GROUP_ROWS)).encode())
    return digest.hexdigest()[:16]
