"""Reading a corpus for training and evaluation, through `hemadata.open` alone.

`CorpusDataset` gives the samples of one task; `TrainingStream` puts them in the order of a run; `training_loader` and
`evaluation_loader` make batches.
"""

from hemamodel.data.batches import Positions, evaluation_loader, training_loader
from hemamodel.data.collate import Batch, collate
from hemamodel.data.dataset import CorpusDataset, TrainingStream
from hemamodel.data.records import IGNORE, MORPHOLOGY
from hemamodel.data.transforms import Transform

__all__ = [
    "IGNORE",
    "MORPHOLOGY",
    "Batch",
    "CorpusDataset",
    "Positions",
    "TrainingStream",
    "Transform",
    "collate",
    "evaluation_loader",
    "training_loader",
]
