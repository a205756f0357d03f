"""The corpus card: YAML that names the configs by globs (features ride in the files), and a table of sources."""

import hashlib
from collections import defaultdict
from pathlib import Path

import jinja2
import pyarrow as pa
import pyarrow.compute as pc

from hemadata import ontology, schema
from hemadata.build.assign import ARROW, read_assignment
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

Corpus `{{ corpus_id }}`, schema {{ schema_version }}, ontology {{ ontology_version }}. Made by `hemadata build`.

```python
import datasets
datasets.load_dataset("path/or/name/of/this/corpus", "{{ configs[0][0] }}")

import hemadata
hemadata.open("path/of/this/corpus").rows("{{ manifests[0].task }}", "train")
```

| source | task | images | objects | withheld | licence | version | citation |
|---|---|---|---|---|---|---|---|
{%- for m in manifests %}
| {{ m.source }} | {{ m.task }} | {{ m.images }} | {{ m.objects or "" }} | {{ withheld(m) }} | {{ m.facts.license }} |
{{- " " }}{{ m.source_version }} | {{ m.facts.citation }} |
{%- endfor %}

Labels are nodes of `ontology/cells.toml`; the raw label stands beside each. What was withheld, repaired or passed over
is listed in `reports/quarantine.csv`. Splits of the publishers are in `split_upstream`; the split in force, by groups,
is where a row's file is, and in `assignment/`.
""",
    keep_trailing_newline=True,
)


def card(corpus: Path, manifests: list[Manifest]) -> str:
    """README.md of a corpus."""
    text: str = _CARD.render(
        configs=_configs(manifests),
        corpus_id=corpus_id(corpus, manifests),
        schema_version=schema.SCHEMA_VERSION,
        ontology_version=ontology.load().version,
        manifests=manifests,
        withheld=lambda m: sum(entry.severity in WITHHELD for entry in m.quarantine) or "",
    )
    return text


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
    table = read_assignment(corpus).cast(ARROW)
    table = table.filter(pc.is_in(table["source"], pa.array(sorted(built), pa.string())))
    digest.update(rows_digest([table]).encode())
    return digest.hexdigest()[:16]
