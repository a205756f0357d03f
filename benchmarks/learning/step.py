"""Row `step`: one step of every stage moves its groups and nothing else, and its batches reach every tensor of them."""

from itertools import islice

import hemadata
import torch
from hemamodel.data import Positions, TrainingStream, training_loader
from hemamodel.data.tasks import stage_datasets
from hemamodel.model.tokenizer import word_tokenizer
from hemamodel.model.unihema import build_model
from hemamodel.stages import STAGES
from hemamodel.train import set_trainable, step_loss
from hemamodel.train.settings import choose

from learning.common import Bench, Clock, Row
from learning.stages import changes, phantoms

BATCHES = 12


def run(bench: Bench) -> Row:
    """Counts of tensors, and the names of those that no batch reached."""
    clock, row = Clock(), dict[str, Row]()
    path = phantoms(bench)
    with hemadata.open(path) as corpus:
        for stage in STAGES:
            config, numbers = choose(stage, "tiny", "paper", changes(corpus, stage))
            datasets = stage_datasets(corpus, numbers)
            tokenizer = word_tokenizer([each[0]["prompt"] for each in datasets.values()], 500)
            torch.manual_seed(bench.seed)
            model = build_model(config, len(tokenizer))
            learning = set_trainable(model, numbers.trainable)
            inside = {id(p) for name in learning for module in model.groups()[name] for p in module.parameters()}
            before = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
            reached: set[str] = set()
            for task, data in datasets.items():
                stream = TrainingStream(data, bench.seed, numbers.data.train[task], numbers.data.temperature)
                loader = training_loader(stream, Positions(numbers.batches[task], 0, BATCHES))
                for batch in islice(loader, BATCHES):
                    optimiser.zero_grad()
                    torch.stack(list(step_loss(model, tokenizer, batch, 1).values())).sum().backward()
                    reached |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
                    optimiser.step()
            mine = {name for name, p in model.named_parameters(remove_duplicate=False) if id(p) in inside}
            moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
            first = {name for name, p in model.named_parameters() if id(p) in inside}
            row[str(stage)] = {
                "tensors_in_groups": len(first),
                "moved_outside": sorted(moved - mine),
                "without_gradient": sorted(first - reached),
            }
    meets = all(not each["moved_outside"] and not each["without_gradient"] for each in row.values())
    return {"stages": row, "meets": meets, "minutes": clock.minutes}
