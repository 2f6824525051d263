"""Replaying: a machine on its way through a recording, compared with it at every check."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from minivm import pc
from minivm.config import MachineConfig, TraceSpec
from minivm.core.record import record, replace
from minivm.device_entries import place_of
from minivm.errors import MiniVMError, SnapshotError
from minivm.inputs import NEAR_TICKS, Departed, Input, Journal, Overshot, Player
from minivm.machine import Ended
from minivm.recording.format import Check, End, light_digest, whole_digest
from minivm.recording.reading import Recording


@record
class Verdict:
    """What came of a replay: `identical` up to `position`, or departed between `good` and `bad`; in words, too."""

    identical: bool
    position: int
    inputs: int
    checks: int
    words: str
    good: int = 0
    bad: int = 0


class Replay:
    """A machine on its way through a recording; a context manager.

    `machine` is the machine, at power-on; `run` brings it to a position or the end and checks each digest on the way.
    `slice_ticks` may be anything: the run does not depend on it. The first `step_ticks` ticks of code are executed one
    instruction after the other. `devices`, as a `MachineConfig` has them, stand in for the recording's own, which must
    be installed without them. Raises `SnapshotError` for an unfit file.
    """

    def __init__(
        self,
        path: "Path | str",
        *,
        salvage: bool = False,
        slice_ticks: int | None = None,
        trace: tuple[TraceSpec, ...] = (),
        near: int = NEAR_TICKS,
        step_ticks: int = 0,
        devices: Sequence[Any] = (),
    ) -> None:
        self.recording = Recording(path, salvage=salvage)
        self._folder = TemporaryDirectory(prefix="minivm-replay-")
        try:
            config = replace(self.recording.files(Path(self._folder.name)), trace=trace)
            if devices:
                config = _with_devices(config, devices)
            self.machine = pc.build(config)
            self._bring_media(Path(self._folder.name))
            if self.recording.snapshot:
                self._begin_at_snapshot(Path(self._folder.name) / "start.mvm")
        except BaseException:
            self._folder.cleanup()
            raise
        if slice_ticks is not None:
            self.machine.slice_ticks = slice_ticks
        self.journal = Journal()
        self._step_ticks = step_ticks
        self._player = Player(self.machine, self.journal, near=near, run_to=self._run_to)
        self._next = self._checks = self._good = 0
        if any(isinstance(entry, Input) and entry.kind == "register" for entry in self.recording.entries):
            import minivm.debug.editing  # noqa: F401 - it knows how registers are set
        self.departed: Verdict | None = None

    def _bring_media(self, folder: Path) -> None:
        bays = self.machine.bays
        assert bays is not None
        try:
            self.recording.bring_media(folder, bays.offer)
        except BaseException:
            self.machine.close()
            raise

    def _begin_at_snapshot(self, place: Path) -> None:
        from minivm import saved
        from minivm.storage import snapshot

        place.write_bytes(self.recording.snapshot)
        try:
            saved.fill(self.machine, snapshot.load(place))
        except BaseException as error:
            self.machine.close()
            if isinstance(error, MiniVMError):
                raise SnapshotError(f"{self.recording.path}: the snapshot where it begins: {error}") from error
            raise

    def run(self, until: int | None = None) -> Verdict:
        """Replay to the position `until` (to the end without one) and say whether all was as recorded."""
        try:
            self._run(until)
        except Overshot as error:
            words = f"{error}; a larger `near` finds the place inside a long block"
            self.departed = self._verdict(False, error.position, words)
        except Departed as error:
            self.departed = self._verdict(False, error.position, str(error))
        return self.departed or self._verdict(True, self.machine.now, "identical")

    def verify(self) -> Verdict:
        """Replay to the end and raise `Departed` when it was not the recorded run."""
        verdict = self.run()
        if not verdict.identical:
            raise Departed(verdict.bad, f"{self.recording.path}: {verdict.words}")
        return verdict

    def close(self) -> None:
        """Give everything back to the host."""
        self.machine.close()
        self._folder.cleanup()

    def __enter__(self) -> "Replay":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, until: int | None) -> None:
        entries = self.recording.entries
        while self._next < len(entries) and (until is None or entries[self._next].position <= until):
            entry = entries[self._next]
            self._next += 1
            if isinstance(entry, Input):
                self.journal.append(entry)
                self._reach(entry.position, safe_point=True, settle=False)
            else:
                self._reach(entry.position, safe_point=True)
                self._compare(entry)
        if until is not None and until < self.recording.ticks:
            self._reach(until, safe_point=False)
        elif self.recording.end is not None:
            self._end(self.recording.end)

    def _run_to(self, position: int) -> Ended:
        machine = self.machine
        engine: Any = machine.engine
        while machine.ticks < self._step_ticks and (machine.now < position or engine.in_block):
            ended = machine.run_to(min(position, machine.clock.next_due)) if machine.halted else machine.step()
            if ended.reason != "limit":
                return ended
        return machine.run_to(position)

    def _end(self, end: End) -> None:
        machine = self.machine
        if end.final:
            if machine.ended is None:
                machine.run_to(end.position + 1)
            ended = machine.ended or Ended("limit")
            if (ended.reason, ended.code, machine.now) != (end.reason, end.code, end.position):
                raise Departed(
                    end.position,
                    f"the recorded run ended at tick {end.position} ({end.reason}), this one is at {machine.now} "
                    f"({ended.reason})",
                )
        else:
            self._reach(end.position, safe_point=not end.in_block)
        self._compare(Check(end.position, end.digest, whole=True))

    def _reach(self, position: int, *, safe_point: bool, settle: bool = True) -> None:
        if position < self.machine.now:
            raise Departed(position, f"tick {position} was passed over: the machine is at {self.machine.now}")
        ended = self._player.reach(position, safe_point=safe_point, settle=settle)
        if ended is not None:
            raise Departed(
                position, f"the run ended at tick {self.machine.now} ({ended.reason}), before tick {position}"
            )

    def _compare(self, check: Check) -> None:
        found = whole_digest(self.machine) if check.whole else light_digest(self.machine)
        self._checks += 1
        if found != check.digest:
            what = "the memory or the machine's state differs" if check.whole else "the machine's state differs"
            raise Departed(check.position, f"{what} at tick {check.position}")
        self._good = check.position

    def _verdict(self, identical: bool, position: int, words: str) -> Verdict:
        inputs = self._player.done
        if identical:
            words = f"replayed {position} ticks, {inputs} inputs, {self._checks} checks: identical"
            return Verdict(True, position, inputs, self._checks, words, self._good, position)
        words = f"departed between tick {self._good} and tick {position}: {words}"
        return Verdict(False, position, inputs, self._checks, words, self._good, position)


def _with_devices(config: MachineConfig, devices: Sequence[Any]) -> MachineConfig:
    given = replace(config, devices=devices)
    was, now = (sorted(map(place_of, one.devices)) for one in (config, given))
    if was != now:
        raise SnapshotError(f"devices: the recording has {was}, given are {now}")
    return given


def replay(path: "Path | str", **options: Any) -> Replay:
    """Return a `Replay` of the recording at `path`, its machine at power-on."""
    return Replay(path, **options)
