"""Time travel: whatever way leads to a moment, the machine is in the same state there.

Random guests with the timer, the keyboard, a serial port and a disk get random input, and random walks go forward,
back, save, restore, clone and branch. At each (branch, tick) the state's hash is always the same.
"""

import os
import random  # noqa: TID251 - each walk is seeded
import time
from pathlib import Path
from typing import Any

import pytest

import minivm
from minivm.debug.code import assemble
from minivm.debug.timeline import Moment, Timeline, TimelineError
from minivm.machine import Machine

WALKS = 300
MANY_WALKS = int(os.environ.get("MINIVM_WALKS", "10000"))
EVERY = 60_000
"""Keyframes must come often, so that small budgets are outgrown."""

SNIPPETS = (
    "inc dword [counter]\n add ax, [counter]",
    "mov cx, {n}\n again{i}: add ax, cx\n xor [table + 6], ax\n loop again{i}",
    "in al, 40h\n mov ah, al\n in al, 40h\n add [table], ax",
    "mov al, {n} & 7Fh\n out 0E9h, al",
    "mov al, {n} & 7Fh\n mov dx, 3F8h\n out dx, al",
    "sti\n hlt",
    "mov ah, 1\n int 16h\n jz none{i}\n mov ah, 0\n int 16h\n add [table + 2], ax\n none{i}:",
    "mov ah, 0Eh\n mov al, 41h + ({n} & 15)\n mov bx, 7\n int 10h",
    "mov si, table\n mov di, buffer + ({n} & 63)\n mov cx, {n} & 31\n cld\n rep movsb",
    "mov byte [patch{i} + 1], {n} & 0FFh\n nop\n patch{i}: mov bl, 0\n add [table + 4], bl",
    "mov dx, 3FDh\n in al, dx\n test al, 1\n jz dry{i}\n mov dx, 3F8h\n in al, dx\n add [table + 8], al\n dry{i}:",
    "int 3",
    "xor dx, dx\n mov ax, {n}\n div word [zero]",
    "mov ax, 0301h\n mov cx, {n} & 3 | 2\n mov dx, 0\n mov bx, table\n int 13h",
    "push ax\n call near{i}\n pop ax\n jmp over{i}\n near{i}: add ax, 3\n ret\n over{i}:",
)
FRAME = """
    org 7C00h
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 7C00h
    mov word [0], skip
    mov word [2], 0
    mov word [12], three
    mov word [14], 0
    mov al, 34h
    out 43h, al
    mov al, {low}
    out 40h, al
    mov al, {high}
    out 40h, al
    sti
top:
{body}
    jmp top
skip:
    push bp
    mov bp, sp
    add word [bp + 2], 4
    pop bp
    iret
three:
    inc word [table + 10]
    iret
zero: dw 0
counter: dd 0
table: times 16 db 0
buffer: times 96 db 0
    times 510 - ($ - $$) db 0
    dw 0AA55h
"""


def random_guest(chance: random.Random) -> bytes:
    """Return a floppy with an endless program of a few snippets; the timer's rate is random, too."""
    chosen = [
        chance.choice(SNIPPETS).format(i=index, n=chance.randrange(256)) for index in range(chance.randrange(2, 7))
    ]
    low, high = chance.randrange(256), chance.choice([1, 2, 8, 64])
    source = FRAME.format(body="\n".join(f" {one}" for one in chosen), low=low, high=high)
    return assemble(source).code + bytes(1474560 - 512)


class Walk:
    """A random walk through the past of one guest, which knows the hash of every (branch, moment) it has seen."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.machine = minivm.boot(random_guest(self.chance), memory="1M")
        self.timeline = Timeline(
            self.machine,
            every=self.chance.choice([EVERY, 8 * EVERY]),
            budget_bytes=self.chance.choice([1 << 20, 1 << 26]),
        )
        self.file = folder / f"{seed}.mvm"
        self.seen: dict[tuple[Any, Moment], str] = {}
        self.moments: list[Moment] = []

    def close(self) -> None:
        self.timeline.close()
        self.machine.close()

    def lineage(self) -> tuple[Any, ...]:
        """What the state hangs on: the inputs done by now."""
        done = self.timeline._player.done
        return tuple((one.position, one.kind, repr(one.data)) for one in list(self.timeline.journal)[:done])

    def look(self) -> None:
        moment = self.timeline.moment()
        key, found = (self.lineage(), moment), self.machine.state_hash()
        assert self.seen.setdefault(key, found) == found, moment
        if moment not in self.moments:
            self.moments.append(moment)

    def go(self, count: int) -> None:
        actions = (self.forward, self.forward, self.input, self.back, self.to, self.step, self.save, self.clone)
        for _ in range(count):
            self.chance.choice(actions)()
            self.look()

    def forward(self) -> None:
        self.timeline.run_to(self.machine.now + self.chance.choice([100, 5_000, 90_000, 400_000]))

    def step(self) -> None:
        for _ in range(self.chance.randrange(1, 9)):
            self.timeline.step()

    def input(self) -> None:
        kind = self.chance.randrange(4)
        if kind < 2:
            self.machine.type(self.chance.choice(["a", "\n", "xyz"]))
        else:
            assert self.machine.console is not None
            self.machine.console.serial.send(bytes([self.chance.randrange(256)]))  # type: ignore[attr-defined]
        self.moments = [one for one in self.moments if one.position <= self.machine.now]

    def back(self) -> None:
        here = self.timeline.moment()
        count = self.chance.choice([1, 2, 7])
        asleep = self.machine.halted
        found = self.timeline.steps_back(count)
        assert found is None or found.position <= here.position
        if found is not None and not asleep:
            middle = self.machine.state_hash()
            self.timeline.return_to(here)
            self.look()
            self.timeline.steps_back(count)
            assert self.machine.state_hash() == middle

    def to(self) -> None:
        if self.chance.randrange(2) and self.moments:
            wanted = self.chance.choice(self.moments)
            self.timeline.return_to(wanted)
            assert self.timeline.moment() == wanted
        else:
            self.timeline.go_to(self.chance.randrange(self.timeline.begin, self.timeline.end + 1))

    def save(self) -> None:
        before = self.machine.state_hash()
        self.machine.save(self.file)
        with minivm.restore(self.file) as twin:
            self._compare(twin, before)

    def clone(self) -> None:
        before = self.machine.state_hash()
        with self.machine.clone() as twin:
            self._compare(twin, before)

    def _compare(self, twin: Machine, before: str) -> None:
        assert twin.state_hash() == before
        goal = twin.now + 20_000
        twin.run_to(goal)
        moment = self.timeline.moment()
        if not self.timeline.in_past:
            self.timeline.run_to(goal)
            twin.settle()
            self.machine.settle()
            assert twin.state_hash() == self.machine.state_hash(), moment


@pytest.mark.parametrize("batch", range(6))
def test_the_state_at_a_moment_is_always_the_same(batch: int, tmp_path: Path) -> None:
    walk_many(range(batch * WALKS // 6, (batch + 1) * WALKS // 6), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_the_state_is_the_same_on_many_walks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = walk_many(range(WALKS, MANY_WALKS), tmp_path, float(os.environ.get("MINIVM_WALK_SECONDS", "inf")))
    with capsys.disabled():
        print(f"\nwalks through time: {done} of {MANY_WALKS - WALKS} done")


def walk_many(seeds: range, folder: Path, seconds: float = float("inf")) -> int:
    """Do the walks of `seeds` until so many seconds are over; return how many were done."""
    end = time.monotonic() + seconds
    for done, seed in enumerate(seeds):
        if time.monotonic() > end:
            return done
        walk = Walk(seed, folder)
        try:
            walk.go(8)
        except BaseException as error:
            error.add_note(f"walk {seed}")
            raise
        finally:
            walk.close()
    return len(seeds)


# -- one thing at a time ----------------------------------------------------------------------------------------------

COUNTER = assemble(FRAME.format(body=" inc dword [counter]\n in al, 61h", low=0, high=0)).code


def counter(**options: int) -> Timeline:
    return Timeline(minivm.boot(COUNTER, memory="1M"), **options)


def test_keyframes_stay_within_their_budget_and_reach_the_beginning() -> None:
    timeline = counter(every=10_000, budget_bytes=1 << 20)
    start = timeline.machine.state_hash()
    timeline.run_to(8_000_000)
    frames = timeline.frames
    assert frames.dropped > 100
    assert frames.size_bytes <= 1 << 20
    gaps = [after.position - before.position for before, after in zip(frames, list(frames)[1:], strict=False)]
    assert max(gaps[:3]) > 4 * max(gaps[-3:]), "the past is thinned with age"
    assert timeline.begin == 0
    timeline.go_to(0)
    assert timeline.machine.state_hash() == start
    timeline.machine.close()


def test_a_place_before_the_beginning_is_refused() -> None:
    with minivm.boot(COUNTER, memory="1M") as machine:
        machine.run(ticks=100_000)
        timeline = Timeline(machine)
        with pytest.raises(TimelineError, match="the past that is kept begins at"):
            timeline.go_to(5_000)


def test_an_input_in_the_past_begins_a_branch_that_can_be_gone_back_to() -> None:
    with minivm.boot("echo") as machine:
        timeline = Timeline(machine)
        timeline.run_to(300_000_000)
        fork = timeline.moment()
        machine.type("first")
        timeline.run_to(2_000_000_000)
        first = machine.state_hash(), machine.screen.text()
        timeline.return_to(fork)
        assert "first" not in machine.screen.text()
        timeline.go_to(fork.position - 1000)
        machine.type("second")
        timeline.run_to(2_000_000_000)
        assert "second" in machine.screen.text() and "first" not in machine.screen.text()
        second = machine.state_hash()
        (branch,) = timeline.branches
        assert (branch.end, branch.fork) == (2_000_000_000, fork.position - 1000)
        timeline.switch(branch.number)
        assert (machine.state_hash(), machine.screen.text()) == first
        timeline.switch(branch.number)
        assert machine.state_hash() == second
        with pytest.raises(TimelineError, match="there is no branch 7"):
            timeline.switch(7)


def test_the_past_is_said_to_the_host_only_once() -> None:
    with minivm.boot("serial") as machine:
        timeline, heard = Timeline(machine), bytearray()
        assert machine.console is not None
        machine.console.serial.listeners.append(heard.extend)  # type: ignore[attr-defined]
        timeline.run_to(40_000_000)
        said = bytes(heard)
        assert said
        timeline.go_to(1_000_000)
        assert len(machine.serial.text()) < len(said)
        timeline.run_to(40_000_000)
        assert bytes(heard) == said


def test_disk_writes_are_taken_back_and_reach_the_file_at_the_end(tmp_path: Path) -> None:
    body = " mov ax, 0301h\n mov cx, 2\n mov dx, 80h\n mov bx, counter\n int 13h\n inc byte [counter]"
    file = tmp_path / "data.img"
    file.write_bytes(bytes(1 << 20))
    code = assemble(FRAME.format(body=body, low=0, high=0)).code
    with minivm.boot(code, memory="1M", disks=(str(file),)) as machine:
        disk = machine.disks["disk0"]
        timeline = Timeline(machine)
        timeline.run_to(60_000)
        early = timeline.moment()
        sector = disk.read(1, 1)
        timeline.run_to(5_000_000)
        assert disk.read(1, 1) != sector
        timeline.return_to(early)
        assert disk.read(1, 1) == sector
        timeline.go_to(timeline.end)
        last = disk.read(1, 1)
        assert file.read_bytes() == bytes(1 << 20)
        timeline.close()
    assert file.read_bytes()[512:1024] == last != sector


def test_a_machine_that_ended_is_over_again_at_its_end() -> None:
    with minivm.boot("exceptions") as machine:
        timeline = Timeline(machine)
        ended = timeline.run_to(1 << 40)
        end = timeline.moment()
        timeline.go_to(1000)
        assert machine.ended is None
        timeline.return_to(end)
        assert machine.ended == ended
        timeline.go_to(1000)
        assert timeline.run_to(1 << 40) == ended


def test_a_recorded_run_keeps_no_other_past(tmp_path: Path) -> None:
    with minivm.boot("echo", record=tmp_path / "it.mvr") as machine, pytest.raises(TimelineError, match="recorded"):
        Timeline(machine)


def test_a_run_that_ends_where_an_input_came_does_it_again() -> None:
    with minivm.boot(COUNTER, memory="1M") as machine:
        timeline = Timeline(machine)
        timeline.run_to(200_000)
        place, before = timeline.moment(), machine.state_hash()
        assert not place.in_block
        machine.type("a")
        after = machine.state_hash()
        assert after != before
        assert timeline.steps_back(2) is not None
        timeline.run_to(machine.now + 1)  # the block that was entered ends where the input came
        assert (timeline.moment(), machine.state_hash()) == (place, after)
        timeline.step()
