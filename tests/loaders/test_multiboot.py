"""Multiboot 1 kernels: what they are told, and where everything lies."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.config import MachineConfig
from minivm.core.memory import Memory
from minivm.errors import ImageError, MiniVMError
from minivm.loaders import prepare
from minivm.loaders.multiboot import find_header

ADDRESSES = 1 << 16


class Kernel:
    """A plan put into RAM, read as the kernel would read it."""

    def __init__(self, config: MachineConfig, data: bytes, memory_map=None) -> None:
        self.plan = prepare(config, data=data, memory_map=memory_map)
        self.memory = Memory(config.memory)
        self.plan.load(self.memory)
        self.registers = dict(self.plan.entry.registers)
        self.info = self.registers["ebx"]

    def word(self, address: int) -> int:
        return int.from_bytes(self.memory.read(address, 4), "little")

    def field(self, offset: int) -> int:
        return self.word(self.info + offset)

    def text(self, address: int) -> str:
        return self.memory.read(address, 200).split(b"\0")[0].decode()


@pytest.fixture
def boot(elf, header):
    """Boot an ELF kernel at 1 MiB with a Multiboot header and the configuration given."""
    kernels = []

    def build(data=None, memory_map=None, **config):
        config = MachineConfig(**{"guest": "/somewhere/kernel.elf", "memory": 16 << 20, **config})
        data = data or elf(((0x100000, 0x100000, header(3) + b"\xf4", 0x1800),), entry=0x10000C)
        kernels.append(Kernel(config, data, memory_map))
        return kernels[-1]

    yield build
    for kernel in kernels:
        kernel.memory.close()


def test_the_kernel_starts_flat_with_the_magic_and_the_information(boot):
    kernel = boot()
    entry = kernel.plan.entry
    assert (kernel.plan.kind, entry.mode, entry.ip, entry.interrupts) == ("multiboot", "protected", 0x10000C, False)
    assert kernel.registers["eax"] == 0x2BADB002
    assert kernel.info % 4 == 0
    assert (kernel.info, entry.gdt_base) == (0x9E000, 0x9D000)
    assert kernel.registers["rsp"] == 0x9D000


def test_memory_is_told_in_kib_and_as_a_map(boot):
    kernel = boot()
    assert (kernel.field(4), kernel.field(8)) == (639, 15 * 1024)
    length, address = kernel.field(44), kernel.field(48)
    entries, place = [], address
    while place < address + length:
        entries.append(struct.unpack("<QQI", kernel.memory.read(place + 4, 20)))
        place += kernel.word(place) + 4
    assert entries == [(0, 0x9FC00, 1), (0x9FC00, 0x400, 2), (0xF0000, 0x10000, 2), (0x100000, 15 << 20, 1)]


def test_the_bioss_own_map_is_passed_on(boot):
    kernel = boot(memory_map=((0, 0x9FC00, 1), (0x9FC00, 0x400, 2), (0x100000, 0x700000, 1), (0x900000, 0x700000, 1)))
    assert (kernel.field(4), kernel.field(8), kernel.field(44)) == (639, 7 * 1024, 4 * 24)


def test_the_command_line_begins_with_the_kernels_name_but_not_with_the_hosts_folders(boot):
    kernel = boot(append="quiet debug")
    assert kernel.text(kernel.field(16)) == "kernel.elf quiet debug"
    kernel = boot()
    assert kernel.text(kernel.field(16)) == "kernel.elf"


def test_the_loader_says_its_name_and_offers_a_text_screen(boot):
    kernel = boot()
    assert kernel.text(kernel.field(64)) == "MiniVM"
    screen = struct.unpack("<QIIIBB", kernel.memory.read(kernel.info + 88, 22))
    assert screen == (0xB8000, 160, 80, 25, 16, 2)


def test_flags_say_which_fields_are_valid(boot):
    assert boot().field(0) == 0x1 | 0x4 | 0x8 | 0x40 | 0x200 | 0x1000
    with_disk = boot(disks="d.img")
    assert with_disk.field(0) & 2
    assert with_disk.field(12) == 0x80FFFFFF
    assert boot(floppies="a.img").field(12) == 0x00FFFFFF


def test_modules_lie_on_pages_behind_the_kernel_with_their_words(boot, tmp_path):
    (tmp_path / "one.bin").write_bytes(b"1" * 5000)
    (tmp_path / "two words.bin").write_bytes(b"2")
    kernel = boot(initrd=[f"{tmp_path}/one.bin a=1 b", f"{tmp_path}/two words.bin"])
    count, address = kernel.field(20), kernel.field(24)
    modules = [struct.unpack("<IIII", kernel.memory.read(address + 16 * index, 16)) for index in range(count)]
    assert [(start, end) for start, end, _, _ in modules] == [(0x102000, 0x103388), (0x104000, 0x104001)]
    assert [kernel.text(words) for _, _, words, _ in modules] == ["one.bin a=1 b", "two words.bin"]
    assert kernel.memory.read(0x102000, 5000) == b"1" * 5000
    assert kernel.memory.read(0x104000, 1) == b"2"


def test_modules_that_do_not_fit_or_do_not_exist_get_one_line(boot, tmp_path, one_line):
    (tmp_path / "big").write_bytes(bytes(15 << 20))
    with pytest.raises(ImageError) as caught:
        boot(initrd=f"{tmp_path}/big")
    assert "give more --memory" in one_line(caught, "/somewhere/kernel.elf")
    with pytest.raises(ImageError) as caught:
        boot(initrd=f"{tmp_path}/none words")
    assert "no such file" in one_line(caught, f"{tmp_path}/none")


@pytest.mark.parametrize("bits", [32, 64])
def test_symbols_are_loaded_and_their_headers_point_to_them(boot, elf, header, bits):
    wide = bits == 64
    bare = elf(((0x100000, 0x100000, header(0), 12),), bits=bits)
    place = len(bare) - 12  # the segment's content doubles as the tables' content

    def section(kind, address, offset, size):
        form = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
        return struct.pack(form, 1, kind, 0, address, offset, size, 0, 0, 4, 0)

    table = section(0, 0, 0, 0) + section(1, 0x100000, place, 12) + section(2, 0, place, 12) + section(3, 0, place, 4)
    data = elf(((0x100000, 0x100000, header(0), 12),), bits=bits, sections=table, count=4, names_index=3)
    kernel = boot(data)
    assert kernel.field(0) & 0x20
    count, size, address, names = (kernel.field(28 + 4 * index) for index in range(4))
    assert (count, size, names) == (4, 64 if wide else 40, 3)
    addresses = [kernel.word(address + size * index + (16 if wide else 12)) for index in range(4)]
    assert addresses[:2] == [0, 0x100000]
    assert kernel.memory.read(addresses[2], 12) == header(0)
    assert kernel.memory.read(addresses[3], 4) == header(0)[:4]


def test_damaged_section_headers_cost_only_the_symbols(boot, elf, header):
    data = elf(((0x100000, 0x100000, header(0), 12),), sections=b"\2" * 40, count=50)
    assert not boot(data).field(0) & 0x20
    data = elf(
        ((0x100000, 0x100000, header(0), 12),), sections=struct.pack("<IIIIII16x", 1, 2, 0, 0, 9, 1 << 30), count=1
    )
    assert boot(data).field(0) & 0x20


def test_a_kernel_without_elf_is_loaded_by_its_own_addresses(boot, header):
    code = bytes(64) + header(ADDRESSES, 0x200000, 0x1FFFC0, 0x200100, 0x200300, 0x200020) + b"\xf4" * 1000
    kernel = boot(code)
    assert kernel.plan.entry.ip == 0x200020
    assert kernel.plan.segments[0] == (0x1FFFC0, code[:0x140])
    assert kernel.plan.zeroed == ((0x200100, 0x200),)


def test_load_addresses_may_skip_the_files_beginning_and_take_all_the_rest(boot, header):
    code = b"JUNK" * 16 + header(ADDRESSES, 0x200000, 0x200000, 0, 0, 0x200020) + b"\xf4" * 99
    assert boot(code).plan.segments[0] == (0x200000, code[64:])
    assert boot(code).plan.zeroed == ()


@pytest.mark.parametrize(
    ("addresses", "words"),
    [((0x200000, 0x200001, 0, 0, 0x200000), "does not fit its header's place"),
     ((0x200000, 0x100000, 0, 0, 0x200000), "does not fit its header's place"),
     ((0x200000, 0x200000, 0x300000, 0, 0x200000), "is truncated"),
     ((0x200000, 0x200000, 0x100000, 0, 0x200000), "is truncated"),
     ((0x200000, 0x200000, 0, 0xFFFFFFFF, 0x200000), "is not in RAM"),
     ((0xB8000, 0xB8000, 0, 0, 0xB8000), "is not in RAM"),
     ((0x200000, 0x200000, 0, 0, 0x300000), "the entry 300000h lies outside")],
)  # fmt: skip
def test_load_addresses_that_cannot_be_get_one_line(boot, header, addresses, words, one_line):
    with pytest.raises(ImageError) as caught:
        boot(bytes(64) + header(ADDRESSES, *addresses) + bytes(100))
    assert words in one_line(caught, "/somewhere/kernel.elf")


@pytest.mark.parametrize("flags", [8, 0x8000])
def test_an_unknown_demand_is_refused_and_an_unknown_wish_is_not(boot, elf, header, flags):
    with pytest.raises(ImageError, match=f"flags {flags:X}h"):
        boot(elf(((0x100000, 0x100000, header(flags), 12),)))
    boot(elf(((0x100000, 0x100000, header(7 | 1 << 20), 12),)))


def test_a_forced_multiboot_says_what_is_wrong_with_the_header(boot, elf, header):
    with pytest.raises(ImageError, match="but there is none"):
        boot(elf(), boot="multiboot")
    with pytest.raises(ImageError, match="the checksum of the one at byte 54h is wrong"):
        boot(elf(((0x100000, 0x100000, header(0, checksum=5), 12),)), boot="multiboot")


def test_the_first_header_with_a_right_checksum_counts(header):
    data = header(1, checksum=0) + header(2) + header(3)
    assert find_header(data).offset == 12
    assert find_header(data).flags == 2


def test_the_information_makes_way_for_a_kernel_in_low_memory(boot, elf, header):
    kernel = boot(elf(((0x10000, 0x10000, header(0), 0x90000),)))
    taken = [
        (0x10000, 0xA0000),
        (kernel.info, kernel.info + 400),
        (kernel.plan.entry.gdt_base, kernel.plan.entry.gdt_base + 24),
    ]
    taken.sort()
    assert all(first[1] <= second[0] for first, second in pairwise(taken))
    assert kernel.text(kernel.field(64)) == "MiniVM"


def test_damaged_kernels_make_a_plan_or_one_clear_line(elf, header):
    table = struct.pack("<IIIIIIIIII", 1, 2, 0, 0, 84, 12, 0, 0, 4, 0)
    good = elf(((0x100000, 0x100000, header(3), 12),), sections=table, count=1)
    kludge = header(ADDRESSES, 0x200000, 0x200000, 0, 0, 0x200000) + bytes(60)

    @settings(max_examples=100, deadline=None)
    @given(
        base=st.sampled_from([good, kludge]),
        changes=st.lists(st.tuples(st.integers(0, 135), st.integers(0, 255)), max_size=6),
        length=st.integers(0, 136),
    )
    def damage(base, changes, length):
        data = bytearray(base)
        for place, value in changes:
            data[place % len(data)] = value
        config = MachineConfig(guest="k", memory=4 << 20, boot="multiboot")
        try:
            plan = prepare(config, data=bytes(data[: max(length, 40)]))
        except MiniVMError as error:
            assert "\n" not in str(error)
        else:
            assert all(address + len(content) <= config.memory for address, content in plan.segments)

    damage()
