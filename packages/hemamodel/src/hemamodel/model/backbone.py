"""The image backbone: a ResNet under torchvision's parameter names, with the three maps that detection reads."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck  # type: ignore[import-untyped]
from torchvision.ops import FrozenBatchNorm2d  # type: ignore[import-untyped]

from hemamodel.model.layers import group_norm, kept

BODIES: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


class ResNetBody(nn.Module):
    """torchvision's ResNet without its classifier, of any width (torchvision's own starts at 64 channels)."""

    def __init__(self, depth: int, width: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        if depth not in BODIES:
            raise ValueError(f"backbone: no ResNet of depth {depth}; there are {', '.join(map(str, BODIES))}")
        block, counts = BODIES[depth]
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = norm(width)
        outputs = [width * 2**stage * block.expansion for stage in range(4)]
        self.layer1 = _stage(block, counts[0], width, width, 1, norm)
        self.layer2 = _stage(block, counts[1], outputs[0], 2 * width, 2, norm)
        self.layer3 = _stage(block, counts[2], outputs[1], 4 * width, 2, norm)
        self.layer4 = _stage(block, counts[3], outputs[2], 8 * width, 2, norm)
        self.channels = tuple(outputs[1:])
        self.compute_again = False
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images [B, 3, H, W] -> C3, C4, C5 [B, channels, H/8, W/8], [.., H/16, W/16], [.., H/32, W/32]."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)  # [B, C, H/4, W/4]
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                x = kept(block, self.compute_again)(x)
            maps.append(x)
        return maps[1:]


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    count: int,
    channels: int,
    planes: int,
    stride: int,
    norm: Callable[[int], nn.Module],
) -> nn.Sequential:
    """`count` blocks from `channels` to planes * expansion channels; the first strides."""
    output, shortcut = planes * block.expansion, None
    if stride != 1 or channels != output:
        shortcut = nn.Sequential(nn.Conv2d(channels, output, kernel_size=1, stride=stride, bias=False), norm(output))
    first = block(channels, planes, stride, shortcut, norm_layer=norm)
    return nn.Sequential(first, *(block(output, planes, norm_layer=norm) for _ in range(count - 1)))


class Backbone(nn.Module):
    """ResNet maps and their paddings.

    The default (50, 64, "frozen", frozen stem) is the paper's, and needs pretrained weights: a frozen batch norm
    takes mean and variance from them, and a frozen stem its filters. Training from scratch uses
    `norm="group", freeze_stem=False`: without statistics a frozen batch norm normalises nothing and the residual sums
    grow from block to block; live batch norm would depend on the batch, which detection keeps small.

    Args:
        depth: 18, 34, 50 or 101.
        width: channels after the stem; 64 is the usual ResNet.
        norm: "frozen" (batch norm with fixed statistics and affine) or "group".
        freeze_stem: the stem and layer1 do not train.
    """

    def __init__(
        self,
        depth: int = 50,
        width: int = 64,
        norm: Literal["frozen", "group"] = "frozen",
        freeze_stem: bool = True,
    ) -> None:
        super().__init__()
        self.norm, self.freeze_stem = norm, freeze_stem
        self.body = ResNetBody(depth, width, FrozenBatchNorm2d if norm == "frozen" else group_norm)
        self.channels: tuple[int, ...] = self.body.channels
        self.freeze()

    def freeze(self) -> None:
        """Freeze what never trains. To be called again by whoever has unfrozen the whole backbone for a stage."""
        if self.freeze_stem:
            for part in (self.body.conv1, self.body.bn1, self.body.layer1):
                part.requires_grad_(False)

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Load a classifier's weights under torchvision's names; `fc` is left out.

        Raises:
            ValueError: the norm is "group", which has no place for the statistics of a batch norm.
            RuntimeError: names or shapes differ (from `load_state_dict`).
        """
        if self.norm == "group":
            raise ValueError('backbone: pretrained weights need norm="frozen", this one has norm="group"')
        self.body.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("fc.")})

    def forward(self, images: Tensor, padding: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Images [B, 3, H, W], padding [B, H, W] True where padded -> maps C3, C4, C5 and the padding of each."""
        maps = self.body(images)
        return maps, [resize_padding(padding, level) for level in maps]


def resize_padding(padding: Tensor, level: Tensor) -> Tensor:
    """Padding [B, H, W] at the size of a map [B, C, h, w] -> [B, h, w]; the top left cell keeps its value."""
    return F.interpolate(padding[:, None].float(), size=level.shape[-2:], mode="nearest")[:, 0].bool()
