"""Devices of the user's own: made by the machine, by class or by name, with lines, alarms, options and state."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import minivm
from minivm import Clock, DeviceSpec, MachineConfig, Slot
from minivm.cli.main import main
from minivm.core.describe import Chip, Content, Field, Register
from minivm.core.device import Wire
from minivm.core.slot import InterruptLines, SharedLine
from minivm.debug.code import assemble
from minivm.debug.debugger import Debugger
from minivm.debug.explain_ports import explain_port
from minivm.debug.inspect_devices import chip_names, inspect_chip
from minivm.debug.recorder import Recorder, event_words
from minivm.errors import ConfigError, DeviceError, MiniVMError, SnapshotError, WiringError
from minivm.machine import Machine
from minivm.tui.session import Session

BEGIN = "xor ax, ax\nmov ds, ax\nmov es, ax\nmov ss, ax\nmov sp, 0x7C00\n"
END = "\nmov byte [0x600], 1\ncli\nhlt\n"


def sector(source: str) -> bytes:
    """Return a boot sector that does `source`, puts 1 at 600h and halts for good."""
    code = assemble(BEGIN + source + END, bits=16, origin=0x7C00).code
    return code.ljust(510, b"\0") + b"\x55\xaa"


@dataclass(frozen=True)
class LampState:
    """What a lamp remembers."""

    value: int
    due: int | None
    rung: int
    level: bool


LAMP = Register("LAMP", "lamp", 0, "rw", (Field("LIT", 0, 0, {0: "dark", 1: "lit"}),))


class Lamp:
    """A lamp and a timer: offset 1 sets it, in units of `unit_ns`, and its end raises the line."""

    length = 4
    chip = Chip("the lamp", (LAMP,), contents=lambda state, now: [Content(LAMP, state.value)])

    def __init__(self, slot: Slot, *, irq: int = 5, unit_ns: int = 1000, label: str = "") -> None:
        self.slot, self.line, self.unit_ns, self.label = slot, slot.irq(irq), unit_ns, label
        self.value, self.due, self.rung, self.level = 0, None, 0, False
        self.journal: list[str] = []

    def read(self, offset: int, size: int) -> int:
        return (self.value, self.rung, 0x1_2345, -1)[offset]

    def write(self, offset: int, size: int, value: int) -> None:
        match offset:
            case 0:
                self.value = value
                self.slot.output(b"lamp %d\n" % value)
            case 1:
                self.arm(self.slot.clock.now + value * self.unit_ns)
            case 2:
                self.drive(bool(value))

    def arm(self, due: int | None) -> None:
        self.due = due
        if due is not None:
            self.slot.clock.at(due, self.ring)

    def ring(self) -> None:
        self.due = None
        self.rung += 1
        RINGS.append(self.label)
        self.drive(True)

    def drive(self, level: bool) -> None:
        self.level = level
        self.line.set(level)

    def feed(self, data: bytes) -> None:
        self.value = data[0]

    def reset(self) -> None:
        self.restore(LampState(0, None, 0, False))

    def state(self) -> LampState:
        return LampState(self.value, self.due, self.rung, self.level)

    def restore(self, state: LampState) -> None:
        self.value, self.rung = state.value, state.rung
        self.arm(state.due)
        self.drive(state.level)


RINGS: list[str] = []
HELLO = sector("mov dx, 0x500\nmov al, 1\nout dx, al\nin al, dx\nmov [0x601], al")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that is installed, with two devices; on its import it leaves a mark."""
    folder = tmp_path / "site"
    (folder / "own_lamp-1.2.dist-info").mkdir(parents=True)
    (folder / "own_lamp-1.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: own-lamp\nVersion: 1.2\n")
    (folder / "own_lamp-1.2.dist-info" / "entry_points.txt").write_text(
        "[minivm.devices]\nlamp = own_lamp:OwnLamp\nfunction = own_lamp:make\ngone = own_lamp:Gone\n"
        "broken = own_broken:Lamp\nmissing = own_missing:Lamp\n"
    )
    (folder / "own_lamp.py").write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass State:\n    value: int\n\n"
        "class OwnLamp:\n"
        "    def __init__(self, slot, *, start: int = 7):\n        self.value = start\n"
        "    def read(self, offset, size):\n        return self.value\n"
        "    def write(self, offset, size, value):\n        self.value = value\n"
        "    def state(self):\n        return State(self.value)\n"
        "    def restore(self, state):\n        self.value = state.value\n\n"
        "def make(slot, start=9):\n    return OwnLamp(slot, start=start)\n"
    )
    (folder / "own_broken.py").write_text("1 // 0\n")
    (folder / "trap.py").write_text(
        f"open({str(tmp_path / 'trap went off')!r}, 'w').close()\n"
        "class Lamp:\n    def __init__(self, slot): pass\n    def read(self, *a): return 0\n    write = read\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in ("own_lamp", "own_broken", "trap"):
        sys.modules.pop(name, None)


# -- how a device is said -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "devices",
    [
        [("port", 0x500, Lamp)],
        [("port", 0x500, Lamp, {"irq": 7})],
        [["port", 0x500, lambda slot: Lamp(slot, irq=7)]],
        DeviceSpec("port", 0x500, Lamp, {"irq": 7}),
    ],
)
def test_a_machine_makes_a_device_by_its_class_or_by_a_function(devices: Any) -> None:
    with minivm.boot(HELLO, devices=devices) as vm:
        vm.run(ms=1)
        lamp = vm.user_devices["port 500h"]
        assert isinstance(lamp, Lamp)
        assert (lamp.value, vm.memory[0x601]) == (1, b"\1")
        assert vm.serial.text() == "lamp 1\n"


def test_each_machine_makes_its_own() -> None:
    config = {"devices": [("port", 0x500, Lamp)]}
    with minivm.boot(HELLO, **config) as one, minivm.boot(HELLO, **config) as two:
        assert one.user_devices["port 500h"] is not two.user_devices["port 500h"]


def test_an_installed_device_is_found_by_its_name(package: Path) -> None:
    for name, start in (("lamp", 7), ("function", 9)):
        with minivm.boot(HELLO, devices=[("port", 0x500, name)]) as vm:
            assert vm.ports.read(0x500, 1) == start


def test_a_file_of_devices_is_read_from_the_folder_of_the_configuration(package: Path, tmp_path: Path) -> None:
    (tmp_path / "vm.toml").write_text(
        '[[devices]]\nbus = "port"\nbase = 0x500\ndevice = "lamp"\nstart = 3\n'
        '[[devices]]\nbus = "mmio"\nbase = 0xD0000000\ndevice = "site/own_lamp.py:OwnLamp"\n'
        '[[devices]]\nbus = "port"\nbase = 0x510\ndevice = "own_lamp:make"\nstart = 4\n'
    )
    config = MachineConfig.from_toml(tmp_path / "vm.toml")
    with minivm.boot(HELLO, devices=config.devices) as vm:
        assert [vm.ports.read(0x500, 1), vm.space.load(0xD0000000, 1), vm.ports.read(0x510, 1)] == [3, 7, 4]


def test_a_command_line_says_the_same(package: Path) -> None:
    spec = DeviceSpec.parse("lamp,port=0x500,start=0x21")
    assert (spec.bus, spec.base, spec.device, dict(spec.options)) == ("port", 0x500, "lamp", {"start": 0x21})
    assert DeviceSpec.parse("own_lamp:OwnLamp,mmio=D0000h").base == 0xD0000


def test_an_options_text_becomes_what_the_device_says_that_it_is(tmp_path: Path) -> None:
    (tmp_path / "d.py").write_text(
        "def make(slot, number: int, word: str = '', share: float = 1, on: bool = False, guess=5, any=None, "
        "maybe: 'int | None' = None): ...\n"
    )
    words = "number=10h,word=42,share=.5,on=yes,guess=6,any=x,,y,maybe=3"
    spec = DeviceSpec.parse(f"{tmp_path}/d.py:make,port=1,{words}")
    assert spec.options == {
        "number": 16, "word": "42", "share": 0.5, "on": True, "guess": 6, "any": "x,y", "maybe": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "kind", "words"),
    [
        (("port", 0x500, Lamp, {"iqr": 5}), ConfigError, "port 500h: Lamp: has no option 'iqr'; did you mean irq?"),
        (("port", 0x500, Lamp, {"zz": 5}), ConfigError, "has no option 'zz'; it takes irq, unit_ns, label"),
        (("port", 0x500, Lamp, {"irq": "5"}), ConfigError, "Lamp: irq: '5' does not fit; give a whole number"),
        (("port", 0x500, Lamp, {"irq": True}), ConfigError, "Lamp: irq: True does not fit; give a whole number"),
        (("port", 0x500, lambda slot, n: Lamp(slot)), ConfigError, "<lambda>: needs the option n"),
        (("port", 0x500, Lamp, {"irq": 4}), WiringError, "IRQ4 belongs to one of the PC's own chips; free are 5, 7"),
        (("port", 0x500, Lamp, {"irq": 2}), WiringError, "Lamp at port 500h: IRQ2 cannot be wired; free are 5"),
        (("port", 0x500, Lamp, {"irq": 16}), WiringError, "IRQ16 cannot be wired"),
        (("port", 0x2F6, Lamp), WiringError, "Lamp at port 2F6h: port 2F8h-2FFh is taken by com2"),
        (("port", 0xFFFE, Lamp), WiringError, "lies outside the port bus"),
        (("mmio", 0x8000, Lamp), WiringError, "0h-9FFFFh is RAM"),
        (("mmio", 0xFFFFE, Lamp), WiringError, "is ROM"),
        (("port", 0x500, "lampp"), ConfigError, "no device 'lampp' is installed; did you mean lamp?"),
        (("port", 0x500, "xyz"), ConfigError, "no device 'xyz' is installed; installed are broken, function, gone, la"),
        (("port", 0x500, "gone"), ConfigError, "gone: there is no class 'Gone' in it"),
        (("port", 0x500, "missing"), ConfigError, "missing: there is no module own_missing"),
        (("port", 0x500, "own_lamp:Nix"), ConfigError, "own_lamp:Nix: there is no class 'Nix' in it"),
        (("port", 0x500, "nix.py:Nix"), ConfigError, "nix.py: there is no such file"),
        (("port", 0x500, ".x:Nix"), ConfigError, "'.x' is no module's name"),
        (("port", 0x500, lambda slot: None), DeviceError, "None is no device; it has no read() and write()"),
        (("isa", 0x500, Lamp), ConfigError, "'isa' is no bus for a device; give port or mmio"),
        (("port", "500", Lamp), ConfigError, "'500' is no address for a device"),
        (("port", -1, Lamp), ConfigError, "-1 is no address"),
        (("port", 0x500, 5), ConfigError, "5 is not a device"),
        (("port", 0x500, Lamp, [1]), ConfigError, "[1] are no options"),
        ({"bus": "port", "base": 5}, ConfigError, "device is missing; a device has bus, base and device"),
        ({"bus": "port", "base": 5, "device": 7}, ConfigError, "7 is not a device"),
        ("lamp", ConfigError, "'lamp' is no device; write NAME,port=0x500[,option=value...]"),
        ("lamp,port=x", ConfigError, "is no device; write NAME,port=0x500"),
        ("lamp,port=1,mmio=2", ConfigError, "is no device; write NAME,port=0x500"),
        ("lamp,port=1,start", ConfigError, "start: '' does not fit; give a whole number"),
        ("lamp,port=1,start=x", ConfigError, "lamp: start: 'x' does not fit; give a whole number"),
        ("lamp,port=1,stop=1", ConfigError, "lamp: has no option 'stop'; it takes start"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(package: Path, entry: Any, kind: type, words: str) -> None:
    with pytest.raises(MiniVMError) as caught:
        minivm.boot(HELLO, devices=[entry])
    assert type(caught.value) is kind
    assert str(caught.value).startswith("devices: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("what", "value"), [("length", 0), ("length", "4"), ("width", 3), ("width", True)])
def test_a_size_that_does_not_fit_is_named(what: str, value: object) -> None:
    kind = type("Odd", (Lamp,), {what: value})
    with pytest.raises(DeviceError, match=f"Odd at port 500h has (the|a) {what}"):
        minivm.boot(HELLO, devices=[("port", 0x500, kind)])


def test_two_devices_at_one_port_are_told_apart_in_the_error() -> None:
    with pytest.raises(WiringError, match=r"Lamp at port 502h: port 500h-503h is taken by Lamp"):
        minivm.boot(HELLO, devices=[("port", 0x500, Lamp), ("port", 0x502, Lamp)])


def test_the_doctor_lists_what_is_installed(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    assert "lamp: own_lamp:OwnLamp of own-lamp 1.2" in capsys.readouterr().out
    assert "own_lamp" not in sys.modules


# -- values ---------------------------------------------------------------------------------------------------------
def test_a_value_that_is_too_wide_is_cut_to_the_access() -> None:
    with minivm.boot(HELLO, devices=[("port", 0x500, Lamp)]) as vm:
        assert (vm.ports.read(0x502, 1), vm.ports.read(0x502, 2)) == (0x45, 0x2345)
        assert vm.ports.read(0x503, 1) == 0xFF


@pytest.mark.parametrize("value", [None, "1", 1.5, b"1"])
def test_a_read_that_returns_no_number_is_named_with_its_device(value: object) -> None:
    class Odd(Lamp):
        def read(self, offset: int, size: int) -> Any:
            return value

    with (
        minivm.boot(HELLO, devices=[("port", 0x500, Odd)]) as vm,
        pytest.raises(DeviceError, match=r"^Odd at port 500h: read\(0, 1\) returned .*, which is no whole number$"),
    ):
        vm.run(ms=1)


class Notes:
    """Notes every access; 4 registers of 32 bits, kept byte by byte."""

    length = 16

    def __init__(self, slot: Slot) -> None:
        self.bytes = bytearray(range(16))
        self.seen: list[tuple[str, int, int, int]] = []

    def read(self, offset: int, size: int) -> int:
        value = int.from_bytes(self.bytes[offset : offset + size], "little")
        self.seen.append(("r", offset, size, value))
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        self.seen.append(("w", offset, size, value))
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")


class NarrowNotes(Notes):
    width = 1


ACCESSES = """
mov al, [{d}]
mov [{d} + 4], al
mov ax, [{d} + 2]
mov [{d} + 6], ax
mov eax, [{d} + 8]
mov [{d} + 12], eax
"""
SEEN = [
    ("r", 0, 1, 0x00), ("w", 4, 1, 0x00), ("r", 2, 2, 0x0302), ("w", 6, 2, 0x0302),
    ("r", 8, 4, 0x0B0A0908), ("w", 12, 4, 0x0B0A0908),
]  # fmt: skip


def notes_of(vm: Machine) -> Any:
    return next(iter(vm.user_devices.values()))


def test_a_guest_reaches_memory_below_1_mib_by_byte_word_and_dword() -> None:
    guest = sector("mov ax, 0xD000\nmov fs, ax\n" + ACCESSES.format(d="fs:0x10"))
    with minivm.boot(guest, devices=[("mmio", 0xD0010, Notes)]) as vm:
        vm.run(ms=1)
        assert notes_of(vm).seen == SEEN


@pytest.mark.parametrize("base", [0x0400_0000, 0xD000_0000, 0xFEE0_1000])
def test_a_guest_reaches_memory_above_1_mib_by_byte_word_and_dword(tmp_path: Path, base: int) -> None:
    source = ACCESSES.format(d=hex(base)) + "cli\nhlt\n"
    kernel = tmp_path / "kernel.bin"
    kernel.write_bytes(assemble(source, bits=32, origin=0x10_0000).code)
    flat = {"boot": "flat", "bits": 32, "origin": 0x10_0000}
    with minivm.boot(kernel, **flat, devices=[("mmio", base, Notes)]) as vm:
        vm.run(ms=1)
        assert notes_of(vm).seen == SEEN


def test_a_narrow_device_gets_wide_accesses_byte_by_byte() -> None:
    with minivm.boot(HELLO, devices=[("port", 0x500, NarrowNotes)]) as vm:
        assert vm.ports.read(0x500, 4) == 0x03020100
        assert [(offset, size) for _, offset, size, _ in notes_of(vm).seen] == [(0, 1), (1, 1), (2, 1), (3, 1)]


# -- lines, alarms, memory ------------------------------------------------------------------------------------------
IRQ5 = (
    "mov word [4 * 0x0D], handler\nmov word [4 * 0x0D + 2], 0\nin al, 0x21\nand al, 0xDF\nout 0x21, al\n"
    "mov dx, 0x501\nmov al, 200\nout dx, al\nsti\n"
    "again: cmp byte [0x602], 0\nje again\njmp done\n"
    "handler: push ax\npush dx\nmov dx, 0x502\nxor al, al\nout dx, al\ninc byte [0x602]\nmov al, 0x20\nout 0x20, al\n"
    "pop dx\npop ax\niret\ndone:"
)


def test_an_alarm_rings_at_its_time_and_its_line_interrupts_the_guest() -> None:
    with minivm.boot(sector(IRQ5), devices=[("port", 0x500, Lamp)]) as vm:
        vm.run(ms=0.1)
        assert vm.memory[0x602] == b"\0"
        vm.run(ms=0.5)
        assert (vm.memory[0x600], vm.memory[0x602], notes_of(vm).rung) == (b"\1", b"\1", 1)


def test_a_line_with_two_drivers_is_high_as_long_as_one_drives_it() -> None:
    edges: list[bool] = []
    shared = SharedLine(Wire(edges.append))
    one, two = shared.driver(), shared.driver()
    for driver, level in ((one, True), (two, True), (one, False), (one, False), (two, False)):
        driver.set(level)
    assert edges == [True, False]
    for driver, level in ((one, True), (two, True), (two, False)):
        driver.set(level)
    assert edges == [True, False, True]


def test_two_devices_may_have_one_interrupt_and_a_chips_line_is_nobodys() -> None:
    lamps = [("port", base, Lamp, {"irq": 10}) for base in (0x500, 0x510)]
    with minivm.boot(HELLO, devices=lamps) as vm:
        vm.ports.write(0x502, 1, 1)
        vm.ports.write(0x512, 1, 1)
        vm.ports.write(0x502, 1, 0)
        assert vm.devices["pic"].state().slave.lines & 0x04
        vm.ports.write(0x512, 1, 0)
        assert not vm.devices["pic"].state().slave.lines & 0x04


@pytest.mark.parametrize("irq", [True, "5", None, -1, 2, 16])
def test_a_line_that_does_not_exist_is_refused(irq: Any) -> None:
    lines = InterruptLines(lambda irq: Wire())
    lines.chip(0)
    with pytest.raises(WiringError, match="free are 1, 3"):
        InterruptLines.own(lines, irq) if irq not in (-1, 2, 16) else _with_pic().own(irq)


def _with_pic() -> InterruptLines:
    from minivm.devices.pic import PicPair

    lines = InterruptLines(PicPair(Wire()).line)
    lines.chip(0)
    return lines


def test_a_device_copies_memory_by_itself_and_new_code_is_executed() -> None:
    class Copier(Lamp):
        def write(self, offset: int, size: int, value: int) -> None:
            code = self.slot.memory.load_bytes(0x7E00, 8)
            self.slot.memory.store_bytes(0x7F00, code)
            self.slot.memory.store_bytes(0xFFFF_0000, b"lost")
            self.value = self.slot.memory.load_bytes(0xC8000, 2)[0]

    guest = sector(
        "mov byte [0x7F00], 0xC3\ncall 0x7F00\nmov dword [0x7E00], 0xC3030600 + 0xC6 - 0xC3000000\n"
        "mov dword [0x7E00], 0x060306C6\nmov word [0x7E04], 0xC309\n"  # mov byte [0x603], 9 / ret
        "mov dx, 0x500\nout dx, al\ncall 0x7F00"
    )
    with minivm.boot(guest, devices=[("port", 0x500, Copier)]) as vm:
        vm.run(ms=1)
        assert vm.memory[0x600] == b"\1"
        assert vm.memory[0x603] == b"\x09"
        assert notes_of(vm).value == 0xFF


def test_a_slot_can_be_made_without_a_machine() -> None:
    clock, line, shown = Clock(), Wire(), bytearray()
    lamp = Lamp(Slot(clock, lambda irq: line, shown.extend))
    lamp.write(0, 1, 1)
    lamp.write(1, 1, 5)
    clock.advance(5000)
    assert (bytes(shown), line.level) == (b"lamp 1\n", True)
    bare = Slot(clock, lambda irq: line)
    bare.output(b"lost")
    bare.memory.store_bytes(0, b"lost")
    assert bare.memory.load_bytes(0, 2) == b"\xff\xff"


def test_a_reset_reaches_the_device() -> None:
    with minivm.boot(sector("sti\nidle: hlt\njmp idle"), devices=[("port", 0x500, Lamp)]) as vm:
        vm.run(ms=1)
        lamp = notes_of(vm)
        vm.ports.write(0x500, 1, 1)
        vm.ports.write(0x502, 1, 1)
        assert (lamp.value, lamp.level) == (1, True)
        vm.reset()
        vm.run(ticks=1)
        assert (lamp.value, lamp.level) == (0, False)
        assert not vm.devices["pic"].state().master.lines & 0x20


# -- clones, snapshots, recordings ----------------------------------------------------------------------------------
def test_a_clone_has_a_device_of_its_own_in_the_same_state() -> None:
    with minivm.boot(sector(IRQ5), devices=[("port", 0x500, Lamp)]) as vm:
        vm.run(ms=0.1)
        with vm.clone() as clone:
            assert notes_of(clone) is not notes_of(vm)
            assert notes_of(clone).state() == notes_of(vm).state()
            assert notes_of(clone).due is not None
            for machine in (clone, vm):
                machine.run(ms=1)
                assert (machine.memory[0x602], notes_of(machine).rung) == (b"\1", 1)
            assert clone.state_hash() == vm.state_hash()


def test_alarms_due_together_ring_in_the_same_order_in_a_clone() -> None:
    lamps = [("port", base, Lamp, {"label": label}) for base, label in ((0x500, "first"), (0x510, "second"))]
    with minivm.boot(HELLO, devices=lamps) as vm:
        vm.ports.write(0x511, 1, 100)
        vm.ports.write(0x501, 1, 100)
        with vm.clone() as clone:
            RINGS.clear()
            clone.run(ms=1)
            assert RINGS == ["second", "first"]


def test_a_device_without_a_state_can_be_used_but_not_cloned() -> None:
    with minivm.boot(HELLO, devices=[("port", 0x500, Notes)]) as vm:
        vm.run(ms=1)
        with pytest.raises(SnapshotError, match=r"^devices: Notes at port 500h has no state\(\) and restore\(\)"):
            vm.clone()


def test_a_snapshot_makes_an_installed_device_again(package: Path, tmp_path: Path) -> None:
    import own_lamp  # type: ignore[import-not-found]

    for device in ("lamp", "function", own_lamp.OwnLamp):
        with minivm.boot(HELLO, devices=[("port", 0x500, device, {"start": 5})]) as vm:
            assert vm.ports.read(0x500, 1) == 5
            vm.run(ms=1)
            vm.save(tmp_path / "x.mvm")
            here = vm.state_hash()
        with minivm.restore(tmp_path / "x.mvm") as vm:
            assert (vm.ports.read(0x500, 1), vm.state_hash()) == (1, here)
            assert type(notes_of(vm)) is own_lamp.OwnLamp
            with vm.clone() as clone:
                assert clone.state_hash() == here


def test_a_snapshot_asks_for_a_device_that_is_not_installed(tmp_path: Path) -> None:
    file = tmp_path / "x.mvm"
    with minivm.boot(HELLO, devices=[("port", 0x500, Lamp, {"irq": 7})]) as vm:
        vm.run(ms=1)
        vm.save(file)
    with pytest.raises(SnapshotError, match=r"test_own_devices:Lamp is not installed .*; give devices= with its class"):
        minivm.restore(file)
    with minivm.restore(file, devices=[("port", 0x500, Lamp, {"irq": 7})]) as vm:
        assert notes_of(vm).value == 1
    with pytest.raises(SnapshotError, match=r"devices: port 500h: the snapshot has the options {'irq': 7}, this mach"):
        minivm.restore(file, devices=[("port", 0x500, Lamp)])
    with pytest.raises(SnapshotError, match=r"devices: the snapshot has \['port 500h'\], this machine \['port 510h'\]"):
        minivm.restore(file, devices=[("port", 0x510, Lamp, {"irq": 7})])


def test_options_that_no_file_can_hold_are_named(tmp_path: Path) -> None:
    class Told(Lamp):
        def __init__(self, slot: Slot, *, told: Any) -> None:
            super().__init__(slot)

    with minivm.boot(HELLO, devices=[("port", 0x500, Told, {"told": print})]) as vm:
        with vm.clone() as clone:
            assert isinstance(notes_of(clone), Told)
        with pytest.raises(SnapshotError, match=r"devices: port 500h.options.told: .* cannot be saved"):
            vm.save(tmp_path / "x.mvm")


@pytest.mark.parametrize("name", ["trap:Lamp", "trap.py:Lamp", "trap", "os:system", ":", "trap:"])
def test_a_snapshot_never_imports_what_it_names(package: Path, tmp_path: Path, name: str) -> None:
    from minivm import saved
    from minivm.storage import snapshot

    with minivm.boot(HELLO, devices=[("port", 0x500, "lamp")]) as vm:
        found = saved.contents(vm)
    found.fields["config"]["devices"][0]["device"] = name.replace("trap.py", str(package / "trap.py"))
    found.fields["config"]["devices"][0]["options"] = {}
    snapshot.save(tmp_path / "x.mvm", found)
    with pytest.raises(SnapshotError, match=r"is not installed|is installed"):
        minivm.restore(tmp_path / "x.mvm")
    assert not (tmp_path / "trap went off").exists()
    assert "trap" not in sys.modules


FORGED = {"bus": "port", "base": 5, "device": "lamp", "options": {}}


@pytest.mark.parametrize(
    "device",
    [5, {"bus": "port"}, ["port", 1, "x"], FORGED | {"bus": "x"}, FORGED | {"base": -5}, FORGED | {"options": 7},
     FORGED | {"options": {"start": None}}, FORGED | {"device": None}],
)  # fmt: skip
def test_a_forged_device_in_a_snapshot_is_refused_in_one_line(package: Path, tmp_path: Path, device: Any) -> None:
    from minivm import saved
    from minivm.storage import snapshot

    with minivm.boot(HELLO, devices=[("port", 0x500, "lamp")]) as vm:
        found = saved.contents(vm)
    found.fields["config"]["devices"] = [device]
    snapshot.save(tmp_path / "x.mvm", found)
    with pytest.raises(SnapshotError) as caught:
        minivm.restore(tmp_path / "x.mvm")
    assert "config.devices" in str(caught.value)
    assert "\n" not in str(caught.value)


def record(path: Path, device: Any) -> str:
    with minivm.boot(HELLO, devices=[("port", 0x500, device)], record=path) as vm:
        vm.run(ms=1)
        return vm.state_hash()


def test_a_recording_makes_an_installed_device_again(package: Path, tmp_path: Path) -> None:
    here = record(tmp_path / "run.mvr", "lamp")
    with minivm.replay(tmp_path / "run.mvr") as replay:
        assert replay.run().identical
        assert replay.machine.state_hash() == here


def test_a_recording_of_a_class_asks_for_it(tmp_path: Path) -> None:
    here = record(tmp_path / "run.mvr", Lamp)
    with pytest.raises(ConfigError, match="test_own_devices:Lamp is not installed"):
        minivm.replay(tmp_path / "run.mvr")
    with pytest.raises(SnapshotError, match=r"devices: the recording has \['port 500h'\], given are \['port 510h'\]"):
        minivm.replay(tmp_path / "run.mvr", devices=[("port", 0x510, Lamp)])
    with minivm.replay(tmp_path / "run.mvr", devices=[("port", 0x500, Lamp)]) as replay:
        assert replay.run().identical
        assert replay.machine.state_hash() == here


def test_a_recording_may_begin_in_the_middle_of_a_devices_timer(package: Path, tmp_path: Path) -> None:
    for device, given in (("lamp", []), (Lamp, [("port", 0x500, Lamp)])):
        with minivm.boot(sector(IRQ5), devices=[("port", 0x500, device)]) as vm:
            vm.run(ms=0.1)
            with minivm.recording.Recorder(vm, tmp_path / "run.mvr"):
                vm.run(ms=1)
            here = vm.state_hash()
        with minivm.replay(tmp_path / "run.mvr", devices=given) as replay:
            assert replay.run().identical
            assert replay.machine.state_hash() == here


def test_a_device_goes_back_in_time_with_its_machine() -> None:
    with minivm.boot(sector(IRQ5), devices=[("port", 0x500, Lamp)]) as vm:
        debugger = Debugger(vm)
        timeline = debugger.travel()
        vm.run(ms=0.1)
        then, before = vm.now, notes_of(vm).state()
        assert before.due is not None
        vm.run(ms=1)
        here, after = vm.state_hash(), notes_of(vm).state()
        assert after.rung == 1
        timeline.go_to(then)
        assert notes_of(vm).state() == before
        timeline.go_to(timeline.end)
        assert (vm.state_hash(), notes_of(vm).state()) == (here, after)
        timeline.close()


def test_a_recording_of_another_device_departs(tmp_path: Path) -> None:
    class Other(Lamp):
        def read(self, offset: int, size: int) -> int:
            return 0x55

    class Secret(Lamp):
        def state(self) -> LampState:
            return LampState(99, self.due, self.rung, self.level)

    record(tmp_path / "run.mvr", Lamp)
    for kind in (Other, Secret):
        with minivm.replay(tmp_path / "run.mvr", devices=[("port", 0x500, kind)]) as replay:
            assert not replay.run().identical


def test_a_recording_never_imports_what_it_names(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minivm.own_devices.name_of", lambda factory: "trap:Lamp")
    record(tmp_path / "run.mvr", Lamp)
    with pytest.raises(ConfigError, match="trap:Lamp is not installed"):
        minivm.replay(tmp_path / "run.mvr")
    assert not (tmp_path / "trap went off").exists()


def test_what_the_host_feeds_to_a_device_comes_again_in_a_replay(tmp_path: Path) -> None:
    idle = sector("sti\nidle: hlt\njmp idle")
    device = [("port", 0x500, Lamp)]
    with minivm.boot(idle, devices=device, record=tmp_path / "run.mvr") as vm:
        for moment in range(5):
            vm.run(ms=3.7)
            vm.feed("port 500h", bytes([moment + 40]))
        vm.run(ms=1)
    with minivm.replay(tmp_path / "run.mvr", devices=device) as replay:
        assert replay.run(until=8_000_000).identical
        assert notes_of(replay.machine).value == 41
        assert replay.run().inputs == 5
        assert notes_of(replay.machine).value == 44


@pytest.mark.parametrize(("wanted", "words"), [("Lampp", "0 devices are called so"), ("Notes", r"it has no feed\(\)"),
                                               ("Lamp", "2 devices are called so")])  # fmt: skip
def test_a_device_that_cannot_be_fed_is_named(wanted: str, words: str) -> None:
    devices = [("port", 0x500, Lamp), ("port", 0x510, Lamp), ("port", 0x520, Notes)]
    with minivm.boot(HELLO, devices=devices) as vm, pytest.raises(WiringError, match=words):
        vm.feed(wanted, b"x")


# -- a device that raises -------------------------------------------------------------------------------------------
TRIPPED: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_has_tripped() -> None:
    TRIPPED.clear()


class Faulty(Lamp):
    """Raises where it is told to, once."""

    def __init__(self, slot: Slot, *, at: str = "") -> None:
        super().__init__(slot)
        self.at = at if at not in TRIPPED else ""
        self.trip("constructor")

    def trip(self, place: str) -> None:
        if place == self.at:
            self.at = ""
            TRIPPED.append(place)
            raise KeyError("a bug of the user's")

    def read(self, offset: int, size: int) -> int:
        self.trip("read")
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        self.trip("write")
        if offset == 1:
            self.slot.clock.after(500, lambda: self.trip("alarm"))

    def state(self) -> LampState:
        self.trip("state")
        return super().state()

    def reset(self) -> None:
        self.trip("reset")


LOOP = "mov cx, 300\nagain: inc bx\nloop again"
FAULTS = {
    "port read": ("port", 0x500, "read", f"mov dx, 0x500\nin al, dx\n{LOOP}"),
    "port write": ("port", 0x500, "write", f"mov dx, 0x500\nout dx, al\n{LOOP}"),
    "port string": ("port", 0x500, "read", f"cld\nmov di, 0x700\nmov cx, 3\nmov dx, 0x500\nrep insb\n{LOOP}"),
    "alarm": ("port", 0x500, "alarm", f"mov dx, 0x501\nout dx, al\n{LOOP}"),
    "memory read": ("mmio", 0xD0000, "read", f"mov ax, 0xD000\nmov es, ax\nmov al, [es:0]\nmov al, 0\n{LOOP}"),
    "memory write": ("mmio", 0xD0000, "write", f"mov ax, 0xD000\nmov es, ax\nmov [es:0], al\n{LOOP}"),
}


def outcome(vm: Machine) -> tuple[Any, ...]:
    return vm.memory[0x600], vm.ticks, vm.cpu.as_dict(), vm.ended, vm.memory[0x700:0x704]


@pytest.mark.parametrize("gear", ["run", "step"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_devices_exception_comes_out_as_it_is_and_the_machine_can_go_on(fault: str, gear: str) -> None:
    bus, base, at, source = FAULTS[fault]
    outcomes, caught = [], []
    for trips in ("", at):
        with minivm.boot(sector(source), devices=[(bus, base, Faulty, {"at": trips})]) as vm:
            while vm.ended is None:
                try:
                    vm.step(700) if gear == "step" and vm.now < 10_000 else vm.run(ms=5)
                except KeyError as error:
                    caught.append(error)
            outcomes.append(outcome(vm))
    assert outcomes[0][0] == b"\1"
    if (fault, gear) == ("port string", "step"):  # it is cut in two there, which takes the clock two ticks
        outcomes = [(one[0], *one[2:]) for one in outcomes]
    assert outcomes[1] == outcomes[0]
    (error,) = caught
    assert error.args == ("a bug of the user's",)
    (note,) = error.__notes__
    assert f"raised by the device Faulty at {bus} {base:X}h, in trip (test_own_devices.py:" in note


def test_of_two_devices_of_a_class_the_one_that_raised_is_named() -> None:
    devices = [("port", base, Faulty, {"at": "read" if base == 0x510 else ""}) for base in (0x500, 0x510, 0x520)]
    with minivm.boot(sector("mov dx, 0x510\nin al, dx"), devices=devices) as vm, pytest.raises(KeyError) as caught:
        vm.run(ms=1)
    assert "Faulty at port 510h" in caught.value.__notes__[0]


def test_an_alarm_that_is_no_method_is_known_by_its_file() -> None:
    class Careless(Lamp):
        def write(self, offset: int, size: int, value: int) -> None:
            self.slot.clock.after(10, lambda: 1 // 0)

    with minivm.boot(HELLO, devices=[("port", 0x500, Careless)]) as vm, pytest.raises(ZeroDivisionError) as caught:
        vm.run(ms=1)
    assert "Careless at port 500h, in <lambda> (test_own_devices.py:" in caught.value.__notes__[0]


def test_an_exception_that_no_device_has_raised_gets_no_note() -> None:
    with minivm.boot(HELLO, devices=[("port", 0x500, Notes)]) as vm:
        vm.clock.after(10, lambda: int("x"))
        vm.user_devices = {"port 500h": Wire()}  # of another file
        with pytest.raises(ValueError, match="invalid literal") as caught:
            vm.run(ms=1)
    assert not hasattr(caught.value, "__notes__")


def test_an_exception_of_the_constructor_or_of_a_state_is_the_devices() -> None:
    with pytest.raises(KeyError) as caught:
        minivm.boot(HELLO, devices=[("port", 0x500, Faulty, {"at": "constructor"})])
    assert "raised by the device Faulty at port 500h, in trip" in caught.value.__notes__[0]
    with minivm.boot(HELLO, devices=[("port", 0x500, Faulty, {"at": "state"})]) as vm:
        with pytest.raises(KeyError):
            vm.clone()
        with vm.clone() as clone:
            assert clone.state_hash() == vm.state_hash()
    with minivm.boot(HELLO, devices=[("port", 0x500, Faulty, {"at": "reset"})]) as vm:
        vm.reset()
        with pytest.raises(KeyError) as caught:
            vm.run(ms=1)
        assert "Faulty at port 500h" in caught.value.__notes__[0]


def test_an_exception_of_the_modules_import_is_the_devices(package: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        minivm.boot(HELLO, devices=[("port", 0x500, "broken")])
    assert caught.value.__notes__ == ["raised by the device broken, in <module> (own_broken.py:1)"]


def test_the_command_line_prints_one_line_for_a_devices_exception(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "class Bad:\n    def __init__(self, slot, *, irq: int = 5): ...\n"
        "    def read(self, offset, size):\n        return {}[offset]\n    def write(self, offset, size, value): ...\n"
    )
    (tmp_path / "guest.img").write_bytes(HELLO)
    words = ["run", "guest.img", "--device", "bad.py:Bad,port=0x500,irq=7", "--quiet"]
    result = run_minivm(words, tmp_path)
    assert result.returncode == 2
    assert result.stderr == (
        "minivm: KeyError: 0, raised by the device Bad at port 500h, in read (bad.py:4); --debug shows the traceback\n"
    )
    result = run_minivm([*words, "--debug"], tmp_path)
    assert 'bad.py", line 4, in read' in result.stderr


def run_minivm(words: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "minivm", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_the_commands_take_a_device_and_a_replay_of_it(tmp_path: Path) -> None:
    (tmp_path / "lamp.py").write_text(
        "class Lamp:\n    def __init__(self, slot, *, word: str):\n        self.slot, self.word = slot, word\n"
        "    def read(self, offset, size):\n        return 0\n"
        "    def write(self, offset, size, value):\n        self.slot.output(self.word.encode())\n"
    )
    (tmp_path / "guest.img").write_bytes(HELLO)
    device = ["--device", "lamp.py:Lamp,port=0x500,word=on,, and off"]
    result = run_minivm(["run", "guest.img", *device, "--quiet", "--record", "run.mvr"], tmp_path)
    assert (result.returncode, result.stdout) == (0, "on, and off")
    result = run_minivm(["replay", "run.mvr"], tmp_path)
    assert (result.returncode, "is not installed" in result.stderr) == (2, True)
    result = run_minivm(["replay", "run.mvr", *device], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "identical" in result.stdout


# -- in its own words -----------------------------------------------------------------------------------------------
def test_the_debugger_speaks_of_a_device_in_its_own_words() -> None:
    with minivm.boot(HELLO, devices=[("port", 0x500, Lamp), ("port", 0x510, Notes)]) as vm:
        recorder = Recorder(Debugger(vm))
        recorder.start()
        vm.run(ms=1)
        words = [event_words(recorder._debugger, event) for event in recorder.events if event.number == 0x500]
        assert words == ["OUT 500h, 01h: the lamp, lamp: lit", "IN 500h gave 01h: the lamp, lamp: lit"]
        assert explain_port(vm, 0x500, 1, 1, True) == "OUT 500h, 01h: the lamp's lamp; lit"
        assert explain_port(vm, 0x503, 1, None, False) == "IN 503h: the lamp has no register there"
        assert explain_port(vm, 0x510, 1, None, False) == "IN 510h: Notes, offset 0h"
        assert "port 500h" in chip_names(vm)
        report = inspect_chip(vm, "port 500h")
        assert report is not None
        assert (report.title, report.registers[0].words) == ("the lamp", "lit")


@pytest.mark.parametrize(("kind", "past"), [(Notes, False), (Lamp, True)])
def test_the_full_screen_debugger_keeps_a_past_only_of_a_device_with_a_state(kind: type, past: bool) -> None:
    with minivm.boot(HELLO, devices=[("port", 0x500, kind)]) as vm:
        session = Session(vm)
        try:
            view = session.view()
            assert (view.history is not None) is past
        finally:
            session.close()


def test_the_full_screen_debugger_says_which_device_has_raised() -> None:
    with minivm.boot(HELLO, devices=[("port", 0x500, Faulty, {"at": "write"})]) as vm:
        session = Session(vm, history=0)
        session.start()
        try:
            session.resume().result(5)
            assert session.wait(5)
            stop = session.call(lambda debugger: session.view()).result(5).stop
            assert stop is not None
            assert (stop.reason, "raised by the device Faulty at port 500h, in trip" in stop.text) == ("error", True)
        finally:
            session.close()
