"""The eight symmetries of a square: a cell has no up or left, so that what is said of it can be the mean over all."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hemamodel.errors import UsageError


def over_symmetries(said: Callable[[Tensor], Tensor], images: Tensor, sizes: Tensor) -> Tensor:
    """Mean of what is said of each of the eight views of some images.

    Args:
        said: images [B, 3, H, W], padded below and to the right as given -> [B, ...].
        images: [B, 3, H, W].
        sizes: long [B, 2], height and width before padding.

    Raises:
        UsageError: the images are not squares of one size; `fit=squash` makes them so.
    """
    side = int(sizes[0, 0])
    if not bool((sizes == side).all()):
        raise UsageError("The eight symmetries need square images of one size: --set tasks.<task>.image.fit=squash.")
    return torch.stack([said(view) for view in views(images, side)]).mean(0)


def views(images: Tensor, side: int) -> Iterator[Tensor]:
    """Images [B, 3, H, W], of which `side` x `side` pixels are not padding -> the eight views, padded as they are."""
    inner = images[..., :side, :side]
    for turned in (inner, inner.transpose(-1, -2)):
        for axes in ((), (-1,), (-2,), (-1, -2)):
            view = images.clone()
            view[..., :side, :side] = turned.flip(axes) if axes else turned
            yield view
