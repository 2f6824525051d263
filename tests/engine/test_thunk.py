"""The block thunk: its machine code is its assembly, and its Python twin does the same."""

import ctypes
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_uint32, c_uint64, c_void_p

import keystone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minivm.engine import coverage, fill, thunk
from minivm.engine.cpustate import HF_INHIBIT_IRQ, IF, RF, CpuHead
from minivm.engine.library import BLOCK_CALLBACK, library
from minivm.engine.thunk import ONE_INSTRUCTION, WHOLE_BLOCK, BlockCell, Thunk

STOP = CFUNCTYPE(None, c_void_p)


class Hook:
    """A thunk with a cell, a processor's head and a stop function of the test's own."""

    def __init__(self, native: bool, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        self.head = CpuHead()
        self.flags = c_uint32(WHOLE_BLOCK)
        self.cell = BlockCell(head=ctypes.addressof(self.head), limit=1 << 62)
        self.cell.block_flags = ctypes.addressof(self.flags)
        self.stops = 0
        self._stop = STOP(self._count)
        self.thunk = Thunk(library(), self.cell, native=native)
        self.cell.stop = ctypes.cast(self._stop, c_void_p).value or 0
        if not native:
            self.thunk._library = self
        self.dll = self
        code = ctypes.cast(self.thunk.callback, c_void_p).value
        self._call: Callable[..., None] = CFUNCTYPE(None, c_void_p, c_uint64, c_uint32, c_void_p)(code or 0)

    def uc_emu_stop(self, uc: int) -> None:
        self.stops += 1

    def _count(self, uc: int) -> None:
        self.stops += 1

    def enter(self, address: int, size: int) -> None:
        self._call(None, address, size, ctypes.addressof(self.cell))

    def words(self) -> tuple[int, ...]:
        own = ("stop", "slow", "head", "block_flags", "pages", "points", "ran", "known")
        fields = [getattr(self.cell, name) for name, *_ in BlockCell._fields_ if name not in own]
        return (*fields, self.stops, self.head.eflags, self.flags.value)


@pytest.fixture(params=[True, False], ids=["machine code", "Python"])
def hook(request: pytest.FixtureRequest) -> Hook:
    return Hook(request.param)


@pytest.mark.parametrize("module", [thunk, fill, coverage], ids=["block", "fill", "coverage"])
def test_the_machine_code_is_what_the_assembly_says(module) -> None:
    encoded, _ = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64).asm(module.ASSEMBLY)
    assert bytes(encoded) == module.MACHINE_CODE


def test_a_block_is_booked_with_its_place_its_size_and_its_start(hook: Hook) -> None:
    hook.cell.retired = 100
    hook.enter(0x7C00, 12)
    cell = hook.cell
    assert (cell.address, cell.size, cell.start, cell.retired, cell.stopped) == (0x7C00, 12, 100, 112, 0)


def test_at_the_limit_the_engine_is_stopped_and_nothing_is_booked(hook: Hook) -> None:
    hook.cell.retired = hook.cell.limit = 100
    hook.enter(0x7C00, 12)
    assert (hook.cell.stopped, hook.stops, hook.cell.retired, hook.cell.size) == (1, 1, 100, 0)


@pytest.mark.parametrize(
    ("eflags", "hflags", "window", "stopped"),
    [(IF, 0, IF, 1), (0, 0, IF, 0), (IF, HF_INHIBIT_IRQ, IF, 0), (IF, 0, 0, 0)],
    ids=["taken", "IF clear", "in the shadow", "none waits"],
)
def test_an_interrupt_that_waits_stops_where_it_can_be_taken(hook: Hook, eflags, hflags, window, stopped) -> None:
    hook.head.eflags, hook.head.hflags, hook.cell.window = eflags, hflags, window
    hook.enter(0x7C00, 12)
    assert hook.cell.stopped == stopped


def test_the_rest_of_a_block_that_rewrote_itself_is_charged_once_and_never_stopped_at(hook: Hook) -> None:
    hook.enter(0x7C00, 30)
    hook.cell.limit = 0
    hook.enter(0x7C0A, 5)
    cell = hook.cell
    assert (cell.start, cell.retired, cell.address, cell.size, hook.stops) == (10, 15, 0x7C0A, 5, 0)


@pytest.mark.parametrize(("address", "size"), [(0x7C00, 30), (0x7C0A, 20), (0x7C1E, 4), (0x7BFF, 8)])
def test_a_loop_or_a_jump_elsewhere_is_charged_in_full(hook: Hook, address: int, size: int) -> None:
    hook.enter(0x7C00, 30)
    hook.enter(address, size)
    assert (hook.cell.start, hook.cell.retired) == (30, 30 + size)


def test_rf_does_not_outlive_the_block_that_began_with_it(hook: Hook) -> None:
    hook.head.eflags = RF | IF
    hook.enter(0x7C00, 1)
    assert hook.head.eflags == IF


def test_the_step_gear_passes_one_block_and_asks_for_small_ones(hook: Hook) -> None:
    hook.cell.stepping, hook.cell.allowed = 1, 1
    hook.enter(0x7C00, 3)
    assert (hook.stops, hook.flags.value) == (0, ONE_INSTRUCTION)
    hook.enter(0x7C03, 2)
    cell = hook.cell
    assert (cell.this_address, cell.this_size, cell.next_address, cell.next_size) == (0x7C00, 3, 0x7C03, 2)
    assert (hook.stops, cell.stopped, cell.retired) == (1, 1, 0)


entry = st.tuples(st.integers(0x7C00, 0x7C40), st.integers(1, 48))


@given(st.lists(entry, max_size=12), st.integers(0, 200), st.sampled_from([0, IF]), st.integers(0, 1))
def test_both_twins_keep_the_same_books(blocks, limit: int, window: int, stepping: int) -> None:
    twins = Hook(True), Hook(False)
    for twin in twins:
        twin.cell.limit, twin.cell.window, twin.cell.stepping, twin.cell.allowed = limit, window, stepping, 3
        twin.head.eflags = RF
        for address, size in blocks:
            twin.enter(address, size)
            twin.flags.value = 0
    assert twins[0].words() == twins[1].words()


def test_the_hook_has_the_type_that_unicorn_calls() -> None:
    assert BLOCK_CALLBACK is not None
    assert isinstance(Hook(True).thunk.callback, c_void_p)
