"""Uni-Hema: one model for detection, segmentation, classification and text on blood-cell images.

```python
import hemamodel

predictor = hemamodel.from_pretrained("my-org/cells")  # or the folder of a run
```
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hemamodel.hub import from_pretrained, push, save_pretrained

__all__ = ["from_pretrained", "push", "save_pretrained"]


def __getattr__(name: str) -> Any:
    """The public functions, imported when they are first asked for: the rest of the package stays light."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hemamodel import hub

    return getattr(hub, name)
