"""A script: texts to wait for and keys to type, in the order given on the command line.

It looks at the machine at fixed points of virtual time, so that the same script does the same on every run.
"""

from collections import deque
from collections.abc import Sequence

from minivm.core.keys import parse_keys, unescape
from minivm.core.record import record
from minivm.errors import ConfigError, ExpectationFailed
from minivm.machine import NS_PER_MS, NS_PER_SECOND, HostConsole

POLL_NS = 10 * NS_PER_MS
"""How far apart the looks are, in virtual time."""
PATIENCE_NS = 30 * NS_PER_SECOND
"""How long a text may take, in virtual time from the step before."""


@record
class Step:
    """One step: `kind` is "expect" or "type", `text` has its escapes resolved."""

    kind: str
    text: str

    @classmethod
    def parse(cls, kind: str, text: str) -> "Step":
        """Read an option's text, and see that there are keys for what is to be typed."""
        try:
            plain = unescape(text)
            if kind == "type":
                parse_keys(plain)
        except ConfigError as error:
            raise ConfigError(f"--{kind}: {error}") from None
        if not plain:
            raise ConfigError(f"--{kind}: the text is empty")
        return cls(kind, plain)


class Script:
    """The steps still to do. `next_look` is when to `look` again, in virtual nanoseconds; None: all is done."""

    def __init__(self, steps: Sequence[Step], began: int = 0, *, ends_the_run: bool = False) -> None:
        self._steps = deque(steps)
        self._ends_the_run = ends_the_run or (bool(steps) and steps[-1].kind == "expect")
        self.next_look: int | None = began - began % POLL_NS + POLL_NS if steps else None
        self._deadline = began + PATIENCE_NS

    @property
    def met(self) -> bool:
        """True when the last text has come. A script that ends in `--type` is never met: the guest goes on.

        With `ends_the_run` it is met by its last key.
        """
        return self._ends_the_run and not self._steps

    def look(self, console: HostConsole, now: int) -> None:
        """Do all the steps that can be done at the time `now`; raises `ExpectationFailed` when one is too late."""
        while self._steps:
            step = self._steps[0]
            if step.kind == "type":
                console.type(step.text)
            elif not console.shows(step.text):
                break
            self._steps.popleft()
            self._deadline = now + PATIENCE_NS
        self.next_look = now - now % POLL_NS + POLL_NS if self._steps else None
        if self._steps and now >= self._deadline:
            self.fail(console, f"{PATIENCE_NS // NS_PER_SECOND} virtual seconds are over")

    def fail(self, console: HostConsole, why: str) -> None:
        """Raise `ExpectationFailed` when a text is still waited for."""
        if self._steps:
            raise ExpectationFailed(f"{self._steps[0].text!r} did not come; {why}\n{console.report()}")
