"""How fast the machine runs: as fast as it can, at a multiple of the host's clock, or so many instructions a second."""

import re
import time

from minivm.core.record import record
from minivm.errors import ConfigError
from minivm.machine import NS_PER_SECOND

QUANTUM_S = 0.004
"""A machine paced by the host's clock gets its time in pieces of so much."""
LONGEST_LAG_S = 0.1
"""A machine further behind than this is not asked to catch up: it would show everything in fast motion."""
MOST_INSTRUCTIONS = 100_000
_TIMES = re.compile(r"(\d+(?:\.\d+)?)x")
_INSTRUCTIONS = re.compile(r"(\d+(?:\.\d+)?)(?:/s)?")


@record
class Speed:
    """`kind` is "max", "times" (`value` virtual seconds a second) or "instructions" (`value` a second)."""

    kind: str
    value: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Speed":
        """Return the speed called `max`, `1x`, `0.5x`, or `5/s` (instructions a second); raises `ConfigError`."""
        word = text.strip().lower()
        if word == "max":
            return MAX
        for kind, pattern in (("times", _TIMES), ("instructions", _INSTRUCTIONS)):
            match = pattern.fullmatch(word)
            if match and float(match[1]) > 0:
                return cls(kind, min(float(match[1]), MOST_INSTRUCTIONS))
        raise ConfigError(f"{text!r} is no speed; write max, 1x, 0.5x, or 5/s for five instructions a second")

    def __str__(self) -> str:
        match self.kind:
            case "times":
                return f"{self.value:g}x"
            case "instructions":
                return f"{self.value:g}/s"
        return "max"


MAX = Speed("max")
REAL_TIME = Speed("times", 1.0)
LADDER = (*(Speed("instructions", rate) for rate in (1, 2, 5, 10, 50, 200, 1000)), REAL_TIME, MAX)
"""The speeds that the keys `-` and `+` go through."""


class Pace:
    """Follows the host's clock at one `Speed`; `start` lets the machine's time `now` be this moment."""

    def __init__(self, speed: Speed) -> None:
        self.speed = speed
        self._origin_s, self._origin_ns = time.monotonic(), 0
        self._step_due = 0.0

    def start(self, now: int) -> None:
        """Begin anew, with the first instruction due at once."""
        self._origin_s, self._origin_ns = time.monotonic(), now
        self._step_due = self._origin_s

    def target(self, now: int) -> int:
        """Return up to which virtual time the machine at `now` may run ("times" only)."""
        due = self._due()
        lag = round(LONGEST_LAG_S * NS_PER_SECOND * self.speed.value)
        if due - now > lag:
            self.start(now + lag)
            due = now + lag
        return max(now, due)

    def patience(self, now: int, halted_until: int | None) -> float | None:
        """Return for how many seconds the machine at `now` has nothing to do; `halted_until` is its next alarm."""
        match self.speed.kind:
            case "max":
                return 0.0
            case "instructions":
                return max(0.0, self._step_due - time.monotonic())
        quantum = now + round(QUANTUM_S * NS_PER_SECOND * self.speed.value)
        awake = quantum if halted_until is None else halted_until
        return max(0.0, min(1.0, (awake - self._due()) / NS_PER_SECOND / self.speed.value))

    def take_steps(self) -> int:
        """Return how many instructions are due by now, and count them as done ("instructions" only)."""
        now, interval = time.monotonic(), 1 / self.speed.value
        count = int((now - self._step_due) / interval) + 1 if now >= self._step_due else 0
        most = max(1, int(self.speed.value * LONGEST_LAG_S))
        self._step_due = now + interval if count > most else self._step_due + count * interval
        return min(count, most)

    def _due(self) -> int:
        elapsed = time.monotonic() - self._origin_s
        return self._origin_ns + int(elapsed * NS_PER_SECOND * self.speed.value)
