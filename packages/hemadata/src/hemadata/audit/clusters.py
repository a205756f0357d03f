"""Joining what belongs together: union-find over keys."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Clusters(Generic[Key]):
    """Sets that grow by joining; every key begins alone."""

    def __init__(self) -> None:
        self._parent: dict[Key, Key] = {}

    def root(self, key: Key) -> Key:
        """One key that stands for the set of a key."""
        parent = self._parent
        top = key
        while (up := parent.get(top, top)) != top:
            top = up
        while (up := parent.get(key, key)) != top:  # the next look is short
            parent[key], key = top, up
        return top

    def join(self, first: Key, second: Key) -> bool:
        """Make one set of two; False where they are one already."""
        a, b = self.root(first), self.root(second)
        if a == b:
            return False
        self._parent[b] = a
        return True

    def sets(self, keys: Iterable[Key]) -> dict[Key, list[Key]]:
        """Root -> its members among some keys, in their order."""
        found: dict[Key, list[Key]] = defaultdict(list)
        for key in keys:
            found[self.root(key)].append(key)
        return dict(found)
