"""The machine: it owns the parts, runs them in step, and says why a run ended.

The loop, whole: deliver a pending interrupt if the CPU takes one now; run until the next alarm or the caller's limit;
advance the clock by the ticks retired; look at the exit. A halted CPU skips straight to the next alarm.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from minivm.config import DiskSpec, DriveMedium, MachineConfig
from minivm.core.bus import Bus
from minivm.core.clock import NEVER, Clock
from minivm.core.medium import MediumChange
from minivm.core.memory import PAGE, AddressSpace, Memory
from minivm.core.picture import Picture
from minivm.core.record import record, replace
from minivm.core.screen import TextScreen
from minivm.engine.base import Autopsy, Breakpoint, Engine, Halted, Shutdown, Stopped
from minivm.engine.cpustate import IF, Registers
from minivm.engine.state import without_history
from minivm.errors import ConfigError, ExpectationFailed, SnapshotError, WiringError

if TYPE_CHECKING:
    from pathlib import Path

    from minivm.storage.disk import Disk
    from minivm.storage.snapshot import Info

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
LONGEST_DRAIN = 10 * NS_PER_SECOND
"""How long an ended machine's serial ports may take for their last bytes: 16 of them at 50 baud and more."""
LONGEST_STEP = NS_PER_SECOND
"""How long one step of a halted CPU may sleep: the timer may ring for ever at a line that is masked."""
_ZEROS = bytes(PAGE)
DEFAULT_SLICE = 20 * NS_PER_MS
"""The longest go without a look at the host, in ticks; the guest's run does not depend on it."""


class InterruptController(Protocol):
    """What the machine asks of the PIC pair."""

    @property
    def pending(self) -> bool:
        """True while INTR is high."""

    def acknowledge(self) -> int:
        """Do the INTA cycle and return the vector."""

    @property
    def deaf(self) -> bool:
        """True when every line is masked, so that no interrupt can come."""


class InputJournal(Protocol):
    """Who is told of everything from outside that changes the run; `minivm.inputs.Journal` is the real one."""

    def note(self, machine: "Machine", kind: str, data: Any) -> None:
        """Hear what is about to happen at the machine's position; the kinds are in `minivm.inputs.KINDS`."""


class Watchdog(Protocol):
    """Who bounds a machine's run; `minivm.testing.watchdog` has the real ones."""

    def clip(self, machine: "Machine", position: int) -> int:
        """Return how far towards `position` the machine may run before it asks again.

        Raises `ExpectationFailed` when it stands at its limit and `position` lies behind.
        """


class Bays(Protocol):
    """The drives and what lies in them; `minivm.drive_bays.DriveBays` is the real one."""

    def by_name(self) -> "dict[str, Disk]":
        """Return what is in now, by the drives' names."""

    def media(self) -> dict[str, str | None]:
        """Return the image's name in every drive whose medium can be changed."""

    def changed(self) -> tuple[DriveMedium, ...]:
        """Return what is in now in place of what the configuration said."""

    def open_disks(self) -> "dict[str, Disk]":
        """Return all that is open, by key."""

    def keys(self) -> dict[str, str | None]:
        """Return the key of what is in each drive."""

    def prepare(self, drive: str, spec: DiskSpec | None, *, noted: bool) -> MediumChange:
        """Open what is to come into a drive."""

    def change(self, change: MediumChange) -> None:
        """Do what was prepared."""

    def go_back(self, keys: dict[str, str | None]) -> None:
        """Put everything where it was."""

    def keep(self, keeps: bool) -> None:
        """Keep what is taken out open, or do so no longer."""

    def image(self, key: str) -> bytes:
        """Return the bytes of an open image."""

    def offer(self, change: MediumChange, path: "Path") -> None:
        """Open the image for a change that will be done again."""


class SerialText(Protocol):
    """What a serial port has sent, as text."""

    def text(self) -> str:
        """Return everything so far; bytes that are not ASCII as code page 437."""


class HostConsole(Protocol):
    """The host's end of keyboard, screen and serial ports; `minivm.console.Console` is the real one."""

    @property
    def serial(self) -> SerialText:
        """What came out of the serial ports."""

    @property
    def screen(self) -> TextScreen:
        """What the monitor shows now."""

    @property
    def graphics_mode(self) -> bool:
        """True while the card shows pixels of the guest's own and no characters."""

    def picture(self) -> Picture:
        """Return the pixels that the monitor shows now."""

    def type(self, text: str) -> None:
        """Press the keys for `text`, in the notation of `--type`."""

    def shows(self, text: str) -> bool:
        """Tell whether `text` stands on the screen or came out of a serial port since the last one found."""

    def state(self) -> Any:
        """Return what the host's end remembers, as a record."""

    def restore(self, state: Any) -> None:
        """Become `state` again."""

    def report(self) -> str:
        """Return the screen and the end of the serial log, for a failed expectation."""


@record
class Ended:
    """Why a machine stopped for good or for now.

    `reason` is "limit" (the time asked for is over), "stopped", "breakpoint" (`code` is its linear address), "halted"
    (for good), "powered-off", "debug-exit" (`code` is the value written), "shutdown" (triple fault, with `autopsy`).
    """

    reason: str
    code: int = 0
    autopsy: Autopsy | None = None

    @property
    def final(self) -> bool:
        """True when running on would do nothing."""
        return self.reason not in ("limit", "stopped", "breakpoint")

    @property
    def status(self) -> int:
        """The exit status of `minivm run`: QEMU's `(value << 1) | 1` for debug-exit, 3 for a triple fault, else 0."""
        match self.reason:
            case "debug-exit":
                return (self.code << 1 | 1) & 0xFF
            case "shutdown":
                return 3
        return 0


LIMIT, STOPPED, HALTED, POWERED_OFF = (Ended(reason) for reason in ("limit", "stopped", "halted", "powered-off"))


@record
class Standing:
    """How a machine stands beside its parts, as named plain values.

    `now` is the clock's time, `request` an end that somebody has asked for, `alarms` the order in which alarms ring:
    (due time, whose). The rest is as in `Machine`.
    """

    now: int
    halted: bool
    halts: int
    resets: int
    idle_ns: int
    ended: Ended | None
    request: Ended | None
    reset_wanted: bool
    alarms: tuple[tuple[int, str], ...]


@record
class MachineState(Standing):
    """A machine at a safe point, without RAM and disks.

    `cpu` is the engine's state, `devices` that of each device by name, `console` the host's end's (None without one).
    """

    cpu: Any
    devices: dict[str, Any]
    console: Any


Twin = Callable[[Memory, "dict[str, Disk]"], "Machine"]
"""Makes a machine like another one around a given memory and disks, without powering it on."""


class Machine:
    """A PC with its parts; `minivm.pc` wires one up. Use it as a context manager, or call `close`.

    `power_on` puts the machine into its state at the first instruction, and is called again at every reset.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        memory: Memory,
        space: AddressSpace,
        ports: Bus,
        clock: Clock,
        interrupts: InterruptController,
        devices: Mapping[str, Any],
        power_on: Callable[[], None],
    ) -> None:
        self.engine = engine
        self.memory = memory
        self.space = space
        self.ports = ports
        self.clock = clock
        self.devices = dict(devices)
        self.console: HostConsole | None = None
        self.ended: Ended | None = None
        self.slice_ticks = DEFAULT_SLICE
        self.halted = False
        self.halts = 0
        self.resets = 0
        self.idle_ns = 0
        self.closers: list[Callable[[], None]] = []
        self.before_close: list[Callable[[], None]] = []
        self.sending: Callable[[], bool] = bool  # whether a serial port still has something on its line
        self.config: MachineConfig | None = None
        self.image: bytes | None = None  # what stands in for the bytes of `config.guest`
        self.journal: InputJournal | None = None
        self.watchdog: Watchdog | None = None
        self._outside: list[Callable[[], None]] = []  # what waits for the next safe point
        self._running = False
        self.disks: dict[str, Disk] = {}  # by the drives' names, as far as there is something in them
        self.bays: Bays | None = None
        self.tray_is_open: Callable[[str], bool] = lambda drive: False
        self.user_devices: dict[str, Any] = {}  # those of `MachineConfig.devices`, by place
        self.twin: Twin | None = None
        self._interrupts = interrupts
        self._power_on = power_on
        self._request: Ended | None = None
        self._mode_listener: Callable[[str, str], None] | None = None
        self._mode = ""
        self._reset_wanted = False
        self._closed = False
        power_on()

    # -- what the user asks for ---------------------------------------------------------------------------------
    @property
    def cpu(self) -> Registers:
        """The CPU's registers, read and written by name: `vm.cpu.rip`, `vm.cpu.ax`."""
        return self.engine.cpu

    @property
    def now(self) -> int:
        """Virtual nanoseconds since power-on."""
        return self.engine.position

    @property
    def ticks(self) -> int:
        """Ticks in which the CPU was not halted."""
        return self.engine.position - self.idle_ns

    @property
    def exits(self) -> dict[str, int]:
        """How often the guest needed the VMM, by kind."""
        return self.engine.exits | {"halts": self.halts}

    def run(self, *, ms: float | None = None, ticks: int | None = None) -> Ended:
        """Run for `ms` virtual milliseconds or `ticks` ticks, or for ever without either; return why it ended."""
        if ms is None and ticks is None:
            return self.run_to(NEVER)
        return self.run_to(self.now + (round(ms * NS_PER_MS) if ms is not None else ticks or 0))

    def run_to(self, position: int) -> Ended:
        """Run to the first safe point at or after `position` virtual nanoseconds since power-on."""
        if self.watchdog is None:
            return self._run_to(position)
        while True:
            allowed = self._allowed(position)
            ended = self._run_to(allowed)
            if allowed == position or ended is not LIMIT:
                return ended

    def _allowed(self, position: int) -> int:
        """Return how far towards `position` the watchdog lets the machine run at once."""
        return position if self.watchdog is None else self.watchdog.clip(self, position)

    def _run_to(self, position: int) -> Ended:
        self._running = True
        try:
            while True:
                ended = self._one_go(position)
                if ended is not None:
                    return ended
        except Exception as error:
            self._blame(error)
            raise
        finally:
            self._running = False

    def step(self, count: int = 1) -> Ended:
        """Execute `count` instructions one by one; an interrupt that is due is delivered on the way.

        A halted CPU sleeps until something wakes it; after a virtual second of that the step ends with "limit".
        """
        self._running = True
        try:
            for _ in range(count):
                if self.watchdog is not None:
                    self.watchdog.clip(self, self.now + 1)
                ended = self._one_step()
                if ended is not None:
                    return ended
            return LIMIT
        except Exception as error:
            self._blame(error)
            raise
        finally:
            self._running = False

    def run_until(self, condition: "Callable[[Machine], bool]", *, timeout: float = 5.0) -> None:
        """Step until `condition(vm)` holds; `timeout` counts virtual seconds.

        Raises `ExpectationFailed` when time runs out or the machine ends before.
        """
        end = self.now + round(timeout * NS_PER_SECOND)
        while not condition(self):
            ended = self.step()
            if ended is not LIMIT:
                raise ExpectationFailed(f"the condition never held; the machine ended: {ended.reason}")
            if self.now >= end:
                raise ExpectationFailed(f"the condition did not hold within {timeout} virtual seconds")

    def expect(self, text: str, timeout: float = 5.0) -> None:
        """Run until `text` shows on screen or serial; `timeout` counts virtual seconds.

        Raises `ExpectationFailed` with the screen, when it does not come.
        """
        console = self._needed_console()
        end = self.now + round(timeout * NS_PER_SECOND)
        while not console.shows(text):
            ended = self.run_to(self._allowed(min(self.now + 10 * NS_PER_MS, end)))
            if console.shows(text):
                return
            if ended.final or self.now >= end:
                why = f"the machine ended: {ended.reason}" if ended.final else f"{timeout:g} virtual seconds are over"
                raise ExpectationFailed(f"{text!r} did not come; {why}\n{console.report()}")

    def pass_time(self, position: int) -> None:
        """Let time pass to `position` without executing anything, and ring what is due by then.

        Only at a safe point: of a halted machine, or after `run`.
        """
        self.from_outside("time", position, lambda: self._pass_time(position))

    def _pass_time(self, position: int) -> None:
        engine = self.engine
        sleeps_ns = position - engine.position
        if sleeps_ns > 0:
            self.idle_ns += sleeps_ns
            engine.skip_to(position)
        self.clock.advance_to(position)

    def type(self, text: str) -> None:
        """Press the keys for `text` (`"dir\\n"`, `"<F1>"`, `"<Ctrl-C>"`) one after the other, in virtual time."""
        self._needed_console().type(text)

    @property
    def screen(self) -> TextScreen:
        """What the monitor shows: `vm.screen.text()`."""
        return self._needed_console().screen

    @property
    def graphics_mode(self) -> bool:
        """True while the card shows pixels of the guest's own and no characters."""
        return self._needed_console().graphics_mode

    def picture(self) -> Picture:
        """Return what the monitor shows as pixels, in a text mode drawn with the card's font."""
        return self._needed_console().picture()

    def screenshot(self, path: "str | Path", *, scale: int = 1) -> None:
        """Write what the monitor shows as PNG or SVG, by the file's suffix; raises `ConfigError` when it cannot be."""
        from minivm.pictures.files import save  # few machines have their picture taken

        save(self._needed_console(), path, scale=scale)

    @property
    def serial(self) -> SerialText:
        """What came out of the serial ports: `vm.serial.text()`."""
        return self._needed_console().serial

    def feed(self, device: str, data: bytes) -> None:
        """Give `data` from outside to a device of the user's own, whose `feed(data)` takes it: an input as keys are.

        `device` is its place, "port 500h", or the name of its class. Raises `WiringError` where there is no such one.
        """
        place, found = self._own_device(device)
        self.from_outside("device", (place, data), lambda: found.feed(data))

    def _own_device(self, wanted: str) -> tuple[str, Any]:
        named = [one for one in self.user_devices.items() if wanted in (one[0], type(one[1]).__name__)]
        if len(named) != 1 or not hasattr(named[0][1], "feed"):
            why = "it has no feed()" if len(named) == 1 else f"{len(named)} devices are called so"
            raise WiringError(f"{wanted!r} cannot be fed: {why}; there is {', '.join(self.user_devices) or 'none'}")
        return named[0]

    # -- what lies in the drives --------------------------------------------------------------------------------
    def insert(self, drive: str, medium: "str | Path | DiskSpec") -> None:
        """Put an image into `drive` ("floppy0", "cdrom0"), in place of what is in it: an input as keys are.

        A text may end in ,ro or ,snapshot as behind --floppy. The old image is written out and given back. Raises
        `ConfigError` where there is no such drive or the machine has ended, and `ImageError` when the image cannot be
        had; the old one stays in then.
        """
        match medium:
            case str():
                self._exchange(drive, DiskSpec.parse(medium))
            case DiskSpec():
                self._exchange(drive, medium)
            case _:
                self._exchange(drive, DiskSpec(medium))

    def eject(self, drive: str) -> None:
        """Take out what is in `drive`, as `insert` does; a lock on a CD's tray does not stop the user."""
        self._exchange(drive, None)

    @property
    def media(self) -> dict[str, str | None]:
        """The image in each drive whose medium can be changed, None for an empty one; an open tray is told, too."""
        media = {} if self.bays is None else self.bays.media()
        return {
            drive: f"{name or ''} (open tray)".lstrip() if self.tray_is_open(drive) else name
            for drive, name in media.items()
        }

    def _exchange(self, drive: str, spec: DiskSpec | None) -> None:
        if self.bays is None:
            raise WiringError("this machine has no drives; build it by minivm.boot()")
        if self.ended is not None:
            raise ConfigError(f"the machine has ended ({self.ended.reason}); its drives stay as they are")
        change = self.bays.prepare(drive, spec, noted=self.journal is not None)
        self.from_outside("medium", change, lambda: self.change_medium(change))

    def change_medium(self, change: MediumChange) -> None:
        """Do a change that was prepared, here and now; a replay does it again."""
        if self.bays is not None:
            try:
                self.bays.change(change)
            finally:
                self._look_into_bays()

    def media_keys(self) -> dict[str, str | None]:
        """Return what lies where, by keys that `return_media` takes."""
        return {} if self.bays is None else self.bays.keys()

    def return_media(self, keys: dict[str, str | None]) -> None:
        """Put everything where it was, before the machine's state of that time is restored."""
        if self.bays is not None and keys != self.bays.keys():
            self.bays.go_back(keys)
            self._look_into_bays()

    def open_disks(self) -> "dict[str, Disk]":
        """Return every open disk by its key, also those outside the drives that may come back."""
        return self.disks if self.bays is None else self.bays.open_disks()

    def keep_media(self, keeps: bool) -> None:
        """Let what is taken out stay open, since the machine may go back; or give all of that back."""
        if self.bays is not None:
            self.bays.keep(keeps)

    def _look_into_bays(self) -> None:
        assert self.bays is not None
        self.disks = self.bays.by_name()
        if self.config is not None:
            self.config = replace(self.config, media=self.bays.changed())

    # -- what may come from any thread or chip ------------------------------------------------------------------
    def stop(self) -> None:
        """Make the current or next run end at the next safe point; callable from any thread."""
        self.engine.stop()

    def reset(self) -> None:
        """Press the reset button: at the next safe point every chip and the CPU start afresh, memory keeps."""
        self.from_outside("reset", None, self.ask_reset)

    def power_off(self) -> None:
        """Switch the machine off at the next safe point."""
        self.from_outside("power-off", None, self.ask_power_off)

    def ask_reset(self) -> None:
        """Reset at the next safe point, as a chip asks for it."""
        self._reset_wanted = True
        self.engine.attention()

    def ask_power_off(self) -> None:
        """End at the next safe point, as the guest asked."""
        self._ask_end(POWERED_OFF)

    def debug_exit(self, code: int) -> None:
        """End with `code`, as the guest asked at the debug-exit port."""
        self._ask_end(Ended("debug-exit", code))

    # -- what comes from outside --------------------------------------------------------------------------------
    def from_outside(self, kind: str, data: Any, action: Callable[[], None], *, settle: bool = True) -> None:
        """Do `action`, an input out of `minivm.inputs.KINDS`, and note it where a journal is attached.

        With one it happens at a settled point: now, or when a run is going on, at its next safe point. Without
        `settle` it happens here and now, ahead of an interrupt that is due here: a debugger's edit, between runs only.
        A machine that has ended hears nothing.
        """
        if self.ended is not None:
            return
        if self.journal is None:
            action()
        elif self._running:
            self.at_safe_point(lambda: self._noted(kind, data, action))
        else:
            if settle:
                self.settle()
            self._noted(kind, data, action)

    def at_safe_point(self, action: Callable[[], None]) -> None:
        """Call `action` between two blocks of the run, once everything due there is done; from any thread or chip."""
        self._outside.append(action)
        self.engine.attention()

    @property
    def settled(self) -> bool:
        """True when nothing is due at this very position, or this is no place for it."""
        engine = self.engine
        if engine.in_block or self.ended is not None:
            return True
        waits = self._reset_wanted or self._request is not None or self.clock.next_due <= engine.position
        return not (waits or (self._interrupts.pending and engine.interruptible))

    def settle(self) -> None:
        """Ring and deliver what is due at this very position, which the next run would do first.

        So an input comes behind it, however the run was cut. Only between runs.
        """
        engine = self.engine
        if engine.in_block:
            self.clock.advance_to(engine.position)
            return
        while self._between_goes() is None and self._interrupts.pending and engine.interruptible:
            pass

    def _noted(self, kind: str, data: Any, action: Callable[[], None]) -> None:
        if self.ended is None:
            if self.journal is not None:
                self.journal.note(self, kind, data)
            action()

    def close(self) -> None:
        """Give everything back to the host: the engine, then RAM, then files."""
        if not self._closed:
            self._closed = True
            while self.before_close:
                self.before_close.pop()()
            self.engine.close()
            self.memory.close()
            while self.closers:
                self.closers.pop()()

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def watch_mode(self, listener: Callable[[str, str], None]) -> None:
        """Tell `listener` (old, new) of every change of the CPU's mode. Looks at every block start, so it is slow."""
        self._mode_listener = listener
        self._mode = self.cpu.mode
        self.slice_ticks = 1

    # -- saving, and going back ---------------------------------------------------------------------------------
    def state(self) -> MachineState:
        """Return everything but RAM and disks; only between two runs or steps.

        Raises `SnapshotError` naming a device of the user's own that cannot tell its state.
        """
        devices = {name: device.state() for name, device in self._all_devices().items()}
        return MachineState(
            now=self.clock.now, halted=self.halted, halts=self.halts, resets=self.resets, idle_ns=self.idle_ns,
            ended=self.ended, request=self._request, reset_wanted=self._reset_wanted,
            alarms=tuple((due, self._owner(action)) for due, action in self.clock.pending()),
            cpu=self.engine.state(), devices=devices, console=self.console.state() if self.console else None,
        )  # fmt: skip

    def restore(self, state: MachineState) -> None:
        """Become `state` again, of this machine or one of the same configuration.

        RAM and disks must have been restored before: the engine translates code from them.
        """
        self.clock.reset_to(state.now)
        self.engine.restore(state.cpu)
        for name, device in self._all_devices().items():
            device.restore(state.devices[name])
        if self.console is not None and state.console is not None:
            self.console.restore(state.console)
        self.halted, self.halts, self.resets, self.idle_ns = state.halted, state.halts, state.resets, state.idle_ns
        self.ended, self._request, self._reset_wanted = state.ended, state.request, state.reset_wanted
        self._settle_ties(state.alarms)
        self._mode = self.cpu.mode if self._mode_listener is not None else ""

    def clone(self) -> "Machine":
        """Return a machine in the same state that shares every page and sector with this one until one writes to it.

        It has its own `close`, and no link to the host but its console; what it writes to disks stays in its memory.
        Raises `SnapshotError` naming a device that its user has made, and that has no `clone()`.
        """
        if self.twin is None:
            raise SnapshotError("this machine cannot be cloned; build it by minivm.boot()")
        state = self.state()
        memory = self.memory.fork()
        disks = {name: disk.fork() for name, disk in self.disks.items()}
        try:
            twin = self.twin(memory, disks)
        except BaseException:
            memory.close()
            for disk in disks.values():
                disk.close()
            raise
        twin.restore(state)
        return twin

    def save(self, path: "str | Path", *, name: str = "", parent: "str | Path | None" = None) -> "Info":
        """Write the whole machine to the file `path`; with `parent`, a snapshot beside it, only what differs.

        `minivm.restore` brings it back. Raises `SnapshotError` in one line.
        """
        from minivm.saved import save

        return save(self, path, name=name, parent=parent)

    def _all_devices(self) -> dict[str, Any]:
        """Return the devices that have a state, in the order in which it is restored."""
        for place, device in self.user_devices.items():
            if not (hasattr(device, "state") and hasattr(device, "restore")):
                raise SnapshotError(
                    f"devices: {type(device).__name__} at {place} has no state() and restore(), "
                    "so the machine cannot be saved, cloned or taken back"
                )
        own = {name: device for name, device in self.devices.items() if hasattr(device, "restore")}
        return self.user_devices | own

    def _owner(self, action: Callable[[], None]) -> str:
        """Return whose alarm an action is, the same in every machine of this configuration."""
        inner: Any = action.func if isinstance(action, partial) else action
        owner = getattr(inner, "__self__", None)
        found = [name for name, device in (self.user_devices | self.devices).items() if device is owner]
        return f"{found[0] if found else ''}.{getattr(inner, '__qualname__', '')}"

    def _settle_ties(self, alarms: tuple[tuple[int, str], ...]) -> None:
        """Let alarms that are due together ring in the saved order and not in that of the devices."""
        ranks = {alarm: rank for rank, alarm in reversed(list(enumerate(alarms)))}
        self.clock.settle_ties(lambda due, action: ranks.get((due, self._owner(action)), len(alarms)))

    # -- what tells two machines apart --------------------------------------------------------------------------
    def state_hash(self) -> str:
        """Return a digest of RAM, registers, devices, disks and time: equal for two machines in the same state.

        How they came there does not matter: neither counters nor what the console has seen is in it.
        """
        from hashlib import blake2b

        digest, view = blake2b(digest_size=16), self.memory.view
        for page in self.memory.used():
            data = view[page * PAGE : (page + 1) * PAGE]
            if data != _ZEROS:
                digest.update(page.to_bytes(4, "little"))
                digest.update(data)
        for name, disk in sorted(self.disks.items()):
            for lba, sector in disk.changes():
                digest.update(f"{name} {lba} ".encode() + sector)
        devices = self.user_devices | self.devices
        states = {name: device.state() for name, device in devices.items() if hasattr(device, "state")}
        cpu = without_history(self.engine.state())
        ends = self.ended, self._request, self._reset_wanted
        digest.update(repr((self.now, self.halted, ends, cpu, sorted(states.items()))).encode())
        return digest.hexdigest()

    # -- the loop -----------------------------------------------------------------------------------------------
    def _one_go(self, limit: int) -> Ended | None:
        ended = self._between_goes()
        if ended is not None:
            return ended
        engine = self.engine
        if engine.position >= limit and not engine.in_block:
            return LIMIT
        if self.halted:
            return self._sleep(limit)
        ended_by = engine.run(min(self.clock.next_due, limit, engine.position + self.slice_ticks))
        if self._mode_listener is not None:
            self._look_at_mode()
        return self._look_at(ended_by)

    def _look_at_mode(self) -> None:
        mode = self.cpu.mode
        if mode != self._mode and self._mode_listener is not None:
            old, self._mode = self._mode, mode
            self._mode_listener(old, mode)

    def _one_step(self) -> Ended | None:
        ended = self._between_goes()
        if ended is not None:
            return ended
        if self.halted:
            return self._sleep(self.now + LONGEST_STEP)
        return self._look_at(self.engine.step())

    def _between_goes(self) -> Ended | None:
        """Do what is due at a safe point: an end, a reset, alarms, an interrupt."""
        engine = self.engine
        if self.ended is not None:
            return self.ended
        if not engine.in_block:
            if self._request is not None:
                return self._end(self._request)
            if self._reset_wanted:
                self._do_reset()
            self.clock.advance_to(engine.position)
            if self._interrupts.pending and engine.interruptible:
                self.halted = False
                return self._look_at(engine.interrupt(self._interrupts.acknowledge()))
            if engine.nmi_pending:
                self.halted = False
            if self._outside:
                self._take_from_outside()
        return None

    def _take_from_outside(self) -> None:
        waiting, self._outside = self._outside, []
        for action in waiting:
            action()

    def _look_at(self, ended_by: object) -> Ended | None:
        match ended_by:
            case Halted():
                self.halted = True
                self.halts += 1
            case Shutdown(autopsy=autopsy):
                return self._end(Ended("shutdown", autopsy=autopsy))
            case Stopped():
                return STOPPED
            case Breakpoint(address=address):
                return Ended("breakpoint", address)
        return None

    def _sleep(self, limit: int) -> Ended | None:
        """Let a halted CPU's time pass from alarm to alarm until something wakes it; without hope of that, end."""
        clock, engine, interrupts = self.clock, self.engine, self._interrupts
        if not engine.cpu.head.eflags & IF or interrupts.deaf:
            return self._never_wakes()
        while not (interrupts.pending or self._reset_wanted or self._request or engine.nmi_pending or self._outside):
            due = clock.next_due
            if due == NEVER:
                return HALTED  # But not for ever: the host may still press a key, and `ended` stays None.
            if engine.take_stop():
                return STOPPED
            if due > limit:
                self._pass_time(limit)
                return LIMIT
            self._pass_time(due)
        return None

    def _never_wakes(self) -> Ended | None:
        """Halt for good, unless an alarm still has something to say, such as a reset on its way."""
        if self.clock.next_due != NEVER and self._last_words():
            return None
        return self._end(HALTED)

    def _last_words(self) -> bool:
        """Let the alarms of the next millisecond ring: a controller may be about to reset or to raise a line."""
        end = self.engine.position + NS_PER_MS
        while self.clock.next_due <= end:
            self._pass_time(self.clock.next_due)
            if self._reset_wanted or self._request is not None:
                return True
        return False

    def _end(self, ended: Ended) -> Ended:
        """End for good, once what the guest has sent is out of the serial ports."""
        end = self.engine.position + LONGEST_DRAIN
        while self.sending() and self.clock.next_due <= end:
            self._pass_time(self.clock.next_due)
        self.ended = ended
        return ended

    def _do_reset(self) -> None:
        self._reset_wanted = False
        self.resets += 1
        self.halted = False
        self.engine.reset()
        for device in self.user_devices.values():  # first, since they drive lines of the PIC
            if hasattr(device, "reset"):
                device.reset()
        for device in self.devices.values():
            device.reset()
        self._power_on()

    def _blame(self, error: Exception) -> None:
        """Note on an exception which device of the user's own raised it, if one did."""
        if self.user_devices:
            from minivm.slots import blame_device

            blame_device(error, self.user_devices)

    def _ask_end(self, ended: Ended) -> None:
        if self._request is None:
            self._request = ended
        self.engine.attention()

    def _needed_console(self) -> HostConsole:
        if self.console is None:
            raise ExpectationFailed("this machine has no console; build it by minivm.boot()")
        return self.console
