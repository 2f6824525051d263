"""Back over what changes the machine's map and its disks: video modes, base addresses, RAM under ROM, DMA."""

from pathlib import Path
from typing import Any

import pytest
from hostile_guests import images, numbered, started
from hostile_streams import BUS_MASTER, PRD, Action, guest_of, streams
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minivm.core.vga_modes import MODE_REGISTERS
from minivm.debug.debugger import Debugger
from minivm.debug.reverse import Reverse

LFB, OTHER = 0xE000_0000, 0xD000_0000
SOURCE, TARGET_LBA = 0x7_0000, 20


def configure(function: int, register: int, value: int) -> list[Action]:
    return [("out", 0xCF8, 4, function | register), ("out", 0xCFC, 4, value)]


def mode(number: int) -> list[Action]:
    """Set a mode by its registers, without the CRTC, which changes no window."""
    registers = MODE_REGISTERS[number]
    found: list[Action] = [("out", 0x3C2, 1, registers.miscellaneous)]
    for port, values in ((0x3C4, registers.sequencer), (0x3CE, registers.graphics)):
        found += [("out", port, 2, value << 8 | index) for index, value in enumerate(values)]
    return found


def touched(*addresses: int) -> list[Action]:
    return [action for address in addresses for action in (("store", address, 4, 0x0403_0201), ("load", address, 4))]


def dma(command: int) -> list[Action]:
    """Let the bus master move two sectors between memory and disk, and sleep until the drive says so."""
    into_memory = 8 if command == 0xC8 else 0
    found: list[Action] = [
        ("store", SOURCE, 4, 0xCAFE_F00D), ("store", SOURCE + 1020, 4, 0x600D_F00D),
        ("store", PRD, 4, SOURCE), ("store", PRD + 4, 4, 0x8000_0400),
        ("out", BUS_MASTER + 4, 4, PRD), ("out", BUS_MASTER + 2, 1, 0x66), ("out", 0x3F6, 1, 0),
        ("out", 0x1F6, 1, 0xE0), ("out", 0x1F2, 1, 2), ("out", 0x1F3, 1, TARGET_LBA), ("out", 0x1F4, 1, 0),
        ("out", 0x1F5, 1, 0), ("out", 0x1F7, 1, command), ("out", BUS_MASTER, 1, into_memory | 1), ("sleep",),
    ]  # fmt: skip
    return [*found, ("in", 0x1F7, 1), ("in", BUS_MASTER + 2, 1), ("out", BUS_MASTER, 1, 0)]


WAYS: dict[str, list[Action]] = {
    "video modes": [
        *mode(0x13), *touched(0xA_0010), *mode(0x12), *touched(0xA_0020), *mode(0x06), *touched(0xB_8010),
        *mode(0x03), *touched(0xB_8010),
    ],
    "a linear mode": [
        action for index, value in ((4, 0), (1, 640), (2, 480), (3, 32), (4, 0x41), (5, 3), (4, 0))
        for action in (("out", 0x1CE, 2, index), ("out", 0x1D0, 2, value), *touched(0xA_0000, LFB + 0x3_0000))
    ],
    "the framebuffer's base": [
        *touched(LFB), *configure(0x8000_1000, 0x10, OTHER), *touched(OTHER, LFB),
        *configure(0x8000_1000, 0x10, 0x10_0000), *touched(0x10_0000, 0x20_0000), *configure(0x8000_1000, 0x10, LFB),
    ],
    "the bus master's base": [
        *configure(0x8000_0900, 0x20, 0xD001), ("out", 0xD004, 4, 0x1234_5678), ("in", 0xC004, 4),
        *configure(0x8000_0900, 0x20, 0xC001), ("in", 0xC004, 4),
    ],
    "RAM under the ROMs": [
        *configure(0x8000_0000, 0x58, 0x3300), *touched(0xF_0000, 0xE_0000), *configure(0x8000_0000, 0x58, 0x0000),
        *configure(0x8000_0000, 0x5C, 0x3333_3333), *touched(0xE_0000, 0xD_0000), *configure(0x8000_0000, 0x5C, 0),
        *configure(0x8000_0000, 0x58, 0x2000), *touched(0xF_0000), *configure(0x8000_0000, 0x58, 0x1000),
    ],
    "reading by DMA": dma(0xC8),
    "writing by DMA": dma(0xCA),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the images lie."""
    place = tmp_path_factory.mktemp("backwards")
    images(place)
    return place


def there_and_back(
    stream: list[Action], folder: Path, *, first: int, steps: int, every: int = 1, **options: Any
) -> None:
    """Go to tick `first` and step on, then go back to every `every`th moment: each must be what it was."""
    code = guest_of(stream).removesuffix(b"\xfa\xf4") + b"\xeb\xfe"  # it ends in a loop, not for good
    with started(code, folder, **options) as vm:
        debugger = Debugger(vm)
        debugger.travel(every=20_000)
        reverse = Reverse(debugger)
        if first:
            reverse.timeline.run_to(vm.now + first)
        seen = []
        for number in range(steps):
            if number % every == 0 or number + 1 == steps:
                seen.append((reverse.timeline.moment(), vm.state_hash(), vm.space.regions))
            debugger.step()
        last = reverse.timeline.moment(), vm.state_hash()
        reverse.step()
        assert (reverse.timeline.moment(), vm.state_hash(), vm.space.regions) == seen[-1]
        for moment, state, regions in reversed(seen):
            reverse.timeline.return_to(moment)
            assert reverse.timeline.moment() == moment
            assert vm.space.regions == regions, moment
            assert vm.state_hash() == state, moment
        debugger.step()
        reverse.step()
        assert (reverse.timeline.moment(), vm.state_hash()) == seen[0][:2]
        reverse.timeline.return_to(last[0])
        assert vm.state_hash() == last[1]


@pytest.mark.parametrize("name", WAYS)
def test_steps_back_undo_what_changes_the_map_and_the_disks(name: str, folder: Path) -> None:
    there_and_back(WAYS[name], folder, first=0, steps=250, every=16)


def test_a_write_by_dma_to_a_file_is_taken_back_and_done_again(tmp_path: Path) -> None:
    images(tmp_path)
    there_and_back(dma(0xCA), tmp_path, first=0, steps=150, every=16, disks=str(tmp_path / "disks"))
    data, was = (tmp_path / "disks").read_bytes(), numbered(400)
    first = TARGET_LBA * 512
    assert data[first : first + 4] + data[first + 1020 : first + 1024] == b"\x0d\xf0\xfe\xca\x0d\xf0\x0d\x60"
    assert data[:first] + data[first + 1024 :] == was[:first] + was[first + 1024 :]


def test_a_moment_deep_in_a_block_of_port_accesses_is_found_again(folder: Path) -> None:
    """Each access takes 1,000 ticks, so that few instructions without a jump are a block of very many ticks."""
    accesses: list[Action] = [("store", SOURCE, 4, 7), *[("in", 0x80, 1)] * 150, ("store", SOURCE, 4, 8)]
    there_and_back(accesses, folder, first=0, steps=305, every=60)
    with started(guest_of(accesses), folder) as vm:
        debugger = Debugger(vm)
        debugger.travel()
        reverse = Reverse(debugger)
        for _ in range(290):
            debugger.step()
        here = reverse.timeline.moment()
        writer = reverse.who_wrote(f"dword [{SOURCE:#x}]")
        assert writer is not None
        assert here.position - writer.moment.position > 1 << 17
        assert reverse.timeline.moment() == writer.moment


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(streams(most=12), st.integers(0, 100_000))
def test_steps_back_through_random_accesses(folder: Path, stream: list[Action], first: int) -> None:
    there_and_back(stream, folder, first=first, steps=12)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(streams(most=30), st.integers(0, 300_000))
def test_many_steps_back_through_random_accesses(folder: Path, stream: list[Action], first: int) -> None:
    there_and_back(stream, folder, first=first, steps=40)
