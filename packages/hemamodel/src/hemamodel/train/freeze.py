"""Which parts of the model learn in a stage."""

from collections.abc import Sequence

from hemamodel.errors import ConfigError
from hemamodel.model.unihema import UniHema


def set_trainable(model: UniHema, trainable: Sequence[str]) -> dict[str, int]:
    """Let the groups of a stage learn; all others are frozen, in eval mode and without gradient.

    Args:
        model: the whole model.
        trainable: names of groups, as in a stage file.

    Returns:
        Group -> number of parameters that learn.

    Raises:
        ConfigError: a group is not known.
    """
    groups = model.groups()
    if unknown := sorted(set(trainable) - set(groups)):
        raise ConfigError(f"trainable names {', '.join(unknown)}; there are {', '.join(groups)}")
    for name, modules in groups.items():
        for module in modules:
            module.requires_grad_(name in trainable).train(name in trainable)
    model.backbone.freeze()  # with pretrained weights the stem never learns
    return {
        name: sum(p.numel() for module in groups[name] for p in module.parameters() if p.requires_grad)
        for name in groups
        if name in trainable
    }
