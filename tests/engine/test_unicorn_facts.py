"""What the engine builds on, proven on Unicorn itself: a release that changes one of these facts fails here."""

import ctypes
import mmap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from minivm.engine import library, probes
from minivm.engine.cpustate import CR0_PE, CR0_PG, CR4_PSE, CS, EFER_SCE, HF_CS64, HF_PE, SS, TF, CpuHead, Registers
from minivm.engine.segments import fill_cache, update_hflags
from minivm.engine.thunk import ONE_INSTRUCTION, WHOLE_BLOCK

RAM_BYTES = 1 << 20
ROM, ROM_BYTES, HOLE = 0xF0000, 0x10000, 0x10_0000
CODE, STACK = 0x7C00, 0x9000
LONG_LINE = b"\xff\xc3" * 700


class Raw:
    """An engine without anything of ours but the library: 960 KiB of RAM, 64 KiB of ROM, a hole; real mode."""

    def __init__(self, shadow: bool = True) -> None:
        self.lib = library.library()
        self.uc = self.lib.open()
        self.uc.ignore_until()
        self.uc.set_buffer_size(1 << 20)
        self.ram = mmap.mmap(-1, RAM_BYTES)
        host = ctypes.addressof(ctypes.c_char.from_buffer(self.ram))
        self.uc.map_ram(0, ROM, host, library.PROT_ALL)
        self.uc.map_ram(ROM, ROM_BYTES, host + ROM, library.PROT_ALL)
        self.uc.make_read_only(ROM, ROM_BYTES)
        self.touched: list[tuple[str, int, int]] = []
        self.uc.map_mmio(HOLE, (1 << 32) - HOLE, self._mmio_read(), self._mmio_write())
        places = self.places = probes.layout(self.lib)
        at = probes.head_address(self.uc, places)
        self.head = CpuHead.from_address(at)
        self.efer = ctypes.c_uint64.from_address(at + places.efer)
        self.old_exception = ctypes.c_int32.from_address(at + places.old_exception)
        self.is_int = ctypes.c_int32.from_address(at + places.exception_is_int)
        self.error_code = ctypes.c_int32.from_address(at + places.error_code)
        self.block_flags = ctypes.c_uint32.from_address(at - places.head + places.block_flags)
        self.cpu = Registers(self.head, self._flags)
        self.fills: list[tuple[int, int]] = []
        self.permissions: dict[int, int] = {}
        self.blocks: list[tuple[int, int]] = []
        self.vectors: list[tuple[int, int]] = []
        self.stop_at_block = -1
        self.on_vector: Callable[[int], None] = lambda vector: None
        if shadow:
            self.hook(library.HOOK_TLB_FILL, library.FILL_CALLBACK(self._fill))
            self.uc.set_tlb_mode(library.TLB_VIRTUAL)
        self.hook(library.HOOK_BLOCK, library.BLOCK_CALLBACK(self._block))
        self.hook(library.HOOK_INTR, library.INTR_CALLBACK(self._interrupt))
        self.enter_real()

    def hook(self, kind: int, callback: Any, **options: Any) -> None:
        self.uc.hook(kind, callback, **options)

    def enter_real(self) -> None:
        head = self.head
        head.cr[0], head.hflags, head.hflags2 = 0x10, 0, 0
        self.efer.value = 0
        for index in range(6):
            fill_cache(head.segs[index], 0, 0, 0xFFFF, 0x9B00 if index == CS else 0x9300)
        fill_cache(head.idt, 0, 0, 0x3FF, 0)
        self.cpu.rflags = 2
        update_hflags(head)
        head.regs[4] = STACK

    def enter_flat(self, bits: int = 32) -> None:
        head = self.head
        head.cr[0] |= CR0_PE
        head.hflags |= HF_PE
        for index in range(6):
            fill_cache(head.segs[index], 8, 0, 0xFFFF_FFFF, 0xCF_9B00 if index == CS else 0xCF_9300)
        update_hflags(head)
        self.uc.flush_tlb()

    def run(self, code: bytes = b"", at: int = CODE) -> int:
        if code:
            self.ram[at : at + len(code)] = code
            self.uc.remove_code(at, at + len(code))
        self.head.eip = at
        return self.go()

    def go(self, flags: int = WHOLE_BLOCK) -> int:
        if self.head.cc_op == 1:
            self.head.eflags = self.cpu.rflags
        self.block_flags.value = flags
        return int(self.lib.dll.uc_emu_start(self.uc.handle, self.head.eip, 0, 0, 0))

    def stop(self) -> None:
        self.lib.dll.uc_emu_stop(self.uc.handle)

    def _flags(self) -> int:
        cell = ctypes.c_uint64()
        self.lib.dll.uc_reg_read(self.uc.handle, library.REG_EFLAGS, ctypes.byref(cell))
        return cell.value

    def _fill(self, uc: int, linear: int, access: int, answer: Any, data: int) -> bool:
        self.fills.append((linear, access))
        if self.head.cr[0] & CR0_PG:
            self.uc.set_tlb_mode(library.TLB_CPU)
            return False
        answer[0].physical, answer[0].permissions = linear, self.permissions.get(linear, library.PROT_ALL)
        return True

    def _block(self, uc: int, address: int, size: int, data: int) -> None:
        self.blocks.append((address, size))
        if len(self.blocks) - 1 == self.stop_at_block:
            self.stop()

    def _interrupt(self, uc: int, vector: int, data: int) -> None:
        self.old_exception.value = -1
        self.vectors.append((vector, self.head.eip))
        self.on_vector(vector)
        if len(self.vectors) > 20:
            self.stop()

    def _mmio_read(self) -> Any:
        def read(uc: int, offset: int, size: int, data: int) -> int:
            self.touched.append(("read", offset, size))
            return 0xFFFF_FFFF_FFFF_FFFF >> (64 - 8 * size)

        return library.MMIO_READ_CALLBACK(read)

    def _mmio_write(self) -> Any:
        def write(uc: int, offset: int, size: int, value: int, data: int) -> None:
            self.touched.append(("write", offset, size))

        return library.MMIO_WRITE_CALLBACK(write)


@pytest.fixture
def raw() -> Iterator[Raw]:
    engine = Raw()
    yield engine
    engine.uc.close()


# -- running and stopping --------------------------------------------------------------------------------------------


def test_hlt_returns_without_an_error_and_the_instruction_pointer_behind_it(raw: Raw) -> None:
    assert raw.run(b"\x90\xf4\x90") == library.ERR_OK
    assert raw.head.eip == CODE + 2


def test_a_stop_in_the_block_hook_comes_before_anything_of_the_block(raw: Raw) -> None:
    raw.stop_at_block = 1
    raw.run(b"\x43\xeb\x00\x43\xf4")
    assert (raw.head.eip, raw.head.regs[3]) == (CODE + 3, 1)
    assert raw.blocks == [(CODE, 3), (CODE + 3, 2)]


def test_the_block_hook_sees_the_flags_that_the_processor_has(raw: Raw) -> None:
    """IF and the shadow are what the thunk reads; STI ends its block, so the next one begins in the shadow."""
    seen: list[tuple[int, int]] = []
    callback = lambda uc, address, size, data: seen.append((raw.head.eflags >> 9 & 1, raw.head.hflags >> 3 & 1))  # noqa: E731
    raw.hook(library.HOOK_BLOCK, library.BLOCK_CALLBACK(callback))
    raw.run(b"\xfb\x90\x90\xf4")
    assert raw.blocks == [(CODE, 1), (CODE + 1, 1), (CODE + 2, 2)]
    assert seen == [(0, 0), (1, 1), (1, 0)]


def test_each_iteration_of_rep_is_a_block_of_its_own(raw: Raw) -> None:
    raw.run(b"\xb9\x03\x00\xf3\xaa\xf4")
    assert raw.blocks == [(CODE, 5), *[(CODE + 3, 2)] * 3, (CODE + 5, 1)], "and one more sees that CX is 0"


def test_a_block_ends_after_as_many_instructions_as_qemu_likes(raw: Raw) -> None:
    raw.run(LONG_LINE + b"\xf4")
    assert len(raw.blocks) == 2
    assert sum(size for _, size in raw.blocks) == len(LONG_LINE) + 1


def test_the_next_block_can_be_asked_to_be_one_instruction(raw: Raw) -> None:
    """QEMU's cflags_next_tb: the step gear. The bit 8000h changes nothing but keeps such blocks apart."""
    raw.ram[CODE : CODE + 4] = b"\x43\x43\x43\xf4"
    raw.head.eip, raw.stop_at_block = CODE, 1
    raw.go(ONE_INSTRUCTION)
    assert raw.blocks == [(CODE, 1), (CODE + 1, 3)]
    assert (raw.head.eip, raw.head.regs[3]) == (CODE + 1, 1)
    raw.blocks.clear()
    raw.stop_at_block = -1
    raw.run(at=CODE)
    assert raw.blocks == [(CODE, 4)], "the small block must not be found by an ordinary run"


def test_a_store_into_the_running_block_restarts_its_instruction_as_a_small_block(raw: Raw) -> None:
    raw.run(b"\x43\xc6\x06\x07\x7c\x43\x43\x90\xf4")  # inc bx; mov byte [7C07h], 43h; inc bx; nop -> inc bx; hlt
    assert raw.head.regs[3] == 3
    assert raw.blocks == [(CODE, 9), (CODE + 1, 5), (CODE + 6, 3)]


def test_the_edge_hook_tells_of_every_translation(raw: Raw) -> None:
    made: list[int] = []
    raw.hook(library.HOOK_EDGE_GENERATED, library.EDGE_CALLBACK(lambda uc, block, before, data: made.append(1)))
    raw.run(b"\x43\xeb\x00\xf4")
    made.clear()
    raw.run(at=CODE)
    assert not made
    raw.uc.remove_code(CODE, CODE + 1)
    raw.run(at=CODE)
    assert len(made) == 1


def test_stops_at_block_starts_are_exact_without_the_stop_checks(raw: Raw) -> None:
    assert raw.places.no_exit_request is not None
    ctypes.c_ubyte.from_address(raw.uc.address + raw.places.no_exit_request).value = 1
    raw.ram[CODE : CODE + 12] = b"\xb9\xe8\x03\xff\x06\x00\x05\xe2\xfa\xf4\x90\x90"  # 1000 times inc word [500h]
    raw.head.eip, stops = CODE, 0
    while True:
        raw.stop_at_block = len(raw.blocks) + 3
        raw.go()
        if raw.head.eip == CODE + 10:
            break
        stops += 1
    assert stops > 300
    assert int.from_bytes(raw.ram[0x500:0x502], "little") == 1000


# -- exceptions ------------------------------------------------------------------------------------------------------


def skip(raw: Raw, length: int) -> Callable[[int], None]:
    def handle(vector: int) -> None:
        if not raw.is_int.value:
            raw.head.eip += length

    return handle


@pytest.mark.parametrize(
    ("code", "vector", "behind", "is_int"),
    [
        (b"\xf6\xf1", 0, 0, 0), (b"\xcd\x21", 0x21, 2, 1), (b"\xcc", 3, 1, 1),
        (b"\xb0\x7f\x04\x01\xce", 4, 5, 1),
    ],
    ids=["a fault at itself", "INT n behind", "INT3 behind", "INTO behind"],
)  # fmt: skip
def test_where_the_instruction_pointer_is_in_the_interrupt_hook(raw: Raw, code, vector, behind, is_int) -> None:
    kinds: list[int] = []
    raw.on_vector = lambda vector: (kinds.append(raw.is_int.value), raw.stop())  # type: ignore[func-returns-value]
    raw.run(code + b"\x90\xf4")
    assert raw.vectors[0] == (vector, CODE + behind)
    assert kinds[0] == is_int


def test_int1_is_taken_for_an_invalid_opcode(raw: Raw) -> None:
    assert raw.run(b"\x43\xf1\xf4") == 10  # UC_ERR_INSN_INVALID
    assert (raw.head.eip, raw.vectors) == (CODE + 1, [])


def test_a_single_step_trap_comes_behind_the_instruction(raw: Raw) -> None:
    raw.cpu.rflags = TF | 2
    raw.on_vector = lambda vector: setattr(raw.cpu, "rflags", 2)
    raw.run(b"\x43\x43\xf4")
    assert raw.vectors == [(1, CODE + 1)]


def test_without_clearing_the_old_exception_a_second_fault_is_a_double_fault(raw: Raw) -> None:
    divide = b"\xf6\xf1"
    raw.on_vector = skip(raw, 2)
    raw.run(divide * 3 + b"\xf4")
    assert [vector for vector, _ in raw.vectors] == [0, 0, 0]
    raw.vectors.clear()

    def forgetful(vector: int) -> None:
        raw.old_exception.value = 0
        raw.head.eip += 2

    raw.on_vector = forgetful
    raw.run(divide * 2 + b"\xf4")
    assert [vector for vector, _ in raw.vectors] == [0, 8]


def test_the_error_code_is_the_selector(raw: Raw) -> None:
    raw.enter_flat()
    raw.on_vector = lambda vector: raw.stop()
    raw.run(b"\x66\xb8\x38\x12\x8e\xd8")
    assert (raw.vectors[0], raw.error_code.value) == ((13, CODE + 4), 0x1238)


def test_an_unknown_opcode_goes_to_its_own_hook_and_true_means_go_on(raw: Raw) -> None:
    def invalid(uc: int, data: int) -> int:
        raw.head.eip += 2
        return 1

    raw.hook(library.HOOK_INSN_INVALID, library.FLAG_CALLBACK(invalid))
    assert raw.run(b"\x0f\x0b\x43\xf4") == library.ERR_OK
    assert raw.head.regs[3] == 1
    assert not raw.vectors


# -- hooked instructions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"), [("INSN_RDTSC", b"\x0f\x31"), ("INSN_RDTSCP", b"\x0f\x01\xf9"), ("INSN_CPUID", b"\x0f\xa2")]
)
def test_rdtsc_and_cpuid_are_the_hooks_when_it_returns_true(raw: Raw, name: str, code: bytes) -> None:
    def answer(uc: int, data: int) -> int:
        assert raw.head.eip == CODE + 1, "the instruction pointer must be exact for the time"
        raw.head.regs[0], raw.head.regs[2] = 0x1234, 0x5678
        return 1

    raw.hook(library.HOOK_INSN, library.FLAG_CALLBACK(answer), insn=getattr(library, name))
    raw.run(b"\x90" + code + b"\xf4")
    assert (raw.head.regs[0], raw.head.regs[2]) == (0x1234, 0x5678)


@pytest.mark.parametrize("prefix", [b"", b"\x66", b"\xf3\x66"], ids=["plain", "one prefix", "two prefixes"])
@pytest.mark.parametrize(("name", "opcode"), [("INSN_SYSCALL", b"\x0f\x05"), ("INSN_SYSENTER", b"\x0f\x34")])
def test_after_a_fast_call_the_engine_adds_its_whole_length(raw: Raw, name: str, opcode: bytes, prefix: bytes) -> None:
    """Both instructions do nothing by themselves; prefixes count."""
    raw.enter_flat()
    raw.efer.value = EFER_SCE
    seen: list[int] = []

    def enter(uc: int, data: int, unused: int) -> None:
        seen.append(raw.head.eip)
        raw.head.eip = 0x7D00

    raw.hook(library.HOOK_INSN, library.INTR_CALLBACK(enter), insn=getattr(library, name))
    raw.ram[0x7D00:0x7D10] = b"\x90" * 4 + b"\xf4" * 12
    raw.run(prefix + opcode)
    assert seen == [CODE]
    assert raw.blocks[1][0] == 0x7D00 + len(prefix) + 2


def test_in_and_out_see_the_exact_instruction_pointer(raw: Raw) -> None:
    seen: list[tuple[int, int, int]] = []

    def read(uc: int, port: int, size: int, data: int) -> int:
        seen.append((port, size, raw.head.eip))
        return 0x5A

    def write(uc: int, port: int, size: int, value: int, data: int) -> None:
        seen.append((port, size, raw.head.eip))

    raw.hook(library.HOOK_INSN, library.IN_CALLBACK(read), insn=library.INSN_IN)
    raw.hook(library.HOOK_INSN, library.OUT_CALLBACK(write), insn=library.INSN_OUT)
    raw.run(b"\x90\xe4\x10\x90\xe7\x20\xf4")
    assert seen == [(0x10, 1, CODE + 1), (0x20, 2, CODE + 4)]
    assert raw.head.regs[0] & 0xFF == 0x5A


# -- memory ----------------------------------------------------------------------------------------------------------


def test_the_fill_hook_says_what_kind_of_access_missed(raw: Raw) -> None:
    raw.run(b"\xa0\x00\x20\xa2\x00\x30\xf4")  # mov al, [2000h]; mov [3000h], al
    assert raw.fills == [(0x7000, library.MEM_FETCH), (0x2000, 16), (0x3000, library.MEM_WRITE)]


def test_a_write_to_rom_is_dropped_on_its_way_when_its_hook_allows_it(raw: Raw) -> None:
    callback = library.MEMORY_CALLBACK(lambda uc, access, *rest: access == library.MEM_WRITE_PROT)
    raw.hook(library.HOOK_MEM_INVALID, callback, begin=ROM, end=ROM + ROM_BYTES - 1)
    raw.ram[ROM] = 0x11
    code = b"\xb8\x00\xf0\x8e\xd8\xfe\x06\x00\x00\xa0\x00\x00\xf4"  # ds = F000h; inc byte [0]; mov al, [0]
    assert raw.run(code) == library.ERR_OK
    assert (raw.ram[ROM], raw.head.regs[0] & 0xFF) == (0x11, 0x11)


def test_a_hook_for_refused_accesses_makes_no_store_slow_outside_its_range(raw: Raw) -> None:
    """Where such a hook lies the page never becomes dirty, and each store takes Unicorn's slow path."""
    callback = library.MEMORY_CALLBACK(lambda *access: True)
    raw.hook(library.HOOK_MEM_INVALID, callback, begin=ROM, end=ROM + ROM_BYTES - 1)
    raw.permissions[0x2000] = library.PROT_READ | library.PROT_WRITE
    assert raw.run(b"\xb9\x00\x00" + b"\xfe\x06\x00\x20\xe2\xfa\xf4") == library.ERR_OK


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"\xa1\x00\x00\x20\x00", [("read", 0x10_0000, 4)]),
        (b"\xa1\x02\x00\x20\x00", [("read", 0x10_0000, 4), ("read", 0x10_0004, 4)]),
        (b"\xa2\x03\x00\x20\x00", [("write", 0x10_0003, 1)]),
    ],
    ids=["aligned", "unaligned: two of the full size", "a byte"],
)
def test_accesses_to_the_hole_arrive_with_offsets_from_its_base(raw: Raw, code, expected) -> None:
    raw.enter_flat()
    raw.run(code + b"\xf4")
    assert raw.touched == expected


def test_an_unaligned_write_to_the_hole_arrives_byte_by_byte(raw: Raw) -> None:
    raw.enter_flat()
    raw.run(b"\xa3\x02\x00\x20\x00\xf4")
    assert raw.touched == [("write", 0x10_0002 + offset, 1) for offset in range(4)]


def test_when_paging_is_turned_on_the_next_miss_sees_it_and_the_engines_own_mmu_takes_over(raw: Raw) -> None:
    raw.enter_flat()
    raw.head.cr[4] |= CR4_PSE
    raw.head.cr[3] = 0x10000
    raw.ram[0x10000:0x10004] = (0x83).to_bytes(4, "little")  # 4 MiB, one to one
    raw.ram[0x10004:0x10008] = (0x83).to_bytes(4, "little")  # and once more above
    code = b"\x0f\x20\xc0\x0d\x00\x00\x00\x80\x0f\x22\xc0\xa0\x00\x7c\x40\x00\xf4"  # or cr0, PG; mov al, [407C00h]
    status = raw.run(code)
    assert (status, raw.head.eip) == (library.ERR_EXCEPTION, CODE + 11)
    assert raw.fills[-1] == (0x7000, library.MEM_FETCH)
    assert raw.go() == library.ERR_OK
    assert raw.head.regs[0] & 0xFF == 0x0F


def test_a_page_fault_sets_cr2_and_arrives_with_its_error_code(raw: Raw) -> None:
    raw.enter_flat()
    raw.head.cr[0] |= CR0_PG
    raw.head.cr[3], raw.head.cr[4] = 0x10000, CR4_PSE
    raw.ram[0x10000:0x10004] = (0x83).to_bytes(4, "little")
    raw.uc.set_tlb_mode(library.TLB_CPU)
    raw.uc.flush_tlb()
    raw.on_vector = lambda vector: raw.stop()
    raw.run(b"\x90\xa2\x00\x10\x40\x00\xf4")
    assert (raw.vectors[0], raw.head.cr[2], raw.error_code.value) == ((14, CODE + 1), 0x40_1000, 2)


def test_the_a20_mask_counts_only_in_the_engines_own_mmu(raw: Raw) -> None:
    raw.enter_flat()
    raw.uc.set_tlb_mode(library.TLB_CPU)
    raw.head.a20_mask = ~(1 << 20)
    raw.uc.flush_tlb()
    raw.ram[0x600] = 0x77
    raw.run(b"\xa0\x00\x06\x10\x00\xf4")
    assert raw.head.regs[0] & 0xFF == 0x77


def test_a_host_write_does_not_drop_code_and_removing_it_does(raw: Raw) -> None:
    raw.run(b"\xb3\x11\xf4")
    raw.ram[CODE + 1] = 0x22
    raw.run(at=CODE)
    assert raw.head.regs[3] == 0x11
    raw.uc.remove_code(CODE + 1, CODE + 2)
    raw.run(at=CODE)
    assert raw.head.regs[3] == 0x22


def test_the_live_head_is_the_processor(raw: Raw) -> None:
    raw.head.regs[3] = 0x1234_5678_9ABC_DEF0
    raw.enter_flat()
    fill_cache(raw.head.segs[SS], 0x10, 0x1000, 0xFFFF_FFFF, 0xCF_9300)
    update_hflags(raw.head)
    raw.run(b"\x89\xd8\x53\xf4")  # mov eax, ebx; push ebx
    assert raw.head.regs[0] == 0x9ABC_DEF0
    assert raw.ram[0x1000 + STACK - 4 : 0x1000 + STACK] == bytes.fromhex("f0debc9a")
    assert not raw.head.hflags & HF_CS64
