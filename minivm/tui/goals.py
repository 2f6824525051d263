"""What a running machine is on its way to: for ever on, to an address, out of a routine.

A goal advances in pieces, so that the user can look, pause or ask something between them. Each returns the stop it
reached, or None when there is more to do.
"""

import time
from typing import Protocol

from minivm.core.clock import NEVER
from minivm.debug.debugger import Breakpoint, Debugger, Stop
from minivm.engine.cpustate import HF_CS64, HF_SS32, RSP
from minivm.machine import NS_PER_MS

AS_A_WHOLE = ("call", "int", "syscall", "sysenter", "rep", "loop")
RETURNS = ("ret", "iret", "sysret", "sysexit")
LONGEST_PIECE_S = 0.01
_UNFINISHED = ("limit", "stopped")


class Goal(Protocol):
    """Somewhere to run to."""

    def advance(self, debugger: Debugger, ms: float | None) -> Stop | None:
        """Run for at most `ms` virtual milliseconds (0: one instruction; None: until somebody calls `stop`)."""

    def forget(self, debugger: Debugger) -> None:
        """Take back what the goal has armed."""


class Onward:
    """Run until a breakpoint or the machine's end."""

    _begun = False

    def advance(self, debugger: Debugger, ms: float | None) -> Stop | None:
        """Run a piece."""
        stop = self._run(debugger, ms)
        return None if stop.reason in _UNFINISHED else stop

    def _run(self, debugger: Debugger, ms: float | None) -> Stop:
        """Step off a breakpoint, and off the first instruction; else go on, which costs no step in every piece.

        In slow motion a sleep is one step.
        """
        if ms == 0 and debugger.machine.halted:
            stop = debugger.step()
            return Stop("limit", stop.text) if stop.reason == "step" else stop
        if ms == 0 or not self._begun or _at_breakpoint(debugger):
            self._begun = True
            return debugger.resume(ms)
        return debugger.go_on(NEVER if ms is None else debugger.machine.now + round(ms * NS_PER_MS))

    def forget(self, debugger: Debugger) -> None:
        """Nothing is armed."""


class To(Onward):
    """Run to an address; with `returning`, to the moment when the stack is no deeper than now."""

    def __init__(self, debugger: Debugger, where: str | int, *, returning: bool = False) -> None:
        condition = stack_condition(debugger) if returning else ""
        self._entry: Breakpoint = debugger.break_at(where, condition=condition, temporary=True)

    def advance(self, debugger: Debugger, ms: float | None) -> Stop | None:
        """Run a piece."""
        stop = super().advance(debugger, ms)
        if stop is not None and stop.number == self._entry.number:
            return Stop("step", f"at {debugger.where()}")
        return stop

    def forget(self, debugger: Debugger) -> None:
        """Remove the breakpoint that was not reached."""
        if any(entry is self._entry for entry in debugger.entries()):
            debugger.remove(self._entry.number)


class Out:
    """Run until the current routine has returned: instruction by instruction, calls as a whole."""

    def __init__(self, debugger: Debugger) -> None:
        self._stack = stack(debugger)
        self._over: To | None = None

    def advance(self, debugger: Debugger, ms: float | None) -> Stop | None:
        """Run a piece."""
        end = time.monotonic() + LONGEST_PIECE_S
        while True:
            stop = self._one(debugger, ms)
            if stop is not None or ms == 0 or time.monotonic() >= end:
                return stop

    def _one(self, debugger: Debugger, ms: float | None) -> Stop | None:
        if self._over is not None:
            stop = self._over.advance(debugger, ms)
            if stop is None or stop.reason != "step":
                return stop
            self._over = None
            return None
        mnemonic = debugger.instruction().mnemonic
        if mnemonic.startswith(AS_A_WHOLE):
            self._over = over(debugger)
            return None
        stop = debugger.resume(0)
        if stop.reason not in _UNFINISHED:
            return stop
        if mnemonic.startswith(RETURNS) and stack(debugger) > self._stack:
            return Stop("step", f"returned to {debugger.where()}")
        return None

    def forget(self, debugger: Debugger) -> None:
        """Remove the breakpoint behind a call that has not returned."""
        if self._over is not None:
            self._over.forget(debugger)


def over(debugger: Debugger) -> To | None:
    """Return the way to behind the current instruction when it is to be run as a whole, else None."""
    instruction = debugger.instruction()
    if not instruction.mnemonic.startswith(AS_A_WHOLE):
        return None
    return To(debugger, debugger.machine.cpu.linear_ip + len(instruction.code), returning=True)


def _at_breakpoint(debugger: Debugger) -> bool:
    here = debugger.machine.cpu.linear_ip
    return any(isinstance(entry, Breakpoint) and entry.address == here for entry in debugger.entries())


def stack(debugger: Debugger) -> int:
    """Return the stack pointer, as wide as the mode uses it."""
    head = debugger.machine.cpu.head
    return int(head.regs[RSP]) & _stack_mask(head.hflags)


def stack_condition(debugger: Debugger) -> str:
    """Return the expression that holds while the stack is no deeper than now."""
    hflags = debugger.machine.cpu.head.hflags
    name = "rsp" if hflags & HF_CS64 else "esp" if hflags & HF_SS32 else "sp"
    return f"{name} >= {stack(debugger)}"


def _stack_mask(hflags: int) -> int:
    return (1 << (64 if hflags & HF_CS64 else 32 if hflags & HF_SS32 else 16)) - 1


__all__ = ["Goal", "Onward", "Out", "To", "over"]
