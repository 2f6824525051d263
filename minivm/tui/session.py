"""The machine on a thread of its own, and what the user interface sees of it.

Only the machine's thread touches the machine. Everyone else puts work on its queue (`call`) and gets a future; the run
is interrupted for it at the next safe point. What there is to see comes as one `View`, after every stop and at most 30
times a second in between: when the screen has changed or the panels' turn has come. Looking must not slow the machine
down, so a view that was dear lets the next one wait. A `View` is finished when it is handed over: the other side only
reads it.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from minivm.core.keys import KeyEvent
from minivm.core.record import record
from minivm.core.screen import TextScreen
from minivm.debug.debugger import Breakpoint, Debugger, Entry, Stop
from minivm.debug.recorder import Recorder
from minivm.debug.reverse import Reverse, Writer
from minivm.debug.symbols import SymbolTable
from minivm.debug.timeline import BUDGET_BYTES, KEYFRAME_COST, Interrupted, Timeline
from minivm.errors import MiniVMError, SnapshotError
from minivm.machine import NS_PER_MS, Machine
from minivm.own_devices import blamed
from minivm.pictures.monitor import shows_pixels
from minivm.tui.goals import Goal, Onward, Out, To, over
from minivm.tui.life import Life
from minivm.tui.pace import MAX, Pace, Speed
from minivm.tui.past import History, history_of

VIEW_S = 1 / 30
"""A running machine is looked at no more often than this."""
PANELS_S = 0.2
"""The panels but the screen collect no more often than this while the machine runs: nobody reads them any faster."""
REST = 12
"""After a view that cost so much time, a busy machine runs for so many times as long before the next one."""
PICTURE_REST = 4
"""The same in a graphics mode, where all pixels may move, unless the machine is to run as fast as it can."""
LONGEST_REST_S = 0.25
SERIAL_TAIL = 8192
_RATE_S = 0.5
_KEYFRAME_S = 0.1
"""A fast guest's keyframes lie so far apart by the host's clock: going back runs no longer than that again."""
_SOON_S = 0.03

T = TypeVar("T")
Collector = Callable[[Debugger], object]


@record
class Point:
    """One breakpoint, watchpoint or catch; `address` is linear, and None for what has none."""

    number: int
    text: str
    address: int | None
    enabled: bool


@record
class View:
    """Everything the user interface shows of one moment.

    `before` has the registers when the machine last stood still, `registers` has them now. `panels` has what each
    visible panel collected, or the exception that it failed with; of a running machine often only what the `live`
    panels did. `running` is False while the machine stands still
    for the user. `ticks_per_second` and `instructions_per_second` are measured; the latter only in slow motion.
    `history` is None where no past is kept.
    """

    running: bool
    stop: Stop | None
    now_ns: int
    ticks: int
    mode: str
    code_bits: int
    linear_ip: int
    where: str
    halted: bool
    screen: TextScreen
    registers: dict[str, int]
    before: dict[str, int]
    serial_tail: str
    speed: Speed
    ticks_per_second: float
    instructions_per_second: float
    points: tuple[Point, ...]
    panels: dict[str, object]
    history: History | None = None


class SessionClosed(MiniVMError):
    """Work was asked of a session that is closed."""


class Session:
    """One machine under its debugger on its own thread; `close` it before the machine.

    `speed` is in virtual seconds a second, None for as fast as it goes. `on_view` is called on the machine's thread.
    While `hold` is True, no view is made of a running machine: the user interface has not shown the last one yet.
    `history` is how many bytes the keyframes of the past may take; 0 keeps none. A recorded machine has no past.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        speed: float | None = 1.0,
        symbols: SymbolTable | None = None,
        on_view: Callable[[View], object] | None = None,
        history: int = BUDGET_BYTES,
    ) -> None:
        self.machine = machine
        self.on_view = on_view
        self.hold = False
        self._debugger = Debugger(machine, symbols)
        self.recorder = Recorder(self._debugger)
        """Shared by the panels that show its events; who wants them starts and stops it by `record`."""
        self.life = Life()
        self._recording_for: set[str] = set()
        self._given_up = threading.Event()
        self._searching = threading.Event()
        self._scrub_lock = threading.Lock()
        self._scrub_tick: int | None = None
        self._no_past = _why_no_past(machine, history)
        self._past: Reverse | None = None
        if not self._no_past:
            self._debugger.travel(budget_bytes=history, every=2 * KEYFRAME_COST)
            self._past = Reverse(self._debugger)
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._collectors: Mapping[str, Collector] = {}
        self._live_panels: frozenset[str] = frozenset()
        self._panels_due = 0.0
        self._screen_given: TextScreen | None = None
        self._showing_s = 0.0
        self._pace = Pace(MAX if speed is None else Speed("times", speed))
        self._goal: Goal | None = None
        self._stop: Stop | None = None
        self._asleep = False
        self._closed = False
        self._before = machine.cpu.as_dict()
        self._next_view = 0.0
        self._measured = (time.monotonic(), 0, 0)
        self._rates = (0.0, 0.0)
        self._steps = 0
        self._in_piece = threading.Event()
        self._standing = threading.Event()
        self._standing.set()
        self._thread = threading.Thread(target=self._live, name="machine", daemon=True)
        self._beat = threading.Thread(target=self._keep_time, name="machine's beat", daemon=True)

    # -- what any thread may do ---------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start the machine's thread; the machine stands still until `resume`, and the first view comes at once."""
        self._thread.start()
        self._beat.start()

    def call(self, work: Callable[[Debugger], T]) -> "Future[T]":
        """Do `work` on the machine's thread at the next safe point; the future has its result or its exception."""
        future: Future[T] = Future()
        if self._closed:
            future.set_exception(SessionClosed("this machine is closed"))
            return future
        self._commands.put(lambda: self._do(work, future))
        if self._in_piece.is_set():
            self._debugger.stop()
        return future

    def resume(self) -> "Future[None]":
        """Run until something stops the machine or somebody pauses it."""
        return self.call(lambda debugger: self._begin(Onward()))

    def pause(self) -> "Future[None]":
        """Let the machine stand still where it is."""
        return self.call(self._pause)

    def step(self, count: int = 1) -> "Future[None]":
        """Execute `count` instructions."""
        return self.call(lambda debugger: self._one_step(debugger, count))

    def step_over(self) -> "Future[None]":
        """Execute one instruction; a call, a software interrupt or a repeated instruction as a whole."""
        return self.call(self._step_over)

    def step_out(self) -> "Future[None]":
        """Run until the current routine has returned."""
        return self.call(lambda debugger: self._begin(Out(debugger)))

    def run_to(self, where: str | int) -> "Future[None]":
        """Run to an address; the future fails with `MiniVMError` when it is not understood."""
        return self.call(lambda debugger: self._begin(To(debugger, where)))

    def type(self, events: Iterable[KeyEvent]) -> "Future[None]":
        """Press and release keys on the guest's keyboard."""
        pressed = tuple(events)
        return self.call(lambda debugger: self._press(pressed))

    def set_speed(self, speed: Speed) -> "Future[None]":
        """Run at another speed from now on."""
        return self.call(lambda debugger: self._set_speed(speed))

    # -- the past -----------------------------------------------------------------------------------------------------
    def step_back(self, count: int = 1) -> "Future[None]":
        """Undo `count` instructions. This and the other ways back fail with `MiniVMError` where no past is kept."""
        return self.call(lambda debugger: self._travel(lambda past: past.step(count)))

    def resume_back(self) -> "Future[None]":
        """Go back to where something armed would have stopped the machine last; `give_up` ends the search."""
        return self.call(lambda debugger: self._travel(lambda past: past.resume()))

    def go_to(self, tick: int) -> "Future[None]":
        """Go to the first moment at or after `tick`, but not behind the end of what has happened."""
        return self.call(lambda debugger: self._travel(lambda past: past.go_to(min(tick, past.timeline.end))))

    def who_wrote(self, what: str) -> "Future[Writer | None]":
        """Go to before the instruction that wrote `what` last; for nobody the result is None, and the machine stays."""
        return self.call(lambda debugger: self._who_wrote(what))

    def switch(self, number: int) -> "Future[None]":
        """Go to the end of a branch that was left."""
        return self.call(lambda debugger: self._travel(lambda past: _switch(past, number)))

    def scrub(self, tick: int) -> "Future[None] | None":
        """Go near `tick`, to a place that is found fast. Only the newest wish counts: None for those that it joins."""
        with self._scrub_lock:
            waits, self._scrub_tick = self._scrub_tick is not None, tick
        return None if waits else self.call(lambda debugger: self._scrub())

    @property
    def scrubbing(self) -> bool:
        """True while a wish of `scrub` waits."""
        return self._scrub_tick is not None

    def give_up(self) -> None:
        """End a search through the past: its future fails with `MiniVMError`, and the machine is where it was."""
        if self._searching.is_set():
            self._given_up.set()
            self._debugger.stop()

    @property
    def searching(self) -> bool:
        """True while the past is gone through."""
        return self._searching.is_set()

    def record(self, who: str, wanted: bool) -> None:
        """Let the recorder run while anybody wants it; on the machine's thread."""
        (self._recording_for.add if wanted else self._recording_for.discard)(who)
        if bool(self._recording_for) != self.recorder.running:
            (self.recorder.start if self._recording_for else self.recorder.stop)()

    def set_collectors(self, collectors: Mapping[str, Collector], live: Iterable[str] = ()) -> None:
        """Say what is to be collected for the panels, by name, and ask for a view of it; the `live` ones never rest."""
        self._collectors, self._live_panels = dict(collectors), frozenset(live)
        self.refresh()

    def refresh(self) -> None:
        """Ask for a view of all panels soon; of a standing machine at once."""
        if not self._closed:
            self.call(lambda debugger: self._want_panels())

    def shown(self, seconds: float) -> None:
        """Say that the last view was taken up, and that showing the one before it took `seconds` of a processor."""
        self._showing_s = seconds
        self.hold = False

    @property
    def running(self) -> bool:
        """True while the machine is on its way somewhere."""
        return not self._standing.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait until the machine stands still; False when it does not within `timeout` seconds. For tests."""
        return self._standing.wait(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """End the thread; harmless when it never started or has ended."""
        self._closed = True
        self._in_piece.set()
        self._given_up.set()
        self._commands.put(lambda: None)
        self._debugger.stop()
        for thread in (self._thread, self._beat):
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(timeout)
        timeline = self._debugger.timeline
        if timeline is not None and self._past is not None:
            self._past = None
            timeline.close()  # disks write to their files again

    # -- the machine's thread -----------------------------------------------------------------------------------------
    def _live(self) -> None:
        self._give_view()
        while not self._closed:
            try:
                self._one_round()
            except Exception as error:  # a bug, or an engine that failed: the user must see it, and the thread lives on
                blame = blamed(error)
                words = f"{type(error).__name__}: {error}"
                self._stand(Stop("error", words if blame is None else f"{words}, {blame}"))
                self._give_view()
        self._refuse_rest()

    def _one_round(self) -> None:
        try:
            seconds = self._patience()
            command = self._commands.get(timeout=seconds) if seconds != 0 else self._commands.get_nowait()
        except queue.Empty:
            self._piece()
        else:
            self._asleep = False
            command()
            if self._goal is None and self._commands.empty():
                self._give_view()
        if self._goal is not None and self._view_due():
            self._look()

    def _patience(self) -> float | None:
        """Return how long to wait for a command: for ever while nothing else can happen, 0 to look and go on."""
        if self._goal is None or self._closed:
            return None if not self._closed else 0.0
        if self._asleep:
            return VIEW_S if self._pace.speed.kind == "times" else None
        machine = self.machine
        return self._pace.patience(machine.now, machine.clock.next_due if machine.halted else None)

    def _piece(self) -> None:
        goal = self._goal
        if goal is None:
            return
        self._in_piece.set()
        if not self._commands.empty():
            self._in_piece.clear()
            return
        try:
            stop = self._advance(goal)
        finally:
            self._in_piece.clear()
        if stop is None:
            return
        if stop.reason == "halted" and self.machine.ended is None:
            self._fall_asleep()
        else:
            self._stand(stop)
            self._give_view()

    def _advance(self, goal: Goal) -> Stop | None:
        """Let the machine go on for as long as its speed allows now."""
        debugger, machine, pace = self._debugger, self.machine, self._pace
        match pace.speed.kind:
            case "times":
                target = pace.target(machine.now)
                return goal.advance(debugger, (target - machine.now) / NS_PER_MS) if target > machine.now else None
            case "instructions":
                for _ in range(pace.take_steps()):
                    self._steps += 1
                    stop = goal.advance(debugger, 0)
                    if stop is not None or not self._commands.empty():
                        return stop
                return None
        return goal.advance(debugger, None)

    def _fall_asleep(self) -> None:
        """Nothing but the user can wake this guest: its time goes by with the host's, and no instruction runs.

        In the past the next piece sleeps for as long as the guest slept then.
        """
        timeline = self._debugger.timeline
        if timeline is not None and timeline.in_past:
            return
        self._asleep = True
        if self._pace.speed.kind == "times":
            self.machine.pass_time(self._pace.target(self.machine.now))

    def _keep_time(self) -> None:
        """Cut a piece short when a view is due: the only thing this thread does. Who wants something cuts it alone."""
        while not self._closed:
            self._in_piece.wait()
            time.sleep(max(VIEW_S / 4, self._next_view - time.monotonic()))
            if self._in_piece.is_set() and not self._closed and self._view_due():
                self._debugger.stop()

    def _view_due(self) -> bool:
        return time.monotonic() >= self._next_view and not self.hold

    def _do(self, work: Callable[[Debugger], T], future: "Future[T]") -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work(self._debugger)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def _refuse_rest(self) -> None:
        while not self._commands.empty():
            self._commands.get()()

    # -- standing and going -------------------------------------------------------------------------------------------
    def _begin(self, goal: Goal) -> None:
        machine = self.machine
        if self._goal is not None:
            self._goal.forget(self._debugger)
        if machine.ended is not None:
            goal.forget(self._debugger)
            self._stand(self._stop or Stop(machine.ended.reason, f"the machine has ended: {machine.ended.reason}"))
            return
        self._before = machine.cpu.as_dict()
        self._goal, self._stop, self._asleep = goal, None, False
        self._standing.clear()
        self._pace.start(machine.now)
        now = time.monotonic()
        self._measured = (now, machine.ticks, self._steps)
        self._next_view = self._panels_due = now + VIEW_S

    def _stand(self, stop: Stop) -> None:
        goal, self._goal = self._goal, None
        self._stop, self._asleep, self._rates = stop, False, (0.0, 0.0)
        if goal is not None:
            goal.forget(self._debugger)
        self._standing.set()

    def _pause(self, debugger: Debugger) -> None:
        if self._goal is not None:
            self._stand(Stop("stopped", f"paused at {debugger.where()}"))

    def _step_over(self, debugger: Debugger) -> None:
        way = over(debugger)
        if way is None:
            self._one_step(debugger)
        else:
            self._begin(way)

    def _one_step(self, debugger: Debugger, count: int = 1) -> None:
        if self._goal is not None:
            self._pause(debugger)
        self._before = self.machine.cpu.as_dict()
        self._stand(debugger.step(count))

    def _set_speed(self, speed: Speed) -> None:
        self._pace = Pace(speed)
        self._pace.start(self.machine.now)

    # -- going back ---------------------------------------------------------------------------------------------------
    @property
    def _kept_past(self) -> Reverse:
        if self._past is None:
            raise MiniVMError(self._no_past or "this machine is closed")
        return self._past

    def _travel(self, way: Callable[[Reverse], Stop | None]) -> None:
        """Let the machine stand, go a way through the past, and stand there; None leaves it as it was."""
        past, before = self._kept_past, self.machine.cpu.as_dict()
        self._pause(self._debugger)
        self._searching.set()
        try:
            stop = self._way(past, way)
        finally:
            self._searching.clear()
            self._given_up.clear()
        if stop is not None:
            self._before = before
            self._stand(stop)

    def _way(self, past: Reverse, way: Callable[[Reverse], Stop | None]) -> Stop | None:
        """Go a way until it ends or the user gives up; a stop that was meant for the run before is none of that."""
        while True:
            self._debugger.take_stop()
            with suppress(Interrupted):
                stop = way(past)
                if stop is None or stop.reason != "stopped":
                    return stop
            if self._given_up.is_set():
                raise MiniVMError("given up; the machine is where it was")

    def _who_wrote(self, what: str) -> Writer | None:
        found: list[Writer] = []

        def look(past: Reverse) -> Stop | None:
            writer = past.who_wrote(what)
            if writer is None:
                return None
            found.append(writer)
            return Stop("who", f"{writer.text}, by the next instruction: {writer.instruction}")

        self._travel(look)
        return found[0] if found else None

    def _scrub(self) -> None:
        """Go to the newest wanted tick, and show it even when the next one waits already."""
        with self._scrub_lock:
            tick, self._scrub_tick = self._scrub_tick, None
        if tick is not None:
            self._travel(lambda past: _near(past, tick))
            if not self.hold:
                self._give_view()

    # -- what there is to see -----------------------------------------------------------------------------------------
    def _look(self) -> None:
        """Give a view of the running machine when there is something new: all panels, or the live ones."""
        slow = self._pace.speed.kind == "instructions"
        if slow or time.monotonic() >= self._panels_due:
            self._give_view()
        elif self._live_panels and (shows_pixels(self.machine.console) or self.machine.screen != self._screen_given):
            self._give_view(self._live_panels)
        else:
            self._next_view = time.monotonic() + VIEW_S

    def _give_view(self, panels: Iterable[str] | None = None) -> None:
        began = time.monotonic()
        if self.on_view is not None:
            view = self.view(panels)
            self._screen_given = view.screen
            self.on_view(view)
        now = time.monotonic()
        rest_s = 0.0 if self.machine.halted else self._rest * (now - began + self._showing_s)
        self._next_view = now + min(max(VIEW_S, rest_s), LONGEST_REST_S)
        if panels is None:
            self._panels_due = max(now + PANELS_S, self._next_view)

    @property
    def _rest(self) -> int:
        return PICTURE_REST if self._pace.speed != MAX and shows_pixels(self.machine.console) else REST

    def _want_panels(self) -> None:
        self._panels_due = 0.0

    def _press(self, events: tuple[KeyEvent, ...]) -> None:
        """Press keys, and look soon at what they do."""
        self._console.play(events)
        self._next_view = min(self._next_view, time.monotonic() + VIEW_S)

    def view(self, panels: Iterable[str] | None = None) -> View:
        """Return what there is to see, of these panels or of all.

        On the machine's thread only (`call(lambda _: session.view())`).
        """
        collectors = self._collectors  # another thread may put others there meanwhile
        wanted = collectors if panels is None else collectors.keys() & set(panels)
        machine, debugger = self.machine, self._debugger
        ticks_rate, steps_rate = self._measure()
        cpu = machine.cpu
        timeline = debugger.timeline
        self.life.look(machine, timeline)
        return View(
            running=self._goal is not None,
            stop=self._stop,
            now_ns=machine.now,
            ticks=machine.ticks,
            mode=cpu.mode,
            code_bits=cpu.code_bits,
            linear_ip=cpu.linear_ip,
            where=debugger.where(),
            halted=machine.halted,
            screen=machine.screen,
            registers=cpu.as_dict(),
            before=self._before,
            serial_tail=self._serial_tail(),
            speed=self._pace.speed,
            ticks_per_second=ticks_rate,
            instructions_per_second=steps_rate,
            points=tuple(map(_point, debugger.entries())),
            panels={name: self._collected(collectors[name]) for name in wanted},
            history=None if timeline is None else history_of(timeline),
        )

    def _collected(self, collect: Collector) -> object:
        try:
            return collect(self._debugger)
        except Exception as error:  # shown in the panel's own place; the other panels must not suffer
            return error

    def _measure(self) -> tuple[float, float]:
        now, (began, ticks, steps) = time.monotonic(), self._measured
        if self._goal is not None and now - began >= _SOON_S:
            self._space_keyframes((self.machine.ticks - ticks) / (now - began))
        if self._goal is not None and now - began >= _RATE_S:
            seconds = now - began
            self._rates = ((self.machine.ticks - ticks) / seconds, (self._steps - steps) / seconds)
            self._measured = (now, self.machine.ticks, self._steps)
        return self._rates

    def _space_keyframes(self, ticks_per_second: float) -> None:
        if self._debugger.timeline is not None:
            self._debugger.timeline.every = max(KEYFRAME_COST, round(ticks_per_second * _KEYFRAME_S))

    def _serial_tail(self) -> str:
        data = bytes(self._console.serial.data[-SERIAL_TAIL:])
        return data.replace(b"\r", b"").decode("cp437", "replace")

    @property
    def _console(self) -> Any:
        if self.machine.console is None:
            raise MiniVMError("this machine has no console")
        return self.machine.console


def _why_no_past(machine: Machine, history: int) -> str:
    if history <= 0:
        return "no past is kept: the history is off (--history MB keeps one)"
    if machine.journal is not None:
        return "no past is kept while the run is recorded (--record)"
    try:
        machine.state()
    except SnapshotError as error:  # a device of the user's own without a state
        return f"no past is kept: {error}"
    return ""


def _switch(past: Reverse, number: int) -> Stop:
    past.timeline.switch(number)
    return Stop("branch", f"the end of what was branch {number}")


def _near(past: Reverse, tick: int) -> Stop:
    """Go to a safe point near `tick`: inside a block only steps would find the place."""
    timeline: Timeline = past.timeline
    tick = max(timeline.begin, min(tick, timeline.end))
    if tick < timeline.end:
        timeline.start_at(tick)
        tick = timeline.machine.now
    return past.go_to(min(tick, timeline.end))


def _point(entry: Entry) -> Point:
    address = entry.address if isinstance(entry, Breakpoint) else None
    return Point(entry.number, str(entry), address, entry.enabled)


__all__ = ["Point", "Session", "SessionClosed", "View"]
