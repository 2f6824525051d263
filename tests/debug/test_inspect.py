"""The inspectors: tables, paging, chips and the interrupt path, by SDM and datasheets; looking changes nothing."""

import importlib.util
from hashlib import shake_128
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minivm
from minivm.debug import inspect
from minivm.devices.pic import PicPairState, PicState
from minivm.engine.cpustate import CR0_PG, CR0_WP, CR4_PAE, CR4_SMAP, CR4_SMEP, EFER_NXE, HF_LMA, IF
from minivm.engine.paging import PageFault, translate


def _world_module():
    """The processor without an engine that the engine's own tests use."""
    place = Path(__file__).parents[1] / "engine" / "conftest.py"
    spec = importlib.util.spec_from_file_location("engine_world", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


W = _world_module()


@pytest.fixture
def world():
    return W.World()


@pytest.fixture(scope="module")
def timer():
    with minivm.boot("timer") as machine:
        machine.run(ms=30)
        yield machine


# -- descriptors, by SDM vol. 3, figures 3-8, 5-8 and 6-2


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (0, "null"),
        (0x00CF_9A00_0000_FFFF, "32-bit code, base 0h, limit FFFFFFFFh, DPL 0, readable, present"),
        (0x00CF_F300_0000_FFFF, "32-bit data, base 0h, limit FFFFFFFFh, DPL 3, writable, accessed, present"),
        (0x0000_9E12_3456_0FFF, "16-bit code, base 123456h, limit FFFh, DPL 0, readable, conforming, present"),
        (0x0040_1600_0000_0FFF, "32-bit data, base 0h, limit FFFh, DPL 0, writable, expand-down, not present"),
        (0x0000_8900_4000_0067, "available 32-bit TSS, base 4000h, limit 67h, DPL 0, present"),
        (0x0000_8B00_4000_0067, "busy 32-bit TSS, base 4000h, limit 67h, DPL 0, present"),
        (0x0000_8200_1800_00FF, "LDT, base 1800h, limit FFh, DPL 0, present"),
        (0x0010_8E00_0008_1234, "32-bit interrupt gate, to 0008:00101234, DPL 0, present"),
        (0x0000_EF00_0008_1234, "32-bit trap gate, to 0008:1234, DPL 3, present"),
        (0x0000_EC02_0008_1234, "32-bit call gate, to 0008:1234, DPL 3, 2 parameters, present"),
        (0x0000_8500_0028_0000, "task gate, to 0028:0000, DPL 0, present"),
        (0x0000_8000_0000_0001, "reserved system type 0"),
    ],
)  # fmt: skip
def test_a_descriptor_is_told_in_words(raw, words):
    assert inspect.words_of(inspect.descriptor_entry(raw)) == words


def test_in_long_mode_code_may_be_64_bit_and_a_gate_names_its_stack():
    code = inspect.descriptor_entry(0x00AF_9A00_0000_FFFF, long=True)
    assert code.kind == "64-bit code"
    gate = inspect.descriptor_entry(0x1234 << 64 | 0x0010_8E03_0008_5678, long=True)
    assert inspect.words_of(gate) == "64-bit interrupt gate, to 0008:123400105678, stack IST3, DPL 0, present"
    task = inspect.descriptor_entry(0x1 << 64 | 0x0000_8900_4000_0067, long=True)
    assert (task.kind, task.base) == ("available 64-bit TSS", 0x1_0000_4000)


def test_the_gdt_is_listed_to_its_limit(world):
    world.enter("32")
    entries = list(inspect.gdt(world))
    assert len(entries) == 0x400 // 8
    assert str(entries[1]) == "GDT 0008h: 32-bit code, base 0h, limit FFFFFFFFh, DPL 0, readable, accessed, present"
    assert entries[5].selector == 0x28


def test_a_wide_descriptor_takes_two_places_in_long_mode(world):
    world.enter("64")
    world.put(W.GDT + 0x10, 8, 0x0000_8B00_4000_0067)
    world.put(W.GDT + 0x18, 8, 0x0000_0000_0000_0001)
    entries = {entry.selector: entry for entry in inspect.gdt(world)}
    assert (entries[0x10].kind, entries[0x10].base) == ("busy 64-bit TSS", 0x1_0000_4000)
    assert 0x18 not in entries and 0x20 in entries


def test_the_ldt_is_empty_without_one_and_listed_with_one(world):
    world.enter("32")
    assert list(inspect.ldt(world)) == []
    world._load(world.cpu.head.ldt, W.LOCAL)
    world.put(W.LDT + 8, 8, 0x00CF_9A00_0000_FFFF)
    assert str(list(inspect.ldt(world))[1]).startswith("LDT 000Ch: 32-bit code")


def test_the_vector_table_is_that_of_the_mode(world):
    world.enter("real")
    world.put(4 * 0x21, 4, 0x1234_5678)
    entry = inspect.vector_entry(world, 0x21)
    assert entry is not None
    assert str(entry) == "IVT 21h: real-mode vector, to 1234:5678"
    world.enter("32")
    world.gate(0x21, 14, W.CODE_0, 0x18123)
    assert str(inspect.vector_entry(world, 0x21)) == (
        "IDT 21h: 32-bit interrupt gate, to 0008:00018123, DPL 0, present"
    )
    world.put(W.IDT + 8, 8, 0x00CF_9A00_0000_FFFF)
    assert str(inspect.vector_entry(world, 1)).startswith("IDT 01h: no gate but 32-bit code")


def test_a_vector_beyond_the_limit_has_no_entry(world):
    world.enter("32")
    world.cpu.head.idt.limit = 8 * 10 - 1
    assert inspect.vector_entry(world, 10) is None
    assert len(list(inspect.interrupt_table(world))) == 10


def test_a_selector_is_taken_apart_and_looked_up(world):
    world.enter("32")
    assert inspect.selector_words(0x2B) == "002Bh: entry 5 of the GDT, RPL 3"
    assert inspect.selector_words(0x0F) == "000Fh: entry 1 of the LDT, RPL 3"
    assert inspect.selector_words(3) == "0003h: null, RPL 3"
    entry = inspect.selector_entry(world, W.CODE_3)
    assert entry is not None and entry.dpl == 3
    assert inspect.selector_entry(world, 0) is None
    assert inspect.selector_entry(world, 0xFFF8) is None


@pytest.mark.parametrize(("tss", "name", "value"), [("32", "ESP0", W.KERNEL_STACK), ("16", "SP0", 0x8000)])
def test_the_task_state_is_read_in_its_format(world, tss, name, value):
    world.enter("32", tss=tss)
    task = inspect.task_state(world)
    assert task is not None and task.bits == int(tss)
    assert dict(task.fields)[name] == value


def test_the_64_bit_task_state_has_interrupt_stacks(world):
    world.enter("64")
    task = inspect.task_state(world)
    assert task is not None and task.bits == 64
    assert dict(task.fields)["IST2"] == W.INTERRUPT_STACK + 0x204


# -- segments and control registers


def test_segments_are_told_by_the_mode(world):
    world.enter("real")
    assert inspect.segment_words(world, "cs") == "base 10000h = selector x 16"
    world.cpu.head.segs[3].limit = 0xFFFF_FFFF
    assert inspect.segment_words(world, "ds").endswith("limit FFFFFFFFh: loaded in protected mode (unreal mode)")
    world.enter("32")
    assert inspect.segment_words(world, "cs") == "32-bit code, base 0h, limit FFFFFFFFh, DPL 0, readable, accessed"
    world.enter("64", 3)
    assert inspect.segment_words(world, "ds").startswith("DPL 3; in 64-bit code")
    assert inspect.mode_words(world.cpu) == "64-bit mode, CPL 3"


def test_control_registers_have_names_for_their_bits(world):
    world.enter("64")
    registers = inspect.control_registers(world)
    assert [one.field.name for one in registers["EFER"][1] if one.number] == ["NXE", "LMA", "LME", "SCE"]
    assert [one.field.name for one in registers["CR0"][1] if one.number] == ["PG", "PE"]
    assert [one.field.name for one in registers["CR4"][1] if one.number] == ["PAE"]
    assert inspect.flags_set(0x3246) == ["IOPL=3", "IF", "ZF", "PF"]


# -- paging


@pytest.mark.parametrize("kind", ["32", "pae"])
def test_equal_pages_are_one_range(world, kind):
    world.enter("32", paging=kind)
    assert [str(one) for one in inspect.mappings(world)] == ["00000000h-000FFFFFh -> 00000000h rwx user"]
    size = 4 if kind == "32" else 8
    world.put(world.page_entry(0x5000), size, 0x5065)
    assert [str(one) for one in inspect.mappings(world)] == [
        "00000000h-00004FFFh -> 00000000h rwx user",
        "00005000h-00005FFFh -> 00005000h r-x user",
        "00006000h-000FFFFFh -> 00006000h rwx user",
    ]


def test_the_tree_can_be_opened_level_by_level(world):
    world.enter("64")
    root = list(inspect.page_tables(world))
    assert [(node.name, node.index, node.leaf) for node in root] == [("PML4E", 0, False)]
    below = list(inspect.children(world, root[0]))
    assert [node.name for node in below] == ["PDPTE"]
    pages = list(inspect.children(world, next(inspect.children(world, below[0]))))
    assert len(pages) == 256
    assert (pages[3].linear, pages[3].target, pages[3].leaf) == (0x3000, 0x3000, True)
    assert list(inspect.children(world, pages[3])) == []


def test_the_upper_half_of_long_mode_is_canonical(world):
    world.enter("64")
    world.put(W.TABLES + 8 * 511, 8, W.TABLES + 0x1027)
    last = list(inspect.mappings(world))[-1]
    assert last.linear == 0xFFFF_FF80_0000_0000


def test_a_walk_names_each_bit_and_says_why_it_faults(world):
    world.enter("32", 3, paging="32")
    world.put(world.page_entry(0x5000), 4, 0x5025)
    report = inspect.explain_walk(world, 0x5123, "write")
    assert report.steps[1].words == (
        "P: present", "R/W: read-only", "U/S: user", "A: accessed", "D: not dirty", "address: 00005000h",
    )  # fmt: skip
    assert (report.problem, report.error_code) == ("the page is read-only", 7)
    assert inspect.explain_walk(world, 0x5123, "read").problem == ""
    assert inspect.walk_text(report)[-1] == (
        "linear 00005123h, write by user code: faults, error code 7h, because the page is read-only"
    )


def test_a_hole_is_told_with_its_entry(world):
    world.enter("32", paging="32")
    report = inspect.explain_walk(world, 0x40_0000, "read")
    assert report.problem == "the PDE 00000000h at 00010004h is not present"
    assert report.error_code == 0


RIGHTS = st.sampled_from([0x67, 0x65, 0x63, 0x61, 0x60, 0x25, 0x07, 0x01, 1 << 63 | 0x67, 1 << 51 | 0x67])


@given(
    st.sampled_from(["32", "pae", "long"]), RIGHTS, RIGHTS, st.sampled_from(["read", "write", "execute"]),
    st.booleans(), st.sampled_from([0, CR0_WP]), st.sampled_from([0, CR4_SMEP, CR4_SMAP]), st.booleans(),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_the_explained_walk_faults_exactly_when_the_cpu_does(kind, low, high, access, user, wp, cr4, nxe):
    world = W.World()
    if kind == "long":
        world.enter("64")
    else:
        world.enter("32", paging=kind)
    world.cpu.head.cr[0] |= wp
    world.cpu.head.cr[4] |= cr4
    world.efer = world.efer & ~EFER_NXE | (EFER_NXE if nxe else 0)
    entry, size = world.page_entry(0x5000), 4 if kind == "32" else 8
    keep = (1 << 8 * size) - 1
    world.put(entry, size, (0x5000 | low) & keep)
    directory = (entry & ~0xFFF) - 0x1000
    world.put(directory, size, (entry & ~0xFFF | high) & keep & ~0x80)
    memory = bytes(world.memory.view)
    report = inspect.explain_walk(world, 0x5678, access, user=user)
    assert bytes(world.memory.view) == memory
    try:
        physical = translate(world, 0x5678, write=access == "write", user=user, fetch=access == "execute")
    except PageFault as fault:
        assert (report.problem, report.error_code) == (fault.reason.partition(": ")[2], fault.error_code)
    else:
        assert (report.problem, report.physical) == ("", physical)


def test_peek_sets_no_accessed_bit_and_asks_no_device(world):
    class Trap:
        def read(self, offset, size):
            raise AssertionError("a device was asked")

        def write(self, offset, size, value):
            raise AssertionError("a device was written")

    world.space.mmio.map(0xF000_0000, 0x1000, Trap())
    world.enter("real")
    assert inspect.peek(world, 0xF000_0000, 4) == b""
    assert inspect.peek_number(world, 0xFFFFE, 4) is None
    assert len(inspect.peek(world, 0xFFFFE, 4)) == 2
    world.enter("32", paging="32")
    world.put(world.page_entry(0x5000), 4, 0x5007)
    inspect.peek(world, 0x5FFE, 4)
    assert world.get(world.page_entry(0x5000), 4) == 0x5007


@given(st.binary(max_size=4), st.integers(0, 2**64 - 1), st.booleans(), st.booleans(),
       st.booleans())  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_no_memory_makes_an_inspector_raise(seed, cr3, pae, long, real):
    world = W.World()
    noise = shake_128(seed).digest(0x4000)
    for at in range(0, W.RAM_BYTES, len(noise)):
        world.memory[at : at + len(noise)] = noise
    world.enter("real" if real else "64" if long else "32")
    head = world.cpu.head
    head.cr[0] |= CR0_PG
    head.cr[3] = cr3
    head.cr[4] |= CR4_PAE if pae else 0
    head.gdt.base, head.idt.base, head.tr.base = cr3 & 0xFFFF_FFFF, cr3 >> 32, cr3 >> 16
    if not long:
        head.hflags &= ~HF_LMA
    for found in (inspect.gdt(world), inspect.ldt(world), inspect.interrupt_table(world), inspect.mappings(world)):
        for one in islice(found, 40):
            assert str(one)
    for access in ("read", "write", "execute"):
        inspect.walk_text(inspect.explain_walk(world, cr3, access))
    inspect.task_state(world)
    inspect.control_registers(world)
    inspect.segments(world)
    inspect.selector_entry(world, cr3 & 0xFFFF)


# -- chips and the interrupt path


def test_every_chip_of_the_machine_speaks(timer):
    names = inspect.chip_names(timer)
    assert {"pic0", "pic1", "pit", "cmos", "com1", "vga", "keyboard", "keyboard command"} <= set(names)
    for name in names:
        report = inspect.inspect_chip(timer, name)
        assert report is not None and (report.registers or report.facts)
        assert all(one.words for one in report.registers if one.register.fields and one.register.name != "SCR")
    assert inspect.inspect_chip(timer, "nobody") is None


def test_looking_at_the_machine_changes_nothing():
    with minivm.boot("timer") as machine:
        machine.run(ms=1500)
        before = machine.state_hash()
        for name in inspect.chip_names(machine):
            inspect.inspect_chip(machine, name)
        inspect.interrupt_path(machine)
        list(inspect.gdt(machine.engine))
        assert machine.state_hash() == before


def test_the_clock_chip_shows_the_time_now_and_not_that_of_the_last_look():
    with minivm.boot("timer", rtc="2026-02-03T04:05:06") as machine:
        machine.clock.advance_to(10_000_000_000)
        report = inspect.inspect_chip(machine, "cmos")
        assert report is not None
        assert report.facts[0] == "The clock shows 2026-02-03, 04:05:16."


def test_the_timer_is_told_in_words(timer):
    report = inspect.inspect_chip(timer, "pit")
    assert report is not None
    assert report.facts[0] == "Channel 0: mode 3, square wave, OUT low, gate high, period 65536 = 18.2065 Hz."


def path(machine, master, slave=None, *, flag=True):
    """Return the interrupt path's sentences with the controllers in a state of the test's making."""
    ready = {"vector_base": 8, "icw1": 0x11, "icw3": 4, "icw4": 1, "awaited": 0}
    slave_ready = {"vector_base": 0x70, "icw1": 0x11, "icw3": 2, "icw4": 1, "awaited": 0}
    state = PicPairState(PicState(**ready | master), PicState(**slave_ready | (slave or {})))
    machine.devices["pic"].restore(state)
    machine.cpu.head.eflags = machine.cpu.head.eflags & ~IF | (IF if flag else 0)
    found = inspect.interrupt_path(machine)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("irq", "master", "slave", "flag", "words"),
    [
        (0, {}, {}, True, "no request: its line is low"),
        (0, {"lines": 1}, {}, True, "its line is high, but an edge-triggered input needs a new rise"),
        (0, {"lines": 1, "edges": 1, "imr": 0xFF}, {}, True, "requested, but masked in the master's IMR (FFh)"),
        (0, {"lines": 1, "edges": 1}, {}, True, "will be delivered as vector 08h"),
        (0, {"lines": 1, "edges": 1}, {}, False, "requested, but IF is 0"),
        (0, {"lines": 1, "edges": 1, "awaited": 1}, {}, True, "requested, but the master PIC was never initialized"),
        (0, {"lines": 1, "edges": 1, "awaited": 3}, {}, True, "requested, but the master PIC waits for ICW3"),
        (4, {"lines": 0x12, "edges": 0x12}, {}, True, "requested, but IRQ1 goes first"),
        (4, {"lines": 0x10, "edges": 0x10, "isr": 1}, {}, True, "requested, but IRQ0 is in service and not ended"),
        (0, {"isr": 1}, {}, True, "in service: its handler has not sent the end of interrupt"),
        (8, {"lines": 4, "edges": 4}, {"lines": 1, "edges": 1}, True, "will be delivered as vector 70h"),
        (2, {"lines": 4, "edges": 4}, {"lines": 1, "edges": 1}, True,
         "the slave asks here for one of IRQ8 to IRQ15, and answers for IRQ2"),
        (8, {"lines": 4, "edges": 4, "imr": 4}, {"lines": 1, "edges": 1}, True,
         "the slave asks, but at the master IRQ2 is held: requested, but masked in the master's IMR (04h)"),
        (8, {"lines": 4, "edges": 4, "icw3": 0}, {"lines": 1, "edges": 1}, True,
         "requested, but ICW3 of master and slave do not agree, so that nobody answers for IRQ2"),
    ],
)  # fmt: skip
def test_the_path_says_why_an_interrupt_is_or_is_not_delivered(timer, irq, master, slave, flag, words):
    found = path(timer, master, slave, flag=flag)
    assert found.interrupts[irq].words == words


def test_the_path_shows_the_bits_of_an_interrupt(timer):
    one = path(timer, {"lines": 8, "edges": 8, "imr": 8, "isr": 8}).interrupts[3]
    assert (one.line, one.requested, one.masked, one.in_service, one.level_triggered) == (True, True, True, True, False)
    assert (one.vector, one.name) == (0x0B, "IRQ3, COM2")


def test_a_shadow_holds_an_interrupt_back_for_one_instruction(timer):
    timer.cpu.head.hflags |= 8
    try:
        assert path(timer, {"lines": 1, "edges": 1}).interrupts[0].words.endswith("after the next instruction")
    finally:
        timer.cpu.head.hflags &= ~8


BYTE = st.integers(0, 255)


@given(lines=BYTE, edges=BYTE, imr=BYTE, isr=BYTE, lowest=st.integers(0, 7), icw1=BYTE, icw3=BYTE, icw4=BYTE,
       awaited=st.integers(0, 4), special_mask=st.booleans(), flag=st.booleans())  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_path_agrees_with_what_the_controllers_then_deliver(timer, flag, **fields):
    slave = {"lines": fields["edges"], "edges": fields["edges"], "imr": fields["imr"] >> 1}
    found = path(timer, fields, slave, flag=flag)
    assert all(one.words for one in found.interrupts)
    pic = timer.devices["pic"]
    told = [one for one in found.interrupts if one.words.startswith("will be delivered")]
    assert found.intr == pic.pending
    if told:
        assert pic.pending and flag
        assert told[0].vector == pic.acknowledge()


def test_the_speaker_says_what_sounds():
    with minivm.boot("timer") as machine:
        machine.run(ms=5)
        told = []
        for control in (0x00, 0x02, 0x03):
            machine.ports.write(0x61, 1, control)
            told.append(inspect.inspect_chip(machine, "speaker").facts[0])
        for port, value in ((0x43, 0xB6), (0x42, 0xA9), (0x42, 0x04)):
            machine.ports.write(port, 1, value)
        told.append(inspect.inspect_chip(machine, "speaker").facts[0])
        assert told[0] == "It is silent, and cut off from the timer."
        assert told[-1] == "It sounds at 1000.2 Hz, for 0.0 ms by now."
        machine.run(ms=3)
        assert inspect.inspect_chip(machine, "speaker").facts[0] == "It sounds at 1000.2 Hz, for 3.0 ms by now."
