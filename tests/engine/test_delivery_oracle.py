"""Delivery in Python against QEMU's own, which the unicorn wheel carries and partly exports.

`do_interrupt_x86_hardirq` leads to QEMU's `do_interrupt_all`. It must run where the engine can jump out of it, so a few
bytes of machine code, hooked in front of an instruction, call it from inside `emu_start`: a delivery that succeeds is
copied out on the spot, and one that faults arrives in the interrupt hook with its vector and error code. No Python
frame lies between, so nothing is torn.
"""

import ctypes
import itertools
import mmap
import platform
import re
import struct
from pathlib import Path
from typing import Any

import capstone
import pytest
import unicorn
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from unicorn.unicorn_py3.unicorn import uclib

from minivm.engine import delivery
from minivm.engine.cpustate import CR0_WP, IOPL_MASK, TF, VM, CpuHead
from minivm.engine.delivery import Fault, PageFault, deliver

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the oracle is called by x86-64 machine code")

PROT_ALL = 7
HEAD_BYTES = 4096  # EFER lies here, too
RETURN_IP = 0x1234
ERROR_CODE = 0x5A5A & 0xFFF8


class Oracle:
    """QEMU's delivery on an engine of its own, on the bytes of a memory it is given."""

    def __init__(self) -> None:
        self.ram = mmap.mmap(-1, 1 << 20)
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.uc.ctl_exits_enabled(True)
        self.uc.mem_map_ptr(0, 1 << 20, PROT_ALL, ctypes.addressof(ctypes.c_char.from_buffer(self.ram)))
        self._env_in_cpu, self._do_interrupt_all = self._read_export()
        self._error_code_in_env = self._read_offset(r"mov ecx, dword ptr \[rdi \+ (0x[0-9a-f]+)\]")
        self._old_exception_in_env = self._read_offset(r"mov dword ptr \[rbx \+ (0x[0-9a-f]+)\], 0xffffffff")
        self._env = self._find_env()
        self._efer_in_env = self._find_efer()
        self._result = ctypes.create_string_buffer(HEAD_BYTES)
        self._done = ctypes.c_uint32(0)
        self._thunk = mmap.mmap(-1, 4096, prot=PROT_ALL)
        self._fault: tuple[int, int, int] | None = None
        self._hook_thunk()
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._on_fault)

    def deliver(self, head: CpuHead, efer: int, memory: bytes, arguments: tuple[int, int, int, int, int]) -> Any:
        """Run one delivery; `arguments` are vector, is_int, error_code, next_eip and is_hw."""
        self.ram[:] = memory
        self._write_thunk(*arguments)
        ctypes.memmove(self._env, ctypes.addressof(head), ctypes.sizeof(head))
        ctypes.c_uint64.from_address(self._env + self._efer_in_env).value = efer
        ctypes.c_int32.from_address(self._env + self._old_exception_in_env).value = -1  # else a second fault doubles
        self.uc.ctl_flush_tb()
        self.uc.ctl(unicorn.unicorn_const.UC_CTL_TLB_FLUSH, unicorn.unicorn_const.UC_CTL_IO_WRITE)
        self._done.value, self._fault = 0, None
        self.uc.emu_start(head.eip, 0)
        assert self._done.value or self._fault, "the oracle did not run"
        return self._fault or CpuHead.from_buffer_copy(self._result)

    # -- finding things
    def _read_export(self) -> tuple[int, int]:
        """Read off the exported function how far env lies in the CPU object, and where it jumps to."""
        text = _disassemble(uclib.do_interrupt_x86_hardirq_x86_64, 0x20)
        distance = re.search(r"sub rdi, (0x[0-9a-f]+)", text)
        target = re.search(r"jmp (0x[0-9a-f]+)", text)
        assert distance and target, text
        return int(distance[1], 16), int(target[1], 16)

    def _read_offset(self, pattern: str) -> int:
        """Read off the other exported function where in env it takes or puts something."""
        text = _disassemble(uclib.x86_cpu_do_interrupt_x86_64, 0x60)
        place = re.search(pattern, text)
        assert place, text
        return int(place[1], 16) - self._env_in_cpu

    def _find_env(self) -> int:
        """Follow the pointers in uc_struct to the one place that holds sixteen magic registers."""
        magic = [0x1122_3344_5566_0000 + index * 0x0101_0101 for index in range(16)]
        names = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{index}" for index in range(8, 16)))
        for name, value in zip(names, magic, strict=True):
            self.uc.reg_write(getattr(unicorn.x86_const, f"UC_X86_REG_{name}"), value)
        wanted = struct.pack("<16Q", *magic)
        pointers = struct.unpack("<256Q", _peek(self.uc._uch.value, 2048))
        found = {place + at for place in pointers if (at := _peek(place, 0x1_0000).find(wanted)) >= 0}
        assert len(found) == 1
        return found.pop()

    def _find_efer(self) -> int:
        images = []
        for value in (0xD01, 0xD00):
            self.uc.msr_write(0xC000_0080, value)
            images.append(struct.unpack("<512Q", ctypes.string_at(self._env, HEAD_BYTES)))
        places = [at for at, values in enumerate(zip(*images, strict=True)) if values == (0xD01, 0xD00)]
        assert len(places) == 1
        return places[0] * 8

    # -- the machine code
    def _write_thunk(self, vector: int, is_int: int, error_code: int, next_eip: int, is_hw: int) -> None:
        def call(function: int, *values: int) -> bytes:
            loads = (
                b"\x48\xbf",
                b"\x48\xbe",
                b"\x48\xba",
                b"\x48\xb9",
                b"\x49\xb8",
                b"\x49\xb9",
            )  # rdi rsi rdx rcx r8 r9
            code = b"".join(load + struct.pack("<Q", value) for load, value in zip(loads, values, strict=False))
            return code + b"\x48\xb8" + struct.pack("<Q", function) + b"\xff\xd0"  # mov rax, function; call rax

        copy = ctypes.cast(ctypes.CDLL(None).memcpy, ctypes.c_void_p).value
        stop = ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value
        assert copy and stop
        cpu = self._env - self._env_in_cpu
        one = ctypes.addressof(self._one)
        self._thunk[:512] = (
            b"\x53"  # push rbx: aligns the stack
            + call(self._do_interrupt_all, cpu, vector, is_int, error_code & 0xFFFF_FFFF, next_eip, is_hw)
            + call(copy, ctypes.addressof(self._result), self._env, HEAD_BYTES)
            + call(copy, ctypes.addressof(self._done), one, 4)
            + call(stop, self.uc._uch.value)
            + b"\x5b\xc3"
        ).ljust(512, b"\xcc")

    _one = ctypes.c_uint32(1)

    def _hook_thunk(self) -> None:
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._thunk))
        self._handle = ctypes.c_size_t()
        add = uclib.uc_hook_add
        status = add(
            self.uc._uch, ctypes.byref(self._handle), unicorn.UC_HOOK_CODE, ctypes.c_void_p(address), None,
            ctypes.c_uint64(1), ctypes.c_uint64(0),
        )  # fmt: skip
        assert status == 0

    def _on_fault(self, uc: Any, vector: int, _: Any) -> None:
        head = CpuHead.from_address(self._env)
        error_code = ctypes.c_uint32.from_address(self._env + self._error_code_in_env).value
        self._fault = (vector, error_code, head.cr[2])
        uc.emu_stop()


def _disassemble(function: Any, length: int) -> str:
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    lines = engine.disasm(ctypes.string_at(address, length), address)
    return "\n".join(f"{line.mnemonic} {line.op_str}" for line in lines)


def _peek(address: int, length: int) -> bytes:
    """Read our own memory through the kernel, so that a wild pointer is an error and not a crash."""
    with Path("/proc/self/mem").open("rb", 0) as memory:
        try:
            memory.seek(address)
            return memory.read(length)
        except (OSError, OverflowError, ValueError):
            return b""


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture(autouse=True)
def without_resume_flag(monkeypatch):
    """Known difference: QEMU pushes no RF for faults."""
    monkeypatch.setattr(delivery, "FAULTS", frozenset())


# -- comparing ------------------------------------------------------------------------------------------------------

EVENTS = {"int": 0x80, "hardware": 0x20, "trap": 1, "fault": 6, "coded": 13}
"""Kind of event -> the vector that stands for it: INT n, an interrupt, exceptions without and with an error code."""


def attempt(world: Any, vector: int, event: str) -> Fault | None:
    """Deliver in Python; returns the fault, if it was one."""
    try:
        deliver(
            world,
            vector,
            software=event == "int",
            hardware=event == "hardware",
            error_code=ERROR_CODE if event == "coded" else None,
            return_ip=RETURN_IP if event == "int" else world.cpu.head.eip,
        )
    except Fault as fault:
        return fault
    return None


def compare(world: Any, oracle: Oracle, event: str, vector: int | None = None) -> list[str]:
    """Deliver one event with both, and return what differs, in words, after the known differences are taken out."""
    vector = EVENTS[event] if vector is None else vector
    before = world.memory[0 : len(world.memory)]
    arguments = (vector, event == "int", ERROR_CODE if event == "coded" else 0, RETURN_IP, event == "hardware")
    world.cpu.head.hflags &= ~(TF | IOPL_MASK | VM)  # they count in EFLAGS; the engine never sets them here
    head = CpuHead.from_buffer_copy(world.cpu.head)
    head.eflags = world.cpu.rflags  # a run takes all flags from here when it begins
    theirs = oracle.deliver(head, world.efer, before, arguments)
    ours = attempt(world, vector, event)
    if isinstance(theirs, tuple) or ours:
        return compare_faults(world, vector, ours, theirs)
    return [*differing_fields(world.cpu.head, theirs), *differing_bytes(world, oracle)]


def compare_faults(world: Any, vector: int, ours: Fault | None, theirs: Any) -> list[str]:
    if ours is None or not isinstance(theirs, tuple):
        return [f"ours {ours and (ours.vector, ours.reason)}, QEMU's {theirs}"]
    expected = (theirs[0], theirs[1] & ~1)
    if world.wide_gates and theirs[1] == vector * 16 + 2:
        expected = (theirs[0], vector * 8 + 2)  # known difference: IDT error code in long mode
    code = (ours.error_code or 0) & ~1  # known difference: EXT
    if isinstance(ours, PageFault):
        code, expected = ours.error_code, theirs[:2]
        if ours.linear != theirs[2]:
            return [f"CR2 is {ours.linear:X}h, QEMU's {theirs[2]:X}h"]
    return [] if (ours.vector, code) == expected else [f"ours {(ours.vector, code, ours.reason)}, QEMU's {expected}"]


def differing_fields(ours: CpuHead, theirs: CpuHead) -> list[str]:
    found = []
    for name in ("eip", "eflags", "cc_op", "cc_src", "df", "hflags"):
        if getattr(ours, name) != getattr(theirs, name):
            found.append(f"{name} is {getattr(ours, name):X}h, QEMU's {getattr(theirs, name):X}h")
    for name in ("regs", "cr"):
        for index, (one, other) in enumerate(zip(getattr(ours, name), getattr(theirs, name), strict=True)):
            if one != other:
                found.append(f"{name}[{index}] is {one:X}h, QEMU's {other:X}h")
    pairs = [(f"segs[{index}]", ours.segs[index], theirs.segs[index]) for index in range(6)]
    pairs += [(name, getattr(ours, name), getattr(theirs, name)) for name in ("ldt", "tr", "gdt", "idt")]
    for name, one, other in pairs:
        for field in ("selector", "base", "limit", "flags"):
            if getattr(one, field) != getattr(other, field):
                found.append(f"{name}.{field} is {getattr(one, field):X}h, QEMU's {getattr(other, field):X}h")
    return found


def differing_bytes(world: Any, oracle: Oracle) -> list[str]:
    ours, theirs = world.memory[0 : len(world.memory)], oracle.ram[:]
    if ours == theirs:
        return []
    places = [at for at in range(0, len(ours), 4) if ours[at : at + 4] != theirs[at : at + 4]]
    return [f"[{at:X}h] is {ours[at : at + 4].hex()}, QEMU's {theirs[at : at + 4].hex()}" for at in places[:8]]


# -- the cases --------------------------------------------------------------------------------------------------------

MODES = [("16", 0), ("16", 3), ("32", 0), ("32", 1), ("32", 3), ("vm86", 3)]
SURROUNDINGS = [("", "32"), ("", "16"), ("32", "32"), ("pae", "32")]
GATES = {"interrupt16": 6, "trap16": 7, "interrupt32": 14, "trap32": 15}
HANDLERS = ["CODE_0", "CODE16_0", "CONFORMING", "CODE_1", "CODE_3"]
ALL_FLAGS = 0x7AD5  # the arithmetic flags, IF, IOPL 3 and NT


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize(("paging", "tss"), SURROUNDINGS)
@pytest.mark.parametrize(("mode", "level"), MODES)
def test_gates_in_protected_mode_lead_where_qemu_leads(world, oracle, mode, level, paging, tss, handler):
    if (mode, handler) == ("vm86", "CODE_1"):
        pytest.skip("known difference: QEMU lets a virtual-8086 task's handler run at level 1")
    differences = []
    for (name, kind), event in itertools.product(GATES.items(), EVENTS):
        again = type(world)().enter(mode, level, paging=paging, tss=tss)
        again.cpu.rflags |= ALL_FLAGS
        offset = 0x9876 if kind < 8 or handler == "CODE16_0" else 0x1_9876
        again.gate(EVENTS[event], kind, again[handler], offset, dpl=3)
        differences += [f"{name}, {event}: {what}" for what in compare(again, oracle, event)]
    assert not differences


@pytest.mark.parametrize("handler", ["CODE64_0", "CODE64_3", "CONFORMING64", "CODE_0", "DATA_0", "ABSENT_CODE"])
@pytest.mark.parametrize(("mode", "level"), [("64", 0), ("64", 3), ("compat", 0), ("compat", 3)])
def test_gates_in_long_mode_lead_where_qemu_leads(world, oracle, mode, level, handler):
    differences = []
    for kind, event in itertools.product((14, 15, 6, 5), EVENTS):
        again = type(world)().enter(mode, level)
        again.cpu.rflags |= ALL_FLAGS
        again.cpu.head.regs[4] |= 0x5
        again.gate(EVENTS[event], kind, again[handler], 0x7F12_3456_789A, dpl=3)
        differences += [f"type {kind}, {event}: {what}" for what in compare(again, oracle, event)]
    assert not differences


@pytest.mark.parametrize("ist", range(1, 8))
def test_the_interrupt_stack_table_is_used_as_qemu_uses_it(world, oracle, ist):
    world.enter("64", 3)
    world.gate(8, 14, world["CODE64_0"], 0xFFFF_8000_1234_5678, ist=ist)
    assert not compare(world, oracle, "coded", 8)
    assert world.cpu.head.regs[4] == world["INTERRUPT_STACK"] + 0x100 * ist - 48


def test_an_interrupt_stack_without_privilege_change_keeps_ss(world, oracle):
    """Known difference: QEMU loads a null SS whenever the IST is used (SDM vol. 3, 6.14.4: only when CPL changes)."""
    world.enter("64", 0)
    world.gate(0x20, 14, world["CODE64_0"], 0x4321, ist=1)
    assert {what.split()[0] for what in compare(world, oracle, "hardware")} == {
        "segs[2].selector", "segs[2].limit", "segs[2].flags", "hflags",
    }  # fmt: skip
    assert world.cpu.head.segs[2].selector == world["DATA_0"]


@pytest.mark.parametrize("pointer", [0x8000, 0x10006, 6, 4, 2, 0, 0x7FFF])
@pytest.mark.parametrize("event", EVENTS)
def test_real_mode_takes_the_same_vector(world, oracle, event, pointer):
    world.enter("real")
    world.cpu.rflags |= 0xAD5 | 0x4_0000
    world.cpu.head.regs[4] = 0xABCD_0000 | (pointer & 0xFFFF)
    world.put(EVENTS[event] * 4, 4, 0xF000_1234)
    assert not compare(world, oracle, event)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("old", ["32", "16"])
@pytest.mark.parametrize(("mode", "level"), MODES)
def test_a_task_gate_switches_as_qemu_does(world, oracle, mode, level, old, event):
    """With a 16-bit TSS on either side QEMU 5 reads and writes it in other places: see `test_delivery.py` for those."""
    world.enter(mode, level, tss=old, paging="32" if level else "")
    world.cpu.rflags |= ALL_FLAGS
    world.gate(EVENTS[event], 5, world["NEW_32"], 0, dpl=3)
    differences = compare(world, oracle, event)
    if old == "16":  # known difference: QEMU saves the old task in the new TSS's format
        differences = [what for what in differences if not what.startswith("[44")]
    assert not differences


# -- anything at all ------------------------------------------------------------------------------------------------

SELECTORS = [
    "CODE_0", "DATA_0", "CODE16_0", "DATA16_0", "CODE_3", "DATA_3", "CODE16_3", "CONFORMING", "CODE_1", "DATA_1",
    "CODE64_0", "CODE64_3", "CONFORMING64", "ABSENT_CODE", "TASK_32", "NEW_32", "LOCAL",
]  # fmt: skip
KNOWN_DIFFERENCES = ["ABSENT_DATA", "SHORT_CODE", "SHORT_STACK", "FRESH_CODE", "FRESH_DATA", "DOWN_STACK"]
"""Segments that QEMU treats otherwise: see the table in docs/interrupts.md, and the tests below."""
PAGES = [0x1000, 0x2000, 0x4000, 0x2_0000, 0x2_7000, 0x2_8000]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_gate_and_any_stack_end_as_in_qemu(world, oracle, data):
    """Random gates, selectors, task segments, levels and page rights: the same handler, or the same fault."""
    mode, level = data.draw(st.sampled_from([*MODES, ("64", 0), ("64", 3), ("compat", 3)]))
    paging, tss = data.draw(st.sampled_from(SURROUNDINGS))
    event = data.draw(st.sampled_from(sorted(EVENTS)))
    world = type(world)().enter(mode, level, paging=paging, tss=tss)
    avoided = {world[name] & ~7 for name in KNOWN_DIFFERENCES}
    numbers = st.integers(0, 0x100).filter(lambda selector: selector & ~7 not in avoided)
    selectors = st.sampled_from(SELECTORS).map(world.__getitem__) | numbers
    handler = data.draw(selectors)
    assume(mode != "vm86" or handler & ~7 not in (world["CODE_1"], world["DATA_1"]))
    world.cpu.rflags |= data.draw(st.integers(0, 0x7FFF)) & 0x4ED5 | 0x3000
    for stack_level in (0, 1):
        selector = data.draw(st.just(world["DATA_0"]) | selectors) if tss == "32" else world["DATA16_0"]
        world.inner_stack(stack_level, selector, selector)
    kinds = st.sampled_from([14, 15] if world.wide_gates else [6, 7, 14, 15]) | st.integers(0, 31).filter(
        lambda k: k != 5
    )
    rights = {"dpl": data.draw(st.integers(0, 3)), "absent": data.draw(st.sampled_from([0, 0, 0, 1]))}
    world.gate(EVENTS[event], data.draw(kinds), handler, data.draw(st.integers(0, 0xFFFF)), **rights)
    if data.draw(st.booleans()):
        world.cpu.head.tr.limit = data.draw(st.integers(0, 0x20))
    if paging or world.wide_gates:
        # Known difference: a frame at level 3 is a user access; QEMU pushes it as the supervisor.
        entries = st.sampled_from([0x66, 0x65, 0x63, 0x61, 0x07, 0x47] if level < 3 else [0x66, 0x07, 0x47, 0x67])
        for linear in data.draw(st.lists(st.sampled_from(PAGES), max_size=3)):
            world.put(world.page_entry(linear), 4, linear | data.draw(entries))
        world.cpu.head.cr[0] |= data.draw(st.sampled_from([0, CR0_WP]))
    assert not compare(world, oracle, event)


# -- known differences, by name -------------------------------------------------------------------------------------


def test_a_first_use_sets_the_accessed_bit_which_qemu_does_not(world, oracle):
    world.enter("32", 3)
    world.inner_stack(0, world["FRESH_DATA"], 0)
    world.gate(0x80, 14, world["FRESH_CODE"], 0x4321, dpl=3)
    code, stack = (world["GDT"] + world[name] + 4 for name in ("FRESH_CODE", "FRESH_DATA"))
    expected = {"segs[1].flags", "segs[2].flags", f"[{code:X}h]", f"[{stack:X}h]"}
    assert {what.split()[0] for what in compare(world, oracle, "int")} == expected
    assert world.get(code, 4) & world.get(stack, 4) & 0x100


def test_an_absent_inner_stack_is_a_stack_fault_and_in_qemu_an_invalid_tss(world, oracle):
    world.enter("32", 3)
    world.inner_stack(0, world["ABSENT_DATA"], 0)
    world.gate(0x80, 14, world["CODE_0"], 0x4321, dpl=3)
    (difference,) = compare(world, oracle, "int")
    assert difference.startswith("ours (12, 128") and difference.endswith("QEMU's (10, 128)")


@pytest.mark.parametrize(
    ("handler", "stack", "vector"),
    [("SHORT_CODE", "DATA_0", 13), ("CODE_0", "SHORT_STACK", 12), ("CODE_0", "DOWN_STACK", 12)],
)
def test_limits_are_checked_here_and_not_in_qemu(world, oracle, handler, stack, vector):
    world.enter("32", 3)
    world.inner_stack(0, world[stack], 0)
    world.put(world["TSS_32"] + 4, 4, 0x2_7FF0)
    world.gate(0x80, 14, world[handler], 0x4321, dpl=3)
    (difference,) = compare(world, oracle, "int")
    assert difference.startswith(f"ours ({vector}")


def test_a_virtual_8086_handler_at_level_1_is_refused_here_and_not_in_qemu(world, oracle):
    world.enter("vm86", 3)
    world.gate(0x20, 14, world["CODE_1"], 0x4321)
    (difference,) = compare(world, oracle, "hardware")
    assert difference.startswith("ours (13, 'selector 0050h") or "level 0" in difference


def test_a_frame_at_level_3_is_a_user_access_here_and_the_supervisors_in_qemu(world, oracle):
    world.enter("32", 3, paging="32")
    world.put(world.page_entry(0x2_0000), 4, 0x2_0000 | 0x63)
    world.gate(0x80, 14, world["CODE_3"], 0x4321, dpl=3)
    (difference,) = compare(world, oracle, "int")
    assert difference.startswith("ours (14")


@pytest.mark.parametrize("target", ["TASK_32", "CODE_0", "LOCAL", "ABSENT_CODE"])
def test_a_task_gate_to_anything_but_an_available_tss_faults_as_in_qemu(world, oracle, target):
    world.enter("32", 0)
    world.gate(0x20, 5, world[target], 0)
    assert not compare(world, oracle, "hardware")
    assert world.cpu.head.tr.selector == world["TASK_32"]


# -- two facts about flags that delivery and Registers build on -----------------------------------------------------


def run_nops(eflags, cc_src=0, hflags=0):
    """Run `setc al; nop` with these flags in the engine's fields; return AL and the vectors that were raised."""
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.mem_map(0, 0x10000)
    uc.mem_write(0x1000, b"\x0f\x92\xc0\x90")
    raised = []
    uc.hook_add(unicorn.UC_HOOK_INTR, lambda engine, vector, _: (raised.append(vector), engine.emu_stop()))
    context = uc.context_save()
    head = CpuHead.from_address(ctypes.cast(context.context, ctypes.c_void_p).value + 40)
    head.eflags, head.cc_op, head.cc_src = eflags, 1, cc_src
    head.hflags |= hflags
    uc.context_restore(context)
    uc.emu_start(0x1000, 0x1004)
    return uc.reg_read(unicorn.x86_const.UC_X86_REG_AL), raised


def test_a_run_begins_with_the_arithmetic_flags_in_eflags_and_forgets_cc_src():
    assert run_nops(0x3)[0] == 1
    assert run_nops(0x2, cc_src=1)[0] == 0


def test_tf_left_in_hflags_traps_although_eflags_has_none():
    assert run_nops(0x2)[1] == []
    assert run_nops(0x2, hflags=TF)[1] == [1]
