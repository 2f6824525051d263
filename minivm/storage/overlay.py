"""Sectors kept in memory over a disk image, in a table whose copies cost next to nothing.

Time travel asks for a copy of the table at each keyframe. Sectors lie in small groups; a copy takes over the groups,
and only a group that is written afterwards is made anew. So a copy costs one reference for each 128 KiB of disk that
was ever changed, and a write at most one group of references.
"""

from collections.abc import Iterable, Iterator, Mapping

from minivm.storage.geometry import SECTOR

GROUP = 256
"""Sectors in a group."""

Groups = Mapping[int, dict[int, bytes]]


class Overlay:
    """The changed sectors at one moment; it never changes, and whoever holds one may keep it for ever.

    `version` says over which contents of the image it lay.
    """

    def __init__(self, groups: Groups, version: int) -> None:
        self.groups = groups
        self.version = version

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Return (sector number, 512 bytes) in ascending order."""
        for _, group in sorted(self.groups.items()):
            yield from sorted(group.items())

    def since(self, older: "Overlay") -> Iterator[tuple[int, bytes]]:
        """Return the sectors that `older` lacks or has otherwise, in ascending order; cheap where groups are shared.

        Sectors that only `older` has are not told: a table grows as long as nobody restores it.
        """
        for number, group in sorted(self.groups.items()):
            before = older.groups.get(number, {})
            if group is not before:
                yield from sorted(item for item in group.items() if before.get(item[0]) != item[1])


class SectorTable:
    """A table from sector number to its bytes."""

    def __init__(self) -> None:
        self._groups: dict[int, dict[int, bytes]] = {}
        self._own: set[int] = set()  # the groups that no copy has

    def __bool__(self) -> bool:
        return bool(self._groups)

    def get(self, lba: int) -> bytes | None:
        """Return a sector, None when it is not in the table."""
        group = self._groups.get(lba // GROUP)
        return None if group is None else group.get(lba)

    def put(self, lba: int, data: bytes) -> None:
        """Keep a sector."""
        self._own_group(lba // GROUP)[lba] = data

    def put_run(self, lba: int, data: bytes) -> None:
        """Keep the sectors of `data`, the first of them number `lba`."""
        end = lba + len(data) // SECTOR
        first = lba
        while lba < end:
            stop = min(end, lba - lba % GROUP + GROUP)
            self._own_group(lba // GROUP).update(
                (number, data[(number - first) * SECTOR : (number - first + 1) * SECTOR]) for number in range(lba, stop)
            )
            lba = stop

    def within(self, lba: int, count: int) -> list[tuple[int, bytes]]:
        """Return (sector number, bytes) of those of the `count` sectors from `lba` that are in the table, in order."""
        end = lba + count
        found = [group for number in range(lba // GROUP, -(-end // GROUP)) if (group := self._groups.get(number))]
        return [
            (number, sector)
            for group in found
            for number in (sorted(group) if len(group) < count else range(lba, end))
            if lba <= number < end and (sector := group.get(number)) is not None
        ]

    def _own_group(self, number: int) -> dict[int, bytes]:
        """Return a group that no copy has, to be written."""
        if number not in self._own:
            self._groups[number] = dict(self._groups.get(number, ()))
            self._own.add(number)
        return self._groups[number]

    def copy(self, version: int = 0) -> Overlay:
        """Return the table as it is now."""
        self._own.clear()
        return Overlay(dict(self._groups), version)

    def restore(self, overlay: Overlay) -> None:
        """Become what the table was when `overlay` was taken."""
        self._groups = dict(overlay.groups)
        self._own.clear()

    def replace(self, sectors: Iterable[tuple[int, bytes]]) -> None:
        """Keep these sectors and no others."""
        self._groups, self._own = {}, set()
        for lba, data in sectors:
            self.put(lba, data)

    def runs(self, longest: int = GROUP) -> Iterator[tuple[int, bytes]]:
        """Return (first sector, bytes) of neighbours, in ascending order, at most `longest` sectors each."""
        first, parts = -1, list[bytes]()
        for lba, data in Overlay(self._groups, 0):
            if parts and (lba != first + len(parts) or len(parts) == longest):
                yield first, b"".join(parts)
                parts = []
            if not parts:
                first = lba
            parts.append(data)
        if parts:
            yield first, b"".join(parts)


__all__ = ["GROUP", "Overlay", "SectorTable"]
