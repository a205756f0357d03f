"""PBC (Acevedo) under detection: the same pictures, read alike. Nobody published boxes, so no row has any."""

from hemadata.sources.acevedo import draw, index

__all__ = ["draw", "index"]
