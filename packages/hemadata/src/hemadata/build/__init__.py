"""The engine that fills a corpus: plan, units, shards, records."""

from hemadata.build.engine import Built, Options, build

__all__ = ["Built", "Options", "build"]
