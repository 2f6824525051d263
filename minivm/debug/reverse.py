"""Backwards: step back, continue back to the last stop, and ask who wrote something.

To go back is to run forward again from before, and to stop earlier (timeline.py). To find the last time that something
happened, pieces of the past are run again with the debugger's entries armed, the latest piece first; the last stop in
the first piece that has one is the answer. Where a breakpoint stops is before its instruction. A watchpoint that is
met going backwards stops before the instruction that wrote, too: its work is undone.
"""

from collections.abc import Callable, Collection

from minivm.core.memory import PAGE
from minivm.core.record import record
from minivm.debug.debugger import Catch, DebugError, Debugger, Entry, Stop, Watchpoint
from minivm.debug.expressions import compile_expression
from minivm.debug.keyframes import Keyframe
from minivm.debug.timeline import LONGEST_BLOCK, Interrupted, Moment, Timeline


@record
class Found:
    """A stop in the past, and the moment at which the machine would have stopped there going forward."""

    moment: Moment
    stop: Stop


@record
class Writer:
    """Who wrote something last: the moment before it happened, the instruction there, and in words what was done."""

    moment: Moment
    instruction: str
    text: str


class Reverse:
    """What goes backwards for one debugger, whose machine keeps its past (`Debugger.travel`).

    `Debugger.stop` from another thread ends what goes on: the machine is where it was, and the stop is "stopped".
    """

    def __init__(self, debugger: Debugger) -> None:
        self.debugger = debugger
        self.machine = debugger.machine
        self.timeline: Timeline = debugger.travel()

    def step(self, count: int = 1) -> Stop:
        """Undo `count` instructions; at the beginning of what is kept, nothing."""
        return self._unless_interrupted(lambda: self._step(count))

    def _step(self, count: int) -> Stop:
        if self.timeline.steps_back(count) is None:
            self.timeline.go_to(self.timeline.begin)
            return self._at_beginning()
        return Stop("step", f"back at {self.debugger.where()}")

    def resume(self) -> Stop:
        """Go back to the last moment at which something that is armed would have stopped the machine."""
        return self._unless_interrupted(self._resume)

    def _resume(self) -> Stop:
        here = self.timeline.moment()
        found = self._last(here)
        if found is None:
            self.timeline.go_to(self.timeline.begin)
            return self._at_beginning()
        return self._stand_before(found)

    def go_to(self, tick: int) -> Stop:
        """Go to the first moment at or after `tick`; raises `TimelineError` when it is gone."""
        return self._unless_interrupted(lambda: self._go_to(tick))

    def _go_to(self, tick: int) -> Stop:
        self.timeline.go_to(tick)
        return Stop("limit", f"tick {self.machine.now:,}, at {self.debugger.where()}")

    def _unless_interrupted(self, action: Callable[[], Stop]) -> Stop:
        try:
            with self.timeline.undone_if_interrupted():
                return action()
        except Interrupted:
            self.debugger.take_stop()
            return Stop("stopped", f"interrupted; at {self.debugger.where()}")

    def who_wrote(self, what: str, *, jump: bool = True) -> Writer | None:
        """Find who changed or wrote `what` last: `byte [0x600]`, `port 0x43`, `eax`; None when nobody did.

        With `jump` the machine goes there, before the instruction; else it stays. Raises `MiniVMError` in one line.
        """
        try:
            with self.timeline.undone_if_interrupted():
                return self._who_wrote(what, jump)
        except Interrupted:
            self.debugger.take_stop()
            raise

    def _who_wrote(self, what: str, jump: bool) -> Writer | None:
        here = self.timeline.moment()
        entry = self._entry_for(what)
        try:
            found = self._last(here, [entry], self._may_have_written(entry))
            if found is None:
                self.timeline.return_to(here)
                return None
            stop = self._stand_before(found)
            writer = Writer(self.timeline.moment(), self.debugger.instruction().text, stop.text)
        finally:
            self.debugger.remove(entry.number)
        if not jump:
            self.timeline.return_to(here)
        return writer

    # -- looking for the last stop ------------------------------------------------------------------------------------
    def _entry_for(self, what: str) -> Entry:
        words = what.split(None, 1)
        if words and words[0].lower() == "port" and len(words) == 2:
            port = compile_expression(words[1], self.debugger.symbols).evaluate(self.debugger.context)
            return self.debugger.catch("port", port)
        expression = compile_expression(what, self.debugger.symbols)
        place = expression.place(self.debugger.context)
        in_memory = place is not None and place.kind in ("linear", "physical")
        return self.debugger.watch(what, "write" if in_memory else "change")

    def _may_have_written(self, entry: Entry) -> Callable[[Keyframe], bool] | None:
        """Return which keyframes have a piece before them in which watched memory was written at all."""
        if not isinstance(entry, Watchpoint) or not entry.ranged:
            return None
        pages = range(entry.start // PAGE, (entry.end - 1) // PAGE + 1)
        return lambda frame: any(page in frame.pages for page in pages)

    def _last(
        self, here: Moment, only: Collection[Entry] | None = None, wanted: Callable[[Keyframe], bool] | None = None
    ) -> Found | None:
        with self.debugger.looking_back(only):
            for begin, end in self.timeline.spans(here, wanted):
                found = self._last_between(begin, end, here, _NEAR if here.in_block else 0)
                for near in _LONG_BLOCKS:
                    if self.machine.now > here.position:  # `here` lies deep inside a long block
                        found = self._last_between(begin, end, here, near)
                if found is not None:
                    return found
        return None

    def _last_between(self, begin: int, end: int, here: Moment, near: int) -> Found | None:
        """Run from one moment to another with everything armed; return the last stop that lies before `here`.

        Inside a block no run ends, so the last `near` ticks before `here` are stepped.
        """
        debugger = self.debugger
        self.timeline.start_at(begin)
        debugger.look_around()
        last: Found | None = None
        stop = debugger.at_breakpoint()
        while True:
            self.timeline.look_up()
            if stop is not None and stop.number:
                if not self._is_before(here, stop):
                    break
                last = Found(self.timeline.moment(), stop)
            if self.machine.now >= end or self.machine.ended is not None:
                break
            stop = self._next_stop(end - near if end == here.position else end, end, stop is not None)
        return last

    def _next_stop(self, coarse: int, end: int, past: bool) -> Stop | None:
        """Go on to the next stop, or some way without one: run to `coarse`, step from there to `end`."""
        debugger, machine = self.debugger, self.machine
        if past or machine.now >= coarse:
            stop = debugger.one_step(end)
            return stop if stop is not None and stop.number else debugger.at_breakpoint()
        stop = debugger.go_on(coarse, self.timeline.interrupted)
        if stop.reason == "stopped":
            raise Interrupted(stop.text)
        return stop if stop.number else None

    def _is_before(self, here: Moment, stop: Stop) -> bool:
        """Tell whether a stop belongs to the past of `here`: what an instruction did that has ended by then."""
        now = self.timeline.moment()
        if now.position != here.position:
            return now.position < here.position
        return now == here and self._is_behind(stop)

    def _is_behind(self, stop: Stop) -> bool:
        """Tell whether a stop comes behind the instruction that caused it, as all but breakpoints do."""
        return isinstance(self.debugger.entry(stop.number), Watchpoint | Catch)

    def _stand_before(self, found: Found) -> Stop:
        self.timeline.return_to(found.moment)
        if self._is_behind(found.stop):
            self.timeline.steps_back()
        return Stop(found.stop.reason, found.stop.text, found.stop.number)

    def _at_beginning(self) -> Stop:
        return Stop("history", f"the beginning of what is kept, tick {self.timeline.begin:,}")


_NEAR, _LONG_BLOCKS = 1 << 8, (1 << 13, 1 << 16, LONGEST_BLOCK)

__all__ = ["DebugError", "Found", "Reverse", "Writer"]
