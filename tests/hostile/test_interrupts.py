"""The BIOS's services, called with anything in the registers and pointers to anywhere."""

from pathlib import Path
from struct import pack
from typing import Any

import pytest
from hostile_guests import images, numbered, started
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from minivm.testing.strategies import register_values

LONGEST_MS = 400
SERVICES = {
    0x10: (*range(0x20), 0x4F), 0x13: (*range(0x1B), *range(0x41, 0x4F)), 0x14: range(6), 0x15: (
        0x24, 0x41, 0x4F, 0x53, 0x83, 0x86, 0x87, 0x88, 0x89, 0x90, 0x91, 0xC0, 0xC1, 0xC2, 0xE8,
    ), 0x16: (*range(6), 0x10, 0x11, 0x12), 0x1A: (*range(8), 0xB1), 0x11: (0,), 0x12: (0,), 0x17: range(3),
}  # fmt: skip
SEGMENTS = st.one_of(
    st.sampled_from((0, 0x40, 0x2000, 0x7000, 0x9FFF, 0xA000, 0xB800, 0xBFFF, 0xC000, 0xE000, 0xF000, 0xFFFF)),
    st.integers(0, 0xFFFF),
)
WORDS = st.one_of(st.sampled_from((0, 1, 0x10, 0x80, 0xE0, 0x55AA, 0x4341, 0x7FFF, 0x8000, 0xFFF0, 0xFFFF)),
                  register_values(2))  # fmt: skip
relaxed = {"deadline": None, "suppress_health_check": list(HealthCheck)}

Call = tuple[int, dict[str, int]]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """One service with its registers; pointers are anything, and a packet at DS:SI is whatever lies there."""
    number = draw(st.sampled_from(sorted(SERVICES)))
    function = draw(st.one_of(st.sampled_from(tuple(SERVICES[number])), st.integers(0, 255)))
    low = draw(st.one_of(st.integers(0, 0x20), register_values()))
    registers = {name: draw(WORDS) | draw(st.sampled_from((0, 0, 0x0001_0000, 0xFFFF_0000)))
                 for name in ("bx", "cx", "dx", "si", "di", "bp")}  # fmt: skip
    if number == 0x13:
        registers["dx"] = registers["dx"] & 0xFF00 | draw(st.sampled_from((0, 0x80, 0xE0, 1, 0x81, 0xFF)))
    if draw(st.booleans()):
        registers["si"] = draw(st.sampled_from((0x600, 0x620, 0x640, 0xFFFF)))
    registers["ax"] = function << 8 | low
    registers["es"], registers["ds"] = draw(SEGMENTS), draw(st.one_of(st.just(0), SEGMENTS))
    return number, registers


PACKETS = b"".join(
    bytes([size, 0]) + pack("<HIQ", count, pointer, lba)
    for size, count, pointer, lba in (
        (0x10, 3, 0x2000_0000, 5), (0x18, 0xFFFF, 0xFFFF_FFFF, 0), (0xFF, 0x7F, 0xFFFF_FFF0, 0),
        (0x10, 60, 0xA000_0000, 0), (0x10, 200, 0xF000_0000, 0), (0x0F, 1, 0, 0), (0x10, 1, 0x2000_0000, 1 << 63),
    )
)  # fmt: skip
_LOADS = {"cx": 0xB9, "dx": 0xBA, "bx": 0xBB, "bp": 0xBD, "si": 0xBE, "di": 0xBF, "ax": 0xB8}


def program_of(chosen: list[Call]) -> bytes:
    """Return code that makes the calls, restoring its stack and segments, and then says "K" and halts."""
    code = bytearray()
    for number, registers in chosen:
        code += b"\xfc\xfb\x31\xc0\x8e\xd0\x66\xbc" + pack("<I", 0x7C00)  # CLD, STI, SS:ESP = 0:7C00h
        for name, opcode in ((name, 0xC0 if name == "es" else 0xD8) for name in ("es", "ds")):
            code += b"\xb8" + pack("<H", registers[name]) + bytes([0x8E, opcode])
        for name, opcode in _LOADS.items():
            code += b"\x66" + bytes([opcode]) + pack("<I", registers[name])
        code += bytes([0xCD, number])
    return bytes(code) + b"\xb0K\xe6\xe9\xfa\xf4"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the images lie."""
    place = tmp_path_factory.mktemp("interrupts")
    images(place)
    return place


def check_calls(folder: Path, chosen: list[Call]) -> None:
    code = program_of(chosen)
    found: list[tuple[Any, ...]] = []
    for cut in (None, 50_000):
        with started(code, folder) as vm:
            vm.memory.write(0x600, PACKETS)
            rom = vm.memory[0xF_0000:0x10_0000]
            end = LONGEST_MS * 1_000_000
            while vm.now < end and vm.ended is None:
                vm.run_to(end if cut is None else min(end, vm.now + cut * (1 + vm.now // 100_000)))
            assert vm.memory[0xF_0000:0x10_0000] == rom
            vm.picture()
            vm.screen.text()
            found.append((vm.ended, vm.now, vm.serial.text(), vm.state_hash()))
    assert found[0] == found[1]
    for name, data in (("disks", 400), ("floppies", 2880), ("cdroms", 240)):
        assert (folder / name).read_bytes() == numbered(data)


@settings(max_examples=40, **relaxed)
@given(st.lists(calls(), min_size=1, max_size=6))
def test_services_with_any_registers_end_in_no_harm(folder: Path, chosen: list[Call]) -> None:
    check_calls(folder, chosen)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=800, **relaxed)
@given(st.lists(calls(), min_size=1, max_size=12))
def test_long_rows_of_services_with_any_registers(folder: Path, chosen: list[Call]) -> None:
    check_calls(folder, chosen)


@settings(max_examples=40, **relaxed)
@given(mode=st.integers(0, 0xFFFF), other=st.one_of(st.integers(0x100, 0x150), st.integers(0x4100, 0x4150)))
@example(mode=0xFFFF, other=0x8100)
def test_any_vbe_mode_is_set_or_refused_and_the_bios_still_prints(folder: Path, mode: int, other: int) -> None:
    code = b""
    for number in (mode, other):
        code += b"\xb8\x02\x4f\xbb" + pack("<H", number) + b"\xcd\x10"
        code += b"\xb8\x01\x4f\xb9" + pack("<H", number) + b"\xbf\x00\x20\xcd\x10"
    code += b"\xb8\x03\x00\xcd\x10\xb8K\x0e\xbb\x07\x00\xcd\x10\xfa\xf4"
    with started(code, folder) as vm:
        assert vm.run(ms=LONGEST_MS).reason == "halted"
        assert "K" in vm.screen.text()
