"""Keyframes: whole states of one machine at some of its past moments, to which it can be put back.

The registers and chips of a moment are small and kept whole. Of RAM a keyframe keeps only the pages that were written
since the keyframe before, found without looking at the others (core/memory.py). To go back, those pages are put back
that differ between now and then, each from the last keyframe at or before the moment that has it.

Keyframes are thinned with age: when they outgrow the budget, the one goes whose neighbours are closest to one another
for their age, and its pages move on to the next. The first one stays, so that all of the past can be reached.
"""

from bisect import bisect_right
from collections.abc import Iterator

from minivm.core.memory import PAGE
from minivm.machine import Machine
from minivm.storage.overlay import Overlay

STATE_BYTES = 16 << 10
"""What the registers, chips and console of a keyframe take in Python, about."""


class Keyframe:
    """One moment: `position` in ticks, `inputs` done by then, and what it takes to be there again.

    `pages` are those written since the keyframe before; pages that neither it nor an earlier one has are zeros.
    """

    def __init__(self, machine: Machine, inputs: int, pages: dict[int, bytes]) -> None:
        self.position = machine.now
        self.ticks = machine.ticks
        self.inputs = inputs
        self.pages = pages
        self.state = machine.state()
        self.media = machine.media_keys()
        self.disks: dict[str, Overlay] = {name: disk.overlay() for name, disk in machine.open_disks().items()}

    @property
    def size_bytes(self) -> int:
        """How much of the budget it takes."""
        return STATE_BYTES + len(self.pages) * PAGE


class Keyframes:
    """The keyframes of `machine`, in order of time, in at most about `budget_bytes`."""

    def __init__(self, machine: Machine, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.taken = self.dropped = 0
        self._machine = machine
        self._frames: list[Keyframe] = []
        self._here: Keyframe | None = None  # RAM was like this at the last mark
        self._size = 0

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Keyframe]:
        return iter(self._frames)

    def __getitem__(self, index: int) -> Keyframe:
        return self._frames[index]

    @property
    def size_bytes(self) -> int:
        """How much memory all of them take, about."""
        return self._size

    def take(self, inputs: int) -> Keyframe:
        """Keep the present, which must lie behind every other keyframe; `inputs` were done by now."""
        memory, last = self._machine.memory, self._frames[-1] if self._frames else None
        pages = memory.used() if last is None else sorted(self._changed_since(last))
        view = memory.view
        frame = Keyframe(self._machine, inputs, {page: bytes(view[page * PAGE : (page + 1) * PAGE]) for page in pages})
        self._frames.append(frame)
        self._size += frame.size_bytes
        self.taken += 1
        memory.mark()
        self._here = frame
        self._thin()
        return frame

    def before(self, position: int) -> Keyframe:
        """Return the last keyframe at or before `position`, or the first one of all."""
        at = bisect_right(self._frames, position, key=lambda frame: frame.position)
        return self._frames[max(0, at - 1)]

    def restore(self, frame: Keyframe) -> None:
        """Put the machine back, or forward, to a keyframe."""
        machine = self._machine
        changed = self._changed_since(frame)
        machine.memory.put_pages(self._pages_at(frame, changed))
        machine.return_media(frame.media)
        machine.restore(frame.state)
        for name, disk in machine.open_disks().items():
            if name in frame.disks:
                disk.restore_overlay(frame.disks[name])
            else:
                disk.discard()  # it came later
        machine.memory.mark()
        self._here = frame

    def forget_after(self, position: int) -> None:
        """Drop the keyframes after `position`: the past has branched there. The machine must stand before them."""
        while self._frames and self._frames[-1].position > position:
            self._size -= self._frames.pop().size_bytes
        if self._here is not None and self._here not in self._frames:
            raise ValueError("the machine came from a keyframe that was to be dropped")

    def touching(self, page: int) -> list[Keyframe]:
        """Return the keyframes before which `page` was written since the one before them."""
        return [frame for frame in self._frames if page in frame.pages]

    def written_now(self) -> set[int]:
        """Return the pages written since the last keyframe that lies behind the machine."""
        return set(self._machine.memory.changed())

    # -- pages --------------------------------------------------------------------------------------------------------
    def _changed_since(self, frame: Keyframe) -> set[int]:
        """Return every page in which RAM may now differ from what it was at `frame`, before or behind it."""
        changed = set(self._machine.memory.changed())
        assert self._here is not None
        here, there = self._frames.index(self._here), self._frames.index(frame)
        for between in self._frames[min(here, there) + 1 : max(here, there) + 1]:
            changed.update(between.pages)
        return changed

    def _pages_at(self, frame: Keyframe, wanted: set[int]) -> dict[int, bytes]:
        """Return what `wanted` pages held at `frame`."""
        found: dict[int, bytes] = {}
        for earlier in reversed(self._frames[: self._frames.index(frame) + 1]):
            for page in wanted & earlier.pages.keys():
                found[page] = earlier.pages[page]
            wanted = wanted - earlier.pages.keys()
        return found | dict.fromkeys(wanted, _ZEROS)

    # -- the budget ---------------------------------------------------------------------------------------------------
    def _thin(self) -> None:
        while self._size > self.budget_bytes and len(self._frames) > 2:
            self._drop(self._least_missed())

    def _least_missed(self) -> int:
        """Return the keyframe whose neighbours are nearest to one another, measured by its age."""
        frames = self._frames
        now = frames[-1].ticks + 1

        def loss(index: int) -> float:
            return (frames[index + 1].ticks - frames[index - 1].ticks) / (now - frames[index].ticks)

        return min(range(1, len(frames) - 1), key=loss)

    def _drop(self, index: int) -> None:
        frame, after = self._frames[index], self._frames[index + 1]
        self._size -= frame.size_bytes + after.size_bytes
        after.pages = frame.pages | after.pages
        self._size += after.size_bytes
        self.dropped += 1
        del self._frames[index]
        assert self._here is not frame, "the newest keyframe is never thinned while the machine goes on from it"


_ZEROS = bytes(PAGE)
