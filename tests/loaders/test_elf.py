"""Plain ELF executables."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivm.config import MachineConfig
from minivm.errors import ImageError, MiniVMError
from minivm.loaders import prepare

CONFIG = MachineConfig(guest="kernel.elf", memory=16 << 20)


def test_segments_go_to_their_physical_addresses_and_bss_is_zeroed(elf):
    data = elf(((0x100000, 0x200000, b"text", 4), (0xC0400000, 0x400000, b"data", 0x1000), (0, 0, b"", 0)))
    plan = prepare(CONFIG, data=data)
    assert plan.segments[:2] == ((0x200000, b"text"), (0x400000, b"data"))
    assert plan.zeroed == ((0x400004, 0xFFC),)
    assert plan.entry.ip == 0x200000


def test_a_32_bit_file_starts_flat_with_a_gdt_and_a_stack_below_640_kib(elf):
    plan = prepare(CONFIG, data=elf())
    entry = plan.entry
    assert (entry.mode, entry.ip, entry.gdt_base, entry.gdt_limit, entry.cr3) == ("protected", 0x100000, 0x9E000, 23, 0)
    assert dict(entry.registers) == {"rsp": 0x9E000}
    gdt = dict(plan.segments)[0x9E000]
    assert gdt.hex() == "0000000000000000ffff0000009bcf00ffff00000093cf00"


def test_a_64_bit_file_starts_in_long_mode_with_4_gib_mapped_to_themselves(elf):
    plan = prepare(CONFIG, data=elf(bits=64))
    assert (plan.entry.mode, plan.entry.cr3) == ("long", 0x98000)
    assert dict(plan.entry.registers) == {"rsp": 0x98000}
    memory = bytearray(1 << 20)
    for address, content in plan.segments:
        if address < 1 << 20:
            memory[address : address + len(content)] = content

    def physical(address):
        table = plan.entry.cr3
        for shift in (39, 30, 21):
            index = address >> shift & 511
            entry = int.from_bytes(memory[table + index * 8 : table + index * 8 + 8], "little")
            assert entry & 3 == 3
            table = entry & ~0xFFF
        assert entry & 0x80
        return (entry & ~0x1FFFFF) + (address & 0x1FFFFF)

    for address in (0, 0x1FFFFF, 0x200000, 0x40000000, 0xB8000, 0xC0001234, 0xFFFFFFFF):
        assert physical(address) == address


def test_the_tables_make_way_for_a_kernel_in_low_memory(elf):
    plan = prepare(CONFIG, data=elf(((0x90000, 0x90000, b"\xf4", 0xF000),)))
    assert plan.entry.gdt_base == 0x8F000
    plan = prepare(CONFIG, data=elf(((0, 0, b"\xf4", 0xA0000),)))
    assert plan.entry.gdt_base == 0x100000


@pytest.mark.parametrize("entry", [0xC0100010, 0x100010])
def test_an_entry_in_the_higher_half_moves_with_its_segment(elf, entry):
    data = elf(((0xC0100000, 0x100000, b"\xf4" * 32, 32),), entry=entry)
    assert prepare(CONFIG, data=data).entry.ip == 0x100010


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"entry": 0x300000}, "the entry 300000h lies in no segment"),
     ({"segments": ((0xA0000, 0xA0000, b"x", 1),)}, "is not in RAM"),
     ({"segments": ((0x9F000, 0x9F000, b"x", 0x2000),)}, "is not in RAM"),
     ({"segments": ((0xFFFFFF, 0xFFFFFF, b"xx", 2),)}, "more --memory"),
     ({"segments": ((0x100000, 0x100000, b"x", 0xFFFFFFFF),)}, "is not in RAM"),
     ({"segments": ((0x100000, 0x100000, b"ab", 2), (0x100001, 0x100001, b"c", 1))}, "overlaps segment 0"),
     ({"segments": ((0x100000, 0x100000, b"ab", 1),)}, "more bytes in the file than in memory"),
     ({"segments": ((0x100000, 0x100000, b"", 0),)}, "no segment to load"),
     ({"segments": ()}, "no program headers"),
     ({"kind": 1}, "an object file"), ({"kind": 3}, "-no-pie"), ({"kind": 9}, "ELF file of type 9"),
     ({"machine": 183}, "is for AArch64"), ({"machine": 999}, "ELF machine 999"), ({"machine": 62}, "32 bits for a")],
)  # fmt: skip
def test_a_kernel_that_cannot_run_gets_one_line(elf, changes, words, one_line):
    with pytest.raises(ImageError) as caught:
        prepare(CONFIG, data=elf(**changes))
    assert words in one_line(caught, "kernel.elf")


def test_a_header_that_the_linker_loads_below_1_mib_is_explained(elf):
    data = bytearray(elf(((0xFF000, 0xFF000, b"", 0xB3), (0x100000, 0x100000, b"\xf4", 1))))
    data[52 + 4 : 52 + 8] = bytes(4)  # its offset: the file's beginning
    with pytest.raises(ImageError, match="which ld -n leaves out"):
        prepare(CONFIG, data=bytes(data))


def test_a_big_endian_file_is_refused(elf):
    data = bytearray(elf())
    data[5] = 2
    with pytest.raises(ImageError, match="little-endian"):
        prepare(CONFIG, data=bytes(data))


@pytest.mark.parametrize("bits", [32, 64])
def test_a_file_cut_anywhere_is_truncated(elf, bits):
    data = elf(((0x100000, 0x100000, b"\xf4" * 40, 40),), bits=bits)
    for length in range(4, len(data)):
        with pytest.raises(ImageError, match=r"cut off|truncated"):
            prepare(CONFIG, data=data[:length])
    prepare(CONFIG, data=data)


def test_a_damaged_header_makes_a_plan_or_one_clear_line(elf):
    @settings(max_examples=100, deadline=None)
    @given(
        bits=st.sampled_from([32, 64]),
        changes=st.lists(st.tuples(st.integers(4, 219), st.integers(0, 255)), max_size=6),
    )
    def damage(bits, changes):
        data = bytearray(elf(((0x100000, 0x100000, b"\xf4" * 100, 200),), bits=bits))
        for place, value in changes:
            data[place % len(data)] = value
        try:
            plan = prepare(CONFIG, data=bytes(data))
        except MiniVMError as error:
            assert "\n" not in str(error)
        else:
            assert all(address + len(content) <= CONFIG.memory for address, content in plan.segments)

    damage()
