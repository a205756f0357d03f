"""The engine that fills a corpus: plan, units, shards, records."""

from hemadata.build.engine import Built, Cluster, Options, build

__all__ = ["Built", "Cluster", "Options", "build"]
