"""Interrupt delivery, checked against the SDM; `test_delivery_oracle.py` compares the common paths with QEMU."""

import ctypes

import pytest

from minivm.engine.cpustate import CR0_TS, CS, DS, ES, FS, GS, HF_CPL, HF_IOPL, HF_TF, IF, NT, RF, RSP, SS, TF, VM
from minivm.engine.delivery import Collapse, Delivered, Event, Fault, PageFault, deliver, raise_event
from minivm.engine.segments import fill_cache


def interrupt(world, vector, **how):
    """Deliver a hardware interrupt, or what `how` says."""
    how = {"software": False, "error_code": None, "return_ip": world.cpu.head.eip, "hardware": True, **how}
    deliver(world, vector, **how)


def exception(world, vector, error_code=None):
    interrupt(world, vector, hardware=False, error_code=error_code)


def software(world, vector):
    interrupt(world, vector, hardware=False, software=True)


def frame(world, words, width=4):
    """Return the words at the top of the stack."""
    head = world.cpu.head
    top = head.regs[RSP] if world.wide_gates else head.segs[SS].base + head.regs[RSP]
    return [world.get(top + width * index, width) for index in range(words)]


def image(world):
    return bytes(world.cpu.head), world.memory[0 : len(world.memory)]


# -- what is pushed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", [8, 10, 11, 12, 13, 14, 17, 21])
def test_these_exceptions_push_their_error_code(world, vector):
    world.enter("32").gate(vector, 14, world["CODE_0"], 0x4321)
    exception(world, vector, 0x1230)
    assert frame(world, 3)[:3] == [0x1230, world["CODE"], world["CODE_0"]]


@pytest.mark.parametrize("vector", [0, 1, 3, 6, 7, 16, 19, 32])
def test_other_exceptions_push_none(world, vector):
    world.enter("32").gate(vector, 14, world["CODE_0"], 0x4321)
    exception(world, vector, 0x1230)
    assert frame(world, 2) == [world["CODE"], world["CODE_0"]]


@pytest.mark.parametrize("how", [{"software": True, "hardware": False}, {"hardware": True}])
def test_an_interrupt_with_an_exceptions_number_pushes_no_error_code(world, how):
    world.enter("32").gate(13, 14, world["CODE_0"], 0x4321)
    interrupt(world, 13, error_code=0x1230, **how)
    assert frame(world, 2) == [world["CODE"], world["CODE_0"]]


@pytest.mark.parametrize(("vector", "pushed"), [(6, RF), (0, RF), (16, RF), (1, 0), (3, 0), (8, 0)])
def test_faults_push_the_resume_flag_and_traps_and_aborts_do_not(world, vector, pushed):
    world.enter("32").gate(vector, 14, world["CODE_0"], 0x4321)
    exception(world, vector)
    assert frame(world, 4)[3 if vector == 8 else 2] & RF == pushed
    assert not world.cpu.rflags & RF


def test_an_interrupt_gate_clears_if_and_a_trap_gate_does_not(world):
    for kind, kept in ((14, 0), (15, IF)):
        again = type(world)().enter("32")
        again.cpu.rflags |= IF | TF | NT
        again.gate(0x20, kind, again["CODE_0"], 0x4321)
        interrupt(again, 0x20)
        assert again.cpu.rflags & (IF | TF | NT) == kept
        assert frame(again, 3)[2] & (IF | TF | NT) == IF | TF | NT


def test_the_arithmetic_flags_survive(world):
    world.enter("32").gate(0x20, 14, world["CODE_0"], 0x4321)
    world.cpu.rflags |= 0xCD5
    interrupt(world, 0x20)
    assert world.cpu.rflags == 0xCD7


def test_no_flag_is_left_in_the_engines_mode_bits(world):
    """The engine ORs TF and IOPL in from EFLAGS; a copy in hflags would outlive a POPF."""
    world.enter("32").gate(0x20, 14, world["CODE_0"], 0x4321)
    world.cpu.rflags |= 0x3000 | TF
    interrupt(world, 0x20)
    assert not world.cpu.head.hflags & (HF_IOPL | HF_TF)


def test_virtual_8086_segments_are_pushed_and_emptied(world):
    world.enter("vm86", 3).gate(0x20, 14, world["CODE_0"], 0x4321)
    interrupt(world, 0x20)
    head = world.cpu.head
    assert frame(world, 9)[3:] == [0x8000, 0x2000, 0x1111, 0x3333, 0x4444, 0x5555]
    assert frame(world, 3)[2] & VM and not world.cpu.rflags & VM
    assert [head.segs[index].flags for index in (ES, DS, FS, GS)] == [0, 0, 0, 0]
    assert (world.cpu.mode, head.hflags & HF_CPL) == ("32", 0)


def test_the_write_listeners_hear_of_the_frame(world):
    heard = []
    world.memory.write_listeners.append(lambda start, end: heard.append((start, end)))
    world.enter("real").put(0x20 * 4, 4, 0xF000_1234)
    heard.clear()
    interrupt(world, 0x20)
    assert heard == [(0x2_7FFA, 0x2_8000)]


def test_the_frame_goes_through_the_a20_gate(world):
    world.enter("real").put(0x20 * 4, 4, 0xF000_1234)
    world.space.a20_mask = ~0x10_0000
    world.cpu.head.segs[SS].base = 0xF_FFF0
    interrupt(world, 0x20)
    assert world.get(0x7FEA, 2) == 0x8000


# -- error codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("raise_it", "ext"), [(interrupt, 1), (exception, 1), (software, 0)])
def test_ext_tells_a_programs_own_interrupt_from_all_others(world, raise_it, ext):
    world.enter("32").gate(0x20, 14, world["ABSENT_CODE"], 0x4321)
    with pytest.raises(Fault) as caught:
        raise_it(world, 0x20)
    assert (caught.value.vector, caught.value.error_code) == (11, world["ABSENT_CODE"] + ext)


@pytest.mark.parametrize("mode", ["32", "64"])
def test_an_idt_entry_is_named_by_its_number_times_eight(world, mode):
    world.enter(mode).gate(0x20, 14, world["CODE64_0" if mode == "64" else "CODE_0"], 0x4321, absent=1)
    with pytest.raises(Fault) as caught:
        software(world, 0x20)
    assert (caught.value.vector, caught.value.error_code) == (11, 0x20 * 8 + 2)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("0", (10, 0x1)), ("DATA_3", (10, 0x31)), ("CODE_0", (10, 0x09)), ("0x3F8", (10, 0x3F9)),
        ("0x400", (10, 0x401)), ("ABSENT_DATA", (12, 0x81)),
    ],
)  # fmt: skip
def test_a_bad_inner_stack_is_named_by_its_selector(world, selector, expected):
    value = world[selector] if selector.isupper() and selector[0] != "0" else int(selector, 0)
    world.enter("32", 3).inner_stack(0, value, 0)
    world.gate(0x20, 14, world["CODE_0"], 0x4321)
    with pytest.raises(Fault) as caught:
        interrupt(world, 0x20)
    assert (caught.value.vector, caught.value.error_code) == expected


def test_a_short_tss_is_named_by_the_task_register(world):
    world.enter("32", 3).gate(0x20, 14, world["CODE_0"], 0x4321)
    world.cpu.head.tr.limit = 10
    with pytest.raises(Fault) as caught:
        interrupt(world, 0x20)
    assert (caught.value.vector, caught.value.error_code) == (10, world["TASK_32"] + 1)


def test_int_n_in_virtual_8086_mode_needs_iopl_3_but_int3_does_not(world):
    world.enter("vm86", 3)
    for vector in (3, 0x80):
        world.gate(vector, 14, world["CODE_0"], 0x4321, dpl=3)
    with pytest.raises(Fault) as caught:
        software(world, 0x80)
    assert (caught.value.vector, caught.value.error_code) == (13, 0)
    software(world, 3)
    assert world.cpu.head.eip == 0x4321


@pytest.mark.parametrize("address", [0x0000_8000_0000_0000, 0x7FFF_0000_0000_0000])
def test_long_mode_refuses_addresses_that_are_not_canonical(world, address):
    world.enter("64", 3).gate(0x20, 14, world["CODE64_0"], address)
    world.gate(0x21, 14, world["CODE64_0"], 0x4321)
    world.put(world["TSS_64"] + 4, 8, address)
    for vector, fault in ((0x20, (12, 1)), (0x21, (12, 1))):
        with pytest.raises(Fault) as caught:
            interrupt(world, vector)
        assert (caught.value.vector, caught.value.error_code) == fault
    world.put(world["TSS_64"] + 4, 8, world["KERNEL_STACK"])
    with pytest.raises(Fault) as caught:
        interrupt(world, 0x20)
    assert (caught.value.vector, caught.value.error_code) == (13, 1)


# -- nothing half done ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", ["ABSENT_DATA", "SHORT_STACK"])
def test_a_delivery_that_fails_changes_nothing(world, stack):
    world.enter("32", 3).inner_stack(0, world[stack], 0)
    world.gate(0x20, 14, world["CODE_0"], 0x4321)
    before = image(world)
    with pytest.raises(Fault):
        interrupt(world, 0x20)
    assert image(world) == before


def test_a_frame_across_an_absent_page_stores_nothing(world):
    world.enter("32", 0, paging="32").gate(0x20, 14, world["CODE_0"], 0x4321)
    world.cpu.head.regs[RSP] = 0x2_0004
    world.put(world.page_entry(0x1_F000), 4, 0)
    before = image(world)
    with pytest.raises(PageFault) as caught:
        interrupt(world, 0x20)
    assert (caught.value.error_code, caught.value.linear) == (2, 0x1_FFF8)
    assert image(world) == before


# -- the chain ------------------------------------------------------------------------------------------------------


def test_a_benign_event_whose_handler_is_missing_leads_to_that_fault(world):
    world.enter("32").gate(11, 14, world["CODE_0"], 0x4321)
    world.gate(0x20, 14, world["CODE_0"], 0x9999, absent=1)
    result = raise_event(world, Event(0x20, world["CODE"], hardware=True))
    assert isinstance(result, Delivered) and result.vector == 11
    assert [vector for vector, _ in result.chain] == [0x20]
    assert frame(world, 2) == [0x20 * 8 + 3, world["CODE"]]


def test_a_fault_in_int_n_returns_to_the_int_itself(world):
    world.enter("32").gate(11, 14, world["CODE_0"], 0x4321)
    world.gate(0x80, 14, world["CODE_0"], 0x9999, absent=1)
    raise_event(world, Event(0x80, world["CODE"] + 2, software=True, restart_ip=world["CODE"]))
    assert frame(world, 2) == [0x80 * 8 + 2, world["CODE"]]


@pytest.mark.parametrize(
    ("first", "second_is_page_fault", "arrives"),
    [(13, False, 8), (0, False, 8), (14, False, 8), (14, True, 8), (13, True, 14), (6, True, 14), (6, False, 13)],
)
def test_two_exceptions_make_a_double_fault_as_the_table_says(world, first, second_is_page_fault, arrives):
    """SDM vol. 3, table 6-5."""
    world.enter("32", paging="32")
    fill_cache(world.cpu.head.ldt, 0, 0x5_0000, 0xFF, 0)
    world.put(world.page_entry(0x5_0000), 4, 0)
    for vector in (8, 13, 14):
        world.gate(vector, 14, world["CODE_0"], 0x4000 + vector)
    local_selector = 0x0C  # its descriptor lies on the absent page
    world.gate(first, 14, local_selector if second_is_page_fault else world["DATA_0"], 0x4321)
    result = raise_event(world, Event(first, world["CODE"], error_code=0))
    assert isinstance(result, Delivered) and result.vector == arrives
    assert world.cpu.head.eip == 0x4000 + arrives


def test_a_missing_idt_shuts_down_and_the_autopsy_names_each_vector(world):
    world.enter("32", paging="32")
    world.cpu.head.idt.base = 0x30_0000
    before = bytes(world.cpu.head)
    result = raise_event(world, Event(6, world["CODE"]))
    assert isinstance(result, Collapse)
    assert [vector for vector, _ in result.chain] == [6, 14, 8]
    assert all("page fault at" in reason for _, reason in result.chain)
    assert "PTE 00000000h" in result.details[0] and "linear 00300030h" in result.details[0]
    assert world.cpu.head.cr[2] == 0x30_0000 + 8 * 8
    world.cpu.head.cr[2] = 0
    assert bytes(world.cpu.head) == before


def test_an_empty_ivt_shuts_a_real_mode_machine_down(world):
    world.enter("real")
    world.cpu.head.idt.limit = 0
    result = raise_event(world, Event(0x20, 0x8000, hardware=True))
    assert isinstance(result, Collapse)
    assert [vector for vector, _ in result.chain] == [0x20, 13, 8]


# -- task gates -----------------------------------------------------------------------------------------------------


def test_a_task_gate_saves_the_old_task_and_links_the_new_one(world):
    world.enter("32", 3, paging="32")
    world.cpu.rflags |= IF
    world.gate(0x20, 5, world["NEW_32"], 0)
    world.put(world["NEW_TSS_32"] + 0x1C, 4, 0x9000)
    world.put(0x9000, 4, 0x1_1027)
    interrupt(world, 0x20, return_ip=0x777)
    head, old, new = world.cpu.head, world["TSS_32"], world["NEW_TSS_32"]
    assert (world.get(old + 0x20, 4), world.get(old + 0x24, 4)) == (0x777, IF | 2)
    assert (world.get(old + 0x28, 4), world.get(old + 0x38, 4)) == (0, world["USER_STACK"] + 0x800)
    assert [world.get(old + 0x48 + 4 * index, 2) for index in (ES, CS, SS)] == [0x33, 0x2B, 0x33]
    assert world.get(new, 2) == world["TASK_32"] and world.cpu.rflags == NT | IF | 2
    assert (head.cr[3], head.cr[0] & CR0_TS, head.ldt.base) == (0x9000, CR0_TS, world["LDT"])
    assert (head.eip, head.regs[RSP], head.segs[CS].selector) == (world["CODE"] + 0x100, 0x3_8000, 8)
    assert [world.get(world["GDT"] + world[name] + 5, 1) for name in ("TASK_32", "NEW_32")] == [0x8B, 0x8B]
    assert head.segs[FS].selector == 0 and head.hflags & HF_CPL == 0


def test_the_error_code_goes_on_the_new_tasks_stack(world):
    world.enter("32", 3).gate(10, 5, world["NEW_32"], 0)
    exception(world, 10, 0x88)
    assert world.cpu.head.regs[RSP] == 0x3_8000 - 4
    assert frame(world, 1) == [0x88]


def test_16_bit_task_segments_hold_words(world):
    world.enter("16", 3, tss="16").gate(10, 5, world["NEW_16"], 0)
    world.put(world["TSS_16"], 2, 0x4444)
    exception(world, 10, 0x88)
    head, old = world.cpu.head, world["TSS_16"]
    assert [world.get(old + offset, 2) for offset in (0, 0x0E, 0x1A)] == [0x4444, 0x8000, 0x8000]
    assert [world.get(old + 0x22 + 2 * index, 2) for index in range(4)] == [0x43, 0x3B, 0x43, 0x43]
    assert (head.eip, head.segs[CS].selector, head.segs[SS].selector) == (0x7000, 0x18, 0x20)
    assert head.segs[DS].selector == world["DATA_3"] and world.get(world["NEW_TSS_16"], 2) == world["TASK_16"]
    assert head.regs[RSP] & 0xFFFF == 0x8000 - 2 and world.get(0x7FFE, 2) == 0x88


@pytest.mark.parametrize(
    ("offset", "value", "vector", "error_code"),
    [
        (0x48 + 4 * SS, 0x33, 10, 0x31), (0x48 + 4 * CS, 0x10, 10, 0x11), (0x48 + 4 * CS, 0x78, 11, 0x79),
        (0x48 + 4 * SS, 0x80, 12, 0x81), (0x60, 0x10, 10, 0x11), (0x48 + 4 * DS, 0x3F8, 10, 0x3F9),
    ],
)  # fmt: skip
def test_a_fault_behind_the_switch_belongs_to_the_new_task(world, offset, value, vector, error_code):
    world.enter("32", 3).gate(0x20, 5, world["NEW_32"], 0)
    world.put(world["NEW_TSS_32"] + offset, 2, value)
    with pytest.raises(Fault) as caught:
        interrupt(world, 0x20)
    assert (caught.value.vector, caught.value.error_code) == (vector, error_code)
    assert caught.value.in_new_task and world.cpu.head.tr.selector == world["NEW_32"]


def test_a_fault_behind_the_switch_is_delivered_with_the_new_tasks_address(world):
    world.enter("32", 3).gate(0x20, 5, world["NEW_32"], 0)
    world.gate(10, 14, world["CODE_0"], 0x4321)
    world.put(world["NEW_TSS_32"] + 0x48 + 4 * DS, 2, 0x3F8)
    assert isinstance(raise_event(world, Event(0x20, 0x777, hardware=True)), Delivered)
    assert frame(world, 3) == [0x3F9, world["CODE"] + 0x100, world["CODE_0"]]


@pytest.mark.parametrize("change", [(0x3F, 11), (0x10, 10)])
def test_a_tss_that_is_absent_or_short_is_refused_before_the_switch(world, change):
    limit, vector = change
    high = 0x0900 if vector == 11 else 0x8900
    world.enter("32", 3).gate(0x20, 5, world["NEW_32"], 0)
    world.descriptor(world["NEW_32"], world["NEW_TSS_32"], limit, high)
    before = image(world)
    with pytest.raises(Fault) as caught:
        interrupt(world, 0x20)
    assert (caught.value.vector, caught.value.error_code) == (vector, world["NEW_32"] + 1)
    assert image(world) == before and ctypes.sizeof(world.cpu.head) == len(before[0])
