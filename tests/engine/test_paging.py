"""The page walk, checked against SDM vol. 3, chapter 4; `test_delivery_oracle.py` compares it with the engine's."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minivm.engine.cpustate import AC, CR0_WP, CR4_PSE, CR4_SMAP, CR4_SMEP, EFER_NXE, IF, TF
from minivm.engine.paging import (
    Fault,
    PageFault,
    describe_walk,
    read_bytes,
    read_linear,
    translate,
    walk,
    write_bytes,
    write_linear,
)
from minivm.engine.segments import update_hflags

KINDS = [("32", "32"), ("32", "pae"), ("64", "long")]
PLACE = 0x5_0123
NX = 1 << 63


@pytest.fixture(params=KINDS, ids=[kind for _, kind in KINDS])
def paged(world, request):
    """A world for each kind of paging, everything mapped one to one."""
    return world.enter(request.param[0], 0, paging=request.param[1])


def set_entry(world, rights, linear=PLACE, physical=None):
    size = 4 if world.cpu.head.cr[4] & CR4_PSE else 8
    world.put(world.page_entry(linear), size, (linear if physical is None else physical) & ~0xFFF | rights)


def code_of(world, **access):
    """Return the page fault's error code, or the physical address."""
    try:
        return "page", translate(world, PLACE, **{"write": False, "user": False, **access})
    except PageFault as fault:
        assert fault.linear == PLACE and fault.vector == 14
        return "fault", fault.error_code


def test_without_paging_linear_is_physical(world):
    world.enter("32")
    assert translate(world, 0xFFFF_FFF0, write=True, user=True) == 0xFFFF_FFF0
    assert walk(world, 0x1234).physical == 0x1234


def test_a_page_may_lie_anywhere(paged):
    set_entry(paged, 0x67, physical=0x9_A000)
    assert code_of(paged) == ("page", 0x9_A123)


@pytest.mark.parametrize(("write", "user", "code"), [(0, 0, 0), (1, 0, 2), (0, 1, 4), (1, 1, 6)])
def test_an_absent_page_faults_with_what_was_tried(paged, write, user, code):
    set_entry(paged, 0x66)
    assert code_of(paged, write=bool(write), user=bool(user)) == ("fault", code)


@pytest.mark.parametrize(("rights", "write", "user", "protect", "code"), [
    (0x63, 0, 1, 0, 5), (0x61, 1, 1, 0, 7), (0x65, 1, 1, 0, 7), (0x65, 0, 1, 0, None), (0x67, 1, 1, 0, None),
    (0x61, 1, 0, 0, None), (0x61, 1, 0, CR0_WP, 3), (0x65, 1, 0, CR0_WP, 3), (0x63, 1, 0, CR0_WP, None),
])  # fmt: skip
def test_rights(paged, rights, write, user, protect, code):
    paged.cpu.head.cr[0] |= protect
    set_entry(paged, rights)
    expected = ("page", PLACE) if code is None else ("fault", code)
    assert code_of(paged, write=bool(write), user=bool(user)) == expected


def test_a_right_must_be_granted_at_every_level(paged):
    first = walk(paged, PLACE).levels[-2]
    paged.put(first.address, 4, first.entry & ~0x4)
    assert code_of(paged, user=True) == ("fault", 5)
    paged.put(first.address, 4, first.entry & ~0x2)
    assert code_of(paged, user=True, write=True) == ("fault", 7)


@pytest.mark.parametrize("rights", [0x07, 0x27, 0x47])
def test_accessed_and_dirty_bits(paged, rights):
    set_entry(paged, rights)
    code_of(paged)
    assert paged.get(paged.page_entry(PLACE), 4) & 0x60 == rights & 0x60 | 0x20
    code_of(paged, write=True)
    assert paged.get(paged.page_entry(PLACE), 4) & 0x60 == 0x60


def test_upper_levels_are_accessed_but_never_dirty_and_a_pdpte_of_pae_is_neither(paged):
    levels = walk(paged, PLACE).levels
    for level in levels[:-1]:
        paged.put(level.address, 4, level.entry & ~0x60)
    code_of(paged, write=True)
    marks = [level.entry & 0x60 for level in walk(paged, PLACE).levels]
    assert marks[-1] == 0x60
    assert marks[:-1] == [0 if len(marks) == 3 and depth == 0 else 0x20 for depth in range(len(marks) - 1)]


def test_a_refused_access_marks_nothing(paged):
    set_entry(paged, 0x01)
    before = paged.memory[0 : len(paged.memory)]
    assert code_of(paged, user=True) == ("fault", 5)
    assert paged.memory[0 : len(paged.memory)] == before


def test_walk_changes_nothing_and_shows_each_level(paged):
    set_entry(paged, 0x05)
    before = paged.memory[0 : len(paged.memory)]
    found = walk(paged, PLACE)
    names = {2: ["PDE", "PTE"], 3: ["PDPTE", "PDE", "PTE"], 4: ["PML4E", "PDPTE", "PDE", "PTE"]}
    assert [level.name for level in found.levels] == names[len(found.levels)]
    assert found.levels[-1].address == paged.page_entry(PLACE) and found.levels[-1].entry == PLACE & ~0xFFF | 5
    assert (found.physical, found.writable, found.user, found.page_size) == (PLACE, False, True, 4096)
    assert paged.memory[0 : len(paged.memory)] == before


def test_a_walk_that_ends_early_says_where(paged):
    level = walk(paged, PLACE).levels[0]
    paged.put(level.address, 4, level.entry & ~1)
    found = walk(paged, PLACE)
    assert found.physical is None and len(found.levels) == 1
    assert f"the {level.name}" in found.problem and found.problem.endswith("is not present")
    assert describe_walk(found).endswith(found.problem)


@pytest.mark.parametrize(("kind", "size", "level"), [("32", 1 << 22, 0), ("pae", 1 << 21, 1), ("long", 1 << 21, 2)])
def test_large_pages(world, kind, size, level):
    world.enter("64" if kind == "long" else "32", 0, paging=kind)
    entry = walk(world, PLACE).levels[level]
    world.put(entry.address, 4, 0x83)
    assert translate(world, PLACE, write=True, user=False) == PLACE
    assert world.get(entry.address, 4) == 0xE3
    assert walk(world, PLACE).page_size == size
    world.put(entry.address, 4, 0x83 | 1 << (21 if kind == "32" else 13))
    with pytest.raises(PageFault) as caught:
        translate(world, PLACE, write=False, user=True)
    assert caught.value.error_code == 0xD and "reserved" in caught.value.reason


def test_a_gigabyte_page(world):
    world.enter("64")
    entry = walk(world, PLACE).levels[1]
    world.put(entry.address, 8, 0x4000_0083)
    assert translate(world, PLACE, write=False, user=False) == 0x4000_0000 + PLACE


def test_a_4_mib_page_can_lie_above_4_gib_and_needs_pse(world):
    world.enter("32", 0, paging="32")
    entry = walk(world, PLACE).levels[0]
    world.put(entry.address, 4, 0x0040_0083 | 0x12 << 13)
    assert translate(world, PLACE, write=False, user=False) == 0x12_0040_0000 + PLACE
    world.cpu.head.cr[4] = 0
    assert len(walk(world, PLACE).levels) == 2


@pytest.mark.parametrize(("bit", "nxe", "code"), [(63, False, 9), (63, True, None), (40, True, 9), (51, True, 9)])
@pytest.mark.parametrize("kind", ["pae", "long"])
def test_reserved_bits(world, kind, bit, nxe, code):
    world.enter("64" if kind == "long" else "32", 0, paging=kind)
    world.efer = world.efer | EFER_NXE if nxe else world.efer & ~EFER_NXE
    set_entry(world, 0x67 | 1 << bit)
    assert code_of(world) == (("page", PLACE) if code is None else ("fault", code))


def test_bits_52_to_62_are_reserved_with_pae_and_free_in_long_mode(world):
    for mode, kind, expected in (("32", "pae", ("fault", 9)), ("64", "long", ("page", PLACE))):
        again = type(world)().enter(mode, 0, paging=kind)
        set_entry(again, 0x67 | 1 << 55)
        assert code_of(again) == expected


@pytest.mark.parametrize("depth", range(3))
def test_execution_is_refused_where_one_level_says_no(world, depth):
    world.enter("64")
    level = walk(world, PLACE).levels[depth]
    world.put(level.address, 8, level.entry | NX)
    assert code_of(world, fetch=True) == ("fault", 0x11)
    assert code_of(world) == ("page", PLACE)
    assert not walk(world, PLACE).executable


def test_smep_and_smap_keep_the_supervisor_off_user_pages(paged):
    head = paged.cpu.head
    head.cr[4] |= CR4_SMEP
    assert code_of(paged, fetch=True) == ("fault", 0x11) and code_of(paged)[0] == "page"
    head.cr[4] |= CR4_SMAP
    assert code_of(paged) == ("fault", 1) and code_of(paged, write=True) == ("fault", 3)
    head.eflags |= AC
    assert code_of(paged)[0] == "page" and code_of(paged, user=True)[0] == "page"


@pytest.mark.parametrize(("linear", "fine"), [(0x7FFF_FFFF_FFFF, True), (0x8000_0000_0000, False), (~0 << 47, True)])
def test_addresses_that_are_not_canonical_are_a_general_protection(world, linear, fine):
    world.enter("64")
    linear &= (1 << 64) - 1
    with pytest.raises(Fault) as caught:
        translate(world, linear, write=False, user=False)
    assert caught.value.vector == (14 if fine else 13)
    assert ("not canonical" in walk(world, linear).problem) == (not fine)


# -- linear memory --------------------------------------------------------------------------------------------------


def test_accesses_cross_pages_that_are_not_neighbours(paged):
    set_entry(paged, 0x67, linear=0x5_0000, physical=0x9_0000)
    set_entry(paged, 0x67, linear=0x5_1000, physical=0x7_0000)
    write_linear(paged, 0x5_0FFD, 8, 0x8877_6655_4433_2211)
    assert paged.memory[0x9_0FFD:0x9_1000] == b"\x11\x22\x33"
    assert paged.memory[0x7_0000:0x7_0005] == b"\x44\x55\x66\x77\x88"
    assert read_linear(paged, 0x5_0FFD, 8) == 0x8877_6655_4433_2211


def test_linear_addresses_wrap_at_4_gib_outside_long_mode(world):
    world.enter("32")
    world.memory[0:2] = b"\x34\x12"
    assert read_bytes(world, 0xFFFF_FFFE, 4) == b"\xff\xff\x34\x12"


def test_reading_rom_and_writing_nothing_to_it(world):
    world.enter("32")
    region = world.space.regions[0]
    world.space.regions[0] = type(region)(0, len(world.memory), False)
    before = read_bytes(world, 0x1000, 16)
    write_bytes(world, 0x1000, b"x" * 16)
    assert read_bytes(world, 0x1000, 16) == before


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(linear=st.integers(0, (1 << 32) - 1), entries=st.lists(st.integers(0, (1 << 64) - 1), min_size=3, max_size=3))
def test_walk_and_translate_agree_on_any_tables(paged, linear, entries):
    """Whatever the tables hold: `walk` finds a page exactly where a supervisor read does not fault."""
    before = [(level.address, level.entry) for level in walk(paged, linear).levels]
    for (address, _), entry in zip(before, entries, strict=False):
        paged.put(address, 4, entry & 0xF_FFFF)
    found = walk(paged, linear)
    try:
        physical = translate(paged, linear, write=False, user=False)
    except PageFault:
        physical = None
    assert found.physical == physical
    for address, entry in before:
        paged.put(address, 8 if paged.cpu.head.cr[4] & 0x20 else 4, entry)


def test_update_hflags_takes_no_flags_along(world):
    world.enter("32", 3)
    before = world.cpu.head.hflags
    world.cpu.rflags |= TF | IF
    update_hflags(world.cpu.head)
    assert world.cpu.head.hflags == before
