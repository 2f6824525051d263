"""Pacing: how far virtual time may go by now.

A paced machine follows the host's clock at a fixed speed and never runs ahead. One that cannot keep up loses the
difference, or, with `--clock host`, skips it.
"""

import time

from minivm.core.clock import NEVER
from minivm.machine import NS_PER_MS, NS_PER_SECOND

UNPACED_PIECE_NS = 20 * NS_PER_MS
QUANTUM_S = 0.004
"""A busy machine is given its time in pieces of so much by the host's clock."""
LONGEST_LAG_S = 0.1
"""A machine further behind than this is not asked to catch up: it would show everything in fast motion."""
SKIP_FROM_S = 0.02


class Pacing:
    """`speed` in virtual seconds per second (None: as fast as it goes); `follow_host` skips what was missed."""

    def __init__(self, speed: float | None, *, follow_host: bool = False) -> None:
        self.speed = speed
        self._follow_host = follow_host
        self.quantum_ns = round(QUANTUM_S * NS_PER_SECOND * speed) if speed is not None else 0

    def start(self, now: int) -> None:
        """Let virtual time `now` be this moment."""
        self._origin_s, self._origin_ns = time.monotonic(), now

    def target(self, now: int, halted: bool) -> int:
        """Return up to which virtual time the machine at `now` may run."""
        if self.speed is None:
            return now + UNPACED_PIECE_NS
        due = self._due()
        lag = round(LONGEST_LAG_S * NS_PER_SECOND * self.speed)
        if not halted and not self._follow_host and due - now > lag:
            self.start(now + lag)
            due = now + lag
        return max(now, due)

    def skips(self, now: int) -> bool:
        """Tell whether the machine is to leave out what it missed."""
        behind = self._due() - now
        return self._follow_host and behind > SKIP_FROM_S * NS_PER_SECOND * (self.speed or 1.0)

    def seconds_until(self, position: int, now: int) -> float | None:
        """Return how long the host may sleep before `position` is due; None for ever, 0 not at all."""
        if position >= NEVER:
            return None
        if self.speed is None:
            return 0
        return (position - self._due()) / NS_PER_SECOND / self.speed

    def _due(self) -> int:
        elapsed = time.monotonic() - self._origin_s
        return self._origin_ns + int(elapsed * NS_PER_SECOND * (self.speed or 1.0))
