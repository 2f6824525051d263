"""The user's hand on the guest's mouse: cells of the terminal become movements, together while the machine is busy."""

from collections import deque
from typing import Any

from minivm.core.mouse import MouseEvent
from minivm.debug.debugger import Debugger
from minivm.tui.session import Session

BUTTONS = {1: "left", 2: "middle", 3: "right"}
"""Textual's numbers."""


class Hand:
    """Moves the mouse of a session's machine. Whole steps are sent, and fractions of a step kept for the next time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: deque[MouseEvent] = deque()
        self._rest = (0.0, 0.0)

    def move(self, dx: float, dy: float) -> None:
        """Move by steps to the right and down, as a terminal counts."""
        dx, dy = dx + self._rest[0], dy + self._rest[1]
        whole = int(dx), int(dy)
        self._rest = dx - whole[0], dy - whole[1]
        if any(whole):
            self._send(MouseEvent(whole[0], -whole[1]))

    def turn(self, steps: int) -> None:
        """Turn the wheel, towards the user when `steps` is above 0."""
        self._send(MouseEvent(wheel=steps))

    def press(self, number: int) -> None:
        """Push a button down, by Textual's number."""
        if number in BUTTONS:
            self._send(MouseEvent(press=(BUTTONS[number],)))

    def release(self, number: int) -> None:
        """Let a button come up, by Textual's number."""
        if number in BUTTONS:
            self._send(MouseEvent(release=(BUTTONS[number],)))

    def _send(self, event: MouseEvent) -> None:
        self._waiting.append(event)
        if len(self._waiting) == 1:  # else the machine's thread is about to take it anyhow
            self._session.call(self._use)

    def _use(self, debugger: Debugger) -> None:
        """Do all that waits, on the machine's thread; movements that follow each other are one."""
        console: Any = debugger.machine.console
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        for event in _joined(waiting):
            console.use_mouse(event)
        if self._waiting:  # what has come meanwhile did not ask for a turn of its own
            self._session.call(self._use)


def _joined(events: list[MouseEvent]) -> list[MouseEvent]:
    joined: list[MouseEvent] = []
    for event in events:
        last = joined[-1] if joined else None
        if last is None or event.press or event.release or last.press or last.release:
            joined.append(event)
        else:
            joined[-1] = MouseEvent(last.dx + event.dx, last.dy + event.dy, last.wheel + event.wheel)
    return joined
