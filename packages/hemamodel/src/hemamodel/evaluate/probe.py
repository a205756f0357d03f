"""Frozen features judged by the simplest readers: linear probe and nearest neighbours (tables 6 and 10)."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hemadata
import numpy as np
import torch

from hemamodel.data import Batch, CorpusDataset, Transform, evaluation_loader
from hemamodel.errors import UsageError
from hemamodel.evaluate.encoders import Encoder
from hemamodel.evaluate.evidence import ClassEvidence
from hemamodel.evaluate.run import Place, places_of, scored
from hemamodel.evaluate.several import against
from hemamodel.evaluate.symmetry import over_symmetries

if TYPE_CHECKING:
    from hemadata.corpus import Corpus

NEIGHBOURS = (1, 20)
ITERATIONS = 2000
Told = Callable[[str, int, int], None]


class Features:
    """Features of one part of a source.

    Attributes:
        names: sample_ids, [n].
        values: float32 [n, F].
        targets: target -> label of each sample, None where it has none. `label` is the cell's kind, the others are
            attributes.
    """

    def __init__(
        self, encoder: Encoder, corpus: "Corpus", source: str, split: str, device: torch.device, *, batch_size: int,
        workers: int, symmetries: bool, told: Told | None,
    ) -> None:  # fmt: skip
        rows = {row["sample_id"]: row for row in corpus.rows("classification", split, COLUMNS, source)}
        nodes = sorted({row["label"] for row in rows.values()} - {None})
        if not nodes:
            raise UsageError(f"{source}: no row in {split} carries a label, so there is nothing to probe.")
        image = Transform(fit="squash", sizes=(encoder.size,))
        dataset = CorpusDataset(
            corpus, "classification", split, [source], transform=image, view=f"nodes:{','.join(nodes)}"
        )
        self.names: list[str] = []
        found = []
        with torch.no_grad():
            for loaded in evaluation_loader(dataset, batch_size, workers):
                batch: Batch = loaded.to(device)  # type: ignore[attr-defined]
                self.names += batch.sample_ids
                found.append((_over(encoder, batch) if symmetries else encoder.features(batch)).float().cpu())
                if told:
                    told(split, len(self.names), len(dataset))
        self.values = torch.cat(found).numpy()
        self.targets: dict[str, list[str | None]] = {"label": [rows[name]["label"] for name in self.names]}
        each = {name: {a["name"]: a["value"] for a in rows[name]["attributes"] or ()} for name in self.names}
        for attribute in sorted({a for values in each.values() for a in values}):
            self.targets[attribute] = [each[name].get(attribute) for name in self.names]


COLUMNS = ("sample_id", "label", "attributes")


def _over(encoder: Encoder, batch: Batch) -> torch.Tensor:
    """Features, the mean over the eight symmetries of each picture."""
    assert batch.images is not None and batch.sizes is not None
    return over_symmetries(lambda view: encoder.features(replace(batch, images=view)), batch.images, batch.sizes)


def probe(
    encoder: Encoder,
    corpus: Path,
    source: str,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    workers: int = 0,
    draws: int = 1000,
    symmetries: bool = False,
    told: Told | None = None,
) -> dict[str, Any]:
    """Linear probe and k-NN on frozen features: learnt on the training part of a source, scored on its test part.

    Args:
        encoder: see `encoders`.
        corpus: folder of the corpus.
        source: slug of a source of single cells.
        device: where the encoder runs.
        batch_size: images at once.
        workers: processes that load images.
        draws: of the bootstrap.
        symmetries: features are the mean over the eight symmetries of each picture, in eight times the time.
        told: told of the progress, by split.

    Returns:
        `encoder, symmetries, source, corpus_id, train, test` (numbers of cells), `features` (their width), and
        `targets`: for the kind of cell, and each attribute that the source rates, the scores of `linear`, `knn_1`,
        `knn_20` and of the baselines `majority` and, for attributes, `type_majority`: the value most common in the
        cell's true kind; `over_type_majority` of `linear` is the paired difference with its interval.

    Raises:
        UsageError: the source is not in the corpus, or has no labelled training or test cells.
    """
    with hemadata.open(corpus) as opened:
        if source not in opened.sources or opened.manifests[source].task != "classification":
            raise UsageError(f"{corpus} has no source of single cells called {source!r}.")
        train, test = (
            Features(encoder, opened, source, split, torch.device(device), batch_size=batch_size, workers=workers,
                     symmetries=symmetries, told=told)
            for split in ("train", "test")
        )  # fmt: skip
        places = places_of(opened)
        corpus_id = opened.corpus_id
    targets = {}
    for target in sorted(set(train.targets) & set(test.targets), key=lambda name: (name != "label", name)):
        if found := _probed(target, train, test, source, places, draws):
            targets[target] = found
    return {
        "encoder": encoder.name,
        "symmetries": symmetries,
        "source": source,
        "corpus_id": corpus_id,
        "train": len(train.names),
        "test": len(test.names),
        "features": int(train.values.shape[1]),
        "targets": targets,
    }


def _probed(
    target: str, train: Features, test: Features, source: str, places: Mapping[str, Place], draws: int
) -> dict[str, Any] | None:
    """Every reader of one target; None where the training part knows fewer than two values."""
    known = [i for i, value in enumerate(train.targets[target]) if value is not None]
    asked = [i for i, value in enumerate(test.targets[target]) if value is not None]
    values = sorted({str(train.targets[target][i]) for i in known})
    if len(values) < 2 or not asked:
        return None
    every = sorted({*values, *(str(test.targets[target][i]) for i in asked)})
    train_y = [str(train.targets[target][i]) for i in known]
    truth = [every.index(str(test.targets[target][i])) for i in asked]
    names = [test.names[i] for i in asked]

    def evidence(found: Sequence[str]) -> ClassEvidence:
        guess = [every.index(value) for value in found]
        return ClassEvidence(names, [source] * len(names), truth, guess, tuple(every))

    answers = readers(train.values[known], train_y, test.values[asked])
    answers["majority"] = [Counter(train_y).most_common(1)[0][0]] * len(asked)
    if target != "label":
        answers["type_majority"] = by_type(
            [train.targets["label"][i] for i in known], train_y, [test.targets["label"][i] for i in asked]
        )
    result = {name: scored(evidence(found), places, draws) for name, found in answers.items()}
    units = [places[name].unit for name in names]
    if "type_majority" in answers and len(set(units)) > 1:
        kind = evidence(answers["type_majority"])
        result["linear"]["over_type_majority"] = against(evidence(answers["linear"]), kind, units, draws)
    return result


def readers(train_x: np.ndarray, train_y: Sequence[str], test_x: np.ndarray) -> dict[str, list[str]]:
    """What the linear probe and the neighbours say.

    The probe is the authors': logistic regression, L2, C = classes * training samples / 100, no standardisation. That
    features are centred, and divided by one number that C makes good, is the same problem, solved in fewer steps.
    Neighbours are found by cosine.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    strength = len(set(train_y)) * len(train_y) / 100
    centre = train_x.mean(0, dtype=np.float64)
    scale = float((train_x - centre).std()) or 1.0
    linear = LogisticRegression(C=strength * scale**2, max_iter=ITERATIONS).fit((train_x - centre) / scale, train_y)
    found = {"linear": linear.predict((test_x - centre) / scale).tolist()}
    for count in NEIGHBOURS:
        nearest = KNeighborsClassifier(min(count, len(train_y)), metric="cosine").fit(train_x, train_y)
        found[f"knn_{count}"] = nearest.predict(test_x).tolist()
    return found


def by_type(train_type: Sequence[Any], train_y: Sequence[str], test_type: Sequence[Any]) -> list[str]:
    """The value that is most common among training cells of the same kind: what the kind alone tells."""
    of: dict[Any, Counter[str]] = defaultdict(Counter)
    for kind, value in zip(train_type, train_y, strict=True):
        of[kind][value] += 1
    overall = Counter(train_y)
    return [(of.get(kind) or overall).most_common(1)[0][0] for kind in test_type]


def table(found: Mapping[str, Any]) -> str:
    """Lines for a person: macro F1 of every reader."""
    lines = [
        f"{found['encoder']} on {found['source']}: {found['features']} features, {found['train']:,} cells to learn "
        f"from, {found['test']:,} to be told. Macro F1:"
    ]
    names = ("linear", *(f"knn_{count}" for count in NEIGHBOURS), "majority", "type_majority")
    lines.append(f"  {'':24}" + "".join(f"{name:>15}" for name in names))
    for target, readers_ in found["targets"].items():
        cells = (f"{readers_[name]['macro_f1']:.3f}" if name in readers_ else "-" for name in names)
        lines.append(f"  {target:24}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)
