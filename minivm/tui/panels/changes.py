"""What changed between two looks at a machine, at the granularity of whatever a panel shows."""

from collections.abc import Hashable, Mapping
from typing import Any


class Changes:
    """Remembers values by key; `look` returns the keys whose values differ from those of an earlier time.

    Looks at one and the same time add up: what changed stays marked until the machine has gone on.
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, object] = {}
        self._changed: frozenset[Hashable] = frozenset()
        self._now = -1

    def look(self, now: int, values: Mapping[Any, object]) -> frozenset[Hashable]:
        """Return what has changed since the last time that was not `now`; a key that is new has not changed."""
        if now == self._now:
            self._values |= values
            return self._changed
        self._now = now
        self._changed = frozenset(key for key, value in values.items() if self._values.get(key, value) != value)
        self._values = dict(values)
        return self._changed
