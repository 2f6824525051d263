"""What a failed test shows of its machines: screen, serial log, registers, the last events, and a replay file.

A passing test pays for none of it: a machine's inputs are noted (`minivm.inputs`), and that is all. When the test has
failed, its run is done again from the same start with the recorders attached, up to the very tick where it failed.
"""

import shlex
from pathlib import Path
from typing import Any

from minivm.core.record import record
from minivm.errors import MiniVMError
from minivm.inputs import Input, Journal, Player
from minivm.machine import NS_PER_MS, Machine
from minivm.testing.origins import Origin, devices_to_name
from minivm.testing.screens import framed
from minivm.testing.watchdog import place_of

MOST_SERIAL_LINES = 40
LONGEST_RERUN = 10_000_000_000
"""So many ticks of code are run again at most for one test; with everything attached the host takes 2 to 3 ns each."""
COST_OF_HALT = 50_000
COST_OF_EXIT = 10_000
"""Waking up, and each exit to a device, takes the host as long as so many ticks of code."""
_COLUMNS = 4

Section = tuple[str, str]
"""A title and a text of pytest's report."""


class RunJournal(Journal):
    """The inputs of a test's machine; one that was put back in time has no run that could be done again."""

    went_back = False

    def append(self, given: Input) -> None:
        """Add an input; one before the last is not an error here."""
        if given.position < self.end:
            self.went_back = True
        else:
            super().append(given)

    def copy(self) -> "RunJournal":
        """Return a journal of the same inputs."""
        twin = RunJournal(self)
        twin.went_back = self.went_back
        return twin


# -- what can be seen -------------------------------------------------------------------------------------------------
@record
class Sight:
    """A machine as it was at a moment: what a report shows, and what tells whether a second run came to the same.

    `cost` estimates, in ticks, how long the host needs to run there from power-on.
    """

    screen: tuple[str, ...]
    columns: int
    serial: str
    registers: tuple[str, ...]
    place: str
    position: int
    in_block: bool
    ended: str
    digest: str
    cost: int


def cost_of(machine: Machine) -> int:
    """Return how many ticks of plain code take the host as long as the machine's run since power-on."""
    exits = sum(machine.exits.values()) - machine.halts
    return machine.ticks + COST_OF_HALT * machine.halts + COST_OF_EXIT * exits


def sight_of(machine: Machine) -> Sight:
    """Look at a machine; it must not be closed, and it is settled by it."""
    engine: Any = machine.engine
    screen = machine.screen
    place, registers = place_of(machine), tuple(register_lines(machine))
    machine.settle()
    return Sight(
        screen=tuple(screen.text().splitlines()),
        columns=screen.columns,
        serial=machine.serial.text(),
        registers=registers,
        place=place,
        position=machine.now,
        in_block=engine.in_block,
        ended=machine.ended.reason if machine.ended is not None else "",
        digest=machine.state_hash(),
        cost=cost_of(machine),
    )


def register_lines(machine: Machine) -> list[str]:
    """Return the registers, four in a row, and the next instruction; 64 bits wide where they are in use."""
    from minivm.engine.cpustate import SEGMENT_NAMES

    values = machine.cpu.as_dict()
    wide = any(value >> 32 for value in values.values())
    cells = []
    for name, value in values.items():
        digits = 4 if name in SEGMENT_NAMES else 16 if wide else 8
        if wide or not (name.startswith("r") and name[1:].isdigit()):
            shown = name if wide or not name.startswith("r") else f"e{name[1:]}"
            cells.append(f"{shown:>6} {value:0{digits}X}".ljust(24 if wide else 16))
    table = ["".join(cells[at : at + _COLUMNS]).rstrip() for at in range(0, len(cells), _COLUMNS)]
    return [*table, f"  next {next_instruction(machine)}"]


def next_instruction(machine: Machine) -> str:
    """Return where the machine is, with the instruction there."""
    from minivm.debug.debugger import Debugger

    return f"{place_of(machine)}  {Debugger(machine).instruction().text}"


# -- the run once more ------------------------------------------------------------------------------------------------
@record
class History:
    """How a machine came to where it is: the start, the inputs, and what the start itself had cost."""

    origin: Origin
    journal: RunJournal
    start_cost: int = 0


@record
class Evidence:
    """What a second run brought: the last events as lines, and the replay file; why there is none, or no same run.

    `devices` are what `minivm replay` must be told of, each as its option `--device` has it.
    """

    events: tuple[str, ...]
    replay: Path | None
    remarks: tuple[str, ...]
    devices: tuple[str, ...] = ()


def run_again(history: History, sight: Sight, path: Path, *, most: int = LONGEST_RERUN) -> Evidence:
    """Do a run again up to where it was seen, and write it to the replay file `path`.

    A run that costs the host more than `most` ticks is not. Never raises for what the test did to the machine.
    """
    if history.journal.went_back:
        return _nothing("the test put the machine back in time, so there is no one run to do again")
    cost = sight.cost - history.start_cost
    if cost > most:
        return _nothing(f"the run was too long to be done again: it costs as much as {cost:,} ticks, {most:,} may be")
    try:
        machine = history.origin.again()
    except MiniVMError as error:
        return _nothing(f"the run cannot be done again: {error}")
    with machine:
        return _watched(machine, history.journal, sight, path)


def _nothing(remark: str) -> Evidence:
    return Evidence((), None, (remark,))


def _watched(machine: Machine, journal: Journal, sight: Sight, path: Path) -> Evidence:
    from minivm.debug.debugger import Debugger
    from minivm.debug.recorder import Recorder as EventRecorder
    from minivm.testing.events import event_lines

    debugger = Debugger(machine)
    recording, remarks = _Recording.begin(machine, path)
    events = EventRecorder(debugger)
    events.start()
    remarks += _play(machine, journal, sight, recording)
    events.stop()
    recording.finish()
    if not remarks and machine.state_hash() != sight.digest:
        remarks += (
            "the second run came to another state: the test must have changed memory, registers or a chip by hand, "
            "or the files that the machine was booted from",
        )
    lines = tuple(event_lines(debugger, events.events))
    return Evidence(lines, recording.path, remarks, devices_to_name(machine) if recording.path is not None else ())


class _Recording:
    """The replay file of a second run, or none where the machine cannot be recorded."""

    def __init__(self, recorder: Any, path: Path | None) -> None:
        self._recorder, self.path = recorder, path

    @classmethod
    def begin(cls, machine: Machine, path: Path) -> "tuple[_Recording, tuple[str, ...]]":
        from minivm.recording import Recorder

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(Recorder(machine, path), path), ()
        except (MiniVMError, OSError) as error:
            return cls(None, None), (f"no replay file: {error}",)

    def note(self, given: Input) -> None:
        if self._recorder is not None:
            self._recorder.journal.append(given)

    def finish(self) -> None:
        if self._recorder is not None:
            self._recorder.finish()


def _play(machine: Machine, journal: Journal, sight: Sight, recording: _Recording) -> tuple[str, ...]:
    """Play the inputs and go on to where the machine was seen; what a player does nobody notes, so it is noted here."""
    player = Player(machine, journal, done=0)
    try:
        for given in journal:
            player.reach(given.position)
            recording.note(given)
        player.reach(sight.position, safe_point=not sight.in_block)
        if sight.ended and machine.ended is None:
            machine.run_to(sight.position + 1)  # it ended there, which the next go would have found out
    except MiniVMError as error:
        return (f"the second run went another way: {error}",)
    except Exception as error:  # a device of the user's own may raise anything
        return (f"the second run ended where a device raised {type(error).__name__}: {error}",)
    return ()


# -- the report -------------------------------------------------------------------------------------------------------
def sections(name: str, sight: Sight, evidence: Evidence, command: str) -> list[Section]:
    """Return what pytest's report shows of a machine; `command` replays the file, if there is one."""
    state = f"ended: {sight.ended}" if sight.ended else f"at {sight.place}"
    when = f"{sight.position / NS_PER_MS:.3f} virtual ms, {state}"
    lines = sight.serial.splitlines()
    cut = [f"({len(lines) - MOST_SERIAL_LINES} lines before)"] if len(lines) > MOST_SERIAL_LINES else []
    found = [
        (f"minivm {name}: screen ({when})", framed(list(sight.screen), sight.columns)),
        (f"minivm {name}: serial log", "\n".join([*cut, *lines[-MOST_SERIAL_LINES:]]) or "(nothing)"),
        (f"minivm {name}: registers", "\n".join(sight.registers)),
    ]
    if evidence.events:
        found.append((f"minivm {name}: last events", "\n".join(evidence.events)))
    devices = "".join(f" --device {shlex.quote(device)}" for device in evidence.devices)
    words = [*evidence.remarks, *([f"{command}{devices}"] if evidence.replay is not None else [])]
    if words:
        found.append((f"minivm {name}: replay", "\n".join(words)))
    return found
