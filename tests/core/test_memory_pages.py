"""Copies of RAM that share pages, and the list of pages that were written, with the kernel's help and without."""

import ctypes
import gc
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minivm
import minivm.pc
from minivm.core import pagemap
from minivm.core.memory import MIB, PAGE, Memory
from minivm.errors import MemoryRangeError

needs_page_map = pytest.mark.skipif(not pagemap.supported(), reason="this host has no page map or no memfd")


@pytest.fixture(params=["page map", "copies"], autouse=True)
def way(request, monkeypatch):
    """Run each test on both ways to know what was written."""
    if request.param == "copies":
        monkeypatch.setattr(pagemap, "supported", lambda: False)
    elif not pagemap.supported():
        pytest.skip("this host has no page map or no memfd")
    return request.param


@pytest.fixture
def memory():
    ram = Memory(2 * MIB)
    yield ram
    ram.close()


def host_address(memory):
    return ctypes.addressof((ctypes.c_char * 0).from_buffer(memory.buffer))


def mappings_and_descriptors():
    gc.collect()
    lines = Path("/proc/self/maps").read_text(encoding="ascii").splitlines() if pagemap.supported() else []
    return sum("minivm-ram" in line for line in lines), len(list(Path("/proc/self/fd").iterdir()))


def differing(before, after):
    """Return the pages in which two contents differ."""
    return {at // PAGE for at in range(0, len(after), PAGE) if before[at : at + PAGE] != after[at : at + PAGE]}


# -- written pages -------------------------------------------------------------------------------------------
def test_changed_lists_what_was_written_since_the_mark_whoever_wrote(memory):
    memory.write(0x1000, b"before")
    memory.mark()
    assert memory.changed() == []
    memory.write(0x2FFF, b"ab")
    memory.view[0x10_0000] = 1
    ctypes.memset(host_address(memory) + 0x1F_FFFF, 7, 1)
    assert memory.changed() == [2, 3, 0x100, 0x1FF]
    assert memory.changed() == [2, 3, 0x100, 0x1FF]
    memory.mark()
    assert memory.changed() == []
    assert memory[0x2FFF:0x3001] == b"ab"
    assert (memory[0x1000:0x1006], memory[0x10_0000], memory[0x1F_FFFF]) == (b"before", b"\1", b"\7")


def test_without_a_mark_all_that_was_ever_written_has_changed(memory):
    memory.write(0x5000, b"x")
    assert memory.changed() == memory.used() == [5]
    memory.fork().close()
    memory.write(0x7000, b"x")
    assert memory.changed() == [5, 7]


def test_a_page_written_before_a_fork_is_still_in_the_period(memory):
    memory.mark()
    memory.write(0x3000, b"x")
    child = memory.fork()
    memory.write(0x9000, b"y")
    second = memory.fork()
    memory.write(0xB000, b"z")
    third = memory.fork()
    assert set(memory.changed()) >= {3, 9, 11}
    assert memory.used() == [3, 9, 11]
    for ram in (child, second, third):
        ram.close()


def test_a_mark_beside_a_fork_leaves_the_fork_its_bytes(memory):
    memory.write(0x1000, b"old")
    child = memory.fork()
    memory.write(0x1000, b"new")
    memory.mark()
    assert memory.changed() == []
    assert (child[0x1000:0x1003], memory[0x1000:0x1003]) == (b"old", b"new")
    child.mark()
    child.write(0x1000, b"own")
    assert child.changed() == [1]
    assert memory[0x1000:0x1003] == b"new"
    child.close()


def test_used_never_misses_a_page_that_is_not_zero(memory):
    memory.write(0x4000, b"x")
    memory.mark()
    memory.write(0x8000, b"y")
    assert memory.used() == [4, 8]
    child = memory.fork()
    assert child.used() == [4, 8]
    child.close()


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["write", "poke", "mark", "fork"]), st.integers(0, MIB - 8), st.integers(1, 255)),
        max_size=30,
    ),
    kernel=st.booleans(),
)
def test_no_changed_page_is_ever_missed(steps, kernel):
    with pytest.MonkeyPatch.context() as patch:
        if not kernel:
            patch.setattr(pagemap, "supported", lambda: False)
        memory, forks = Memory(MIB), []
        before = bytes(MIB)
        for action, at, value in steps:
            if action == "write":
                memory.write(at, bytes([value] * 8))
            elif action == "poke":
                memory.view[at] = value
            elif action == "mark":
                content = memory.read(0, MIB)
                memory.mark()
                before = memory.read(0, MIB)
                assert before == content
            else:
                forks.append(memory.fork())
            now = memory.read(0, MIB)
            assert differing(before, now) <= set(memory.changed())
            assert differing(bytes(MIB), now) <= set(memory.used())
        for ram in (memory, *forks):
            ram.close()


# -- forks ---------------------------------------------------------------------------------------------------
def test_a_fork_and_its_parent_go_their_own_ways(memory):
    memory.write(0x1000, b"both")
    address = host_address(memory)
    child = memory.fork()
    assert host_address(memory) == address
    memory.write(0x1000, b"mine")
    child.write(0x2000, b"child")
    assert (memory[0x1000:0x1004], memory[0x2000:0x2005]) == (b"mine", bytes(5))
    assert (child[0x1000:0x1004], child[0x2000:0x2005]) == (b"both", b"child")
    assert child.size == memory.size
    child.close()


def test_a_fork_outlives_its_parent_and_a_window_on_it():
    parent = Memory(MIB)
    window = parent.view[0x1000:0x2000]
    parent.write(0x1000, b"kept")
    child = parent.fork()
    grandchild = child.fork()
    parent.close()
    parent.close()
    child.close()
    assert grandchild[0x1000:0x1004] == b"kept"
    assert bytes(window[:4]) == b"kept"
    window.release()
    grandchild.close()


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["write", "write", "many", "fork", "mark", "close", "put"]),
            st.integers(0, 7),
            st.integers(0, MIB // PAGE - 1),
            st.integers(1, 255),
        ),
        max_size=40,
    ),
    kernel=st.booleans(),
)
def test_a_family_of_forks_is_so_many_arrays_of_bytes(steps, kernel):
    with pytest.MonkeyPatch.context() as patch:
        if not kernel:
            patch.setattr(pagemap, "supported", lambda: False)
        family = [(Memory(MIB), {})]
        for action, who, page, value in steps:
            memory, model = family[who % len(family)]
            if action == "write":
                memory.view[page * PAGE + value] = value
                model[page * PAGE + value] = value
            elif action == "many":
                for at in range(page % 4 * PAGE, MIB, 3 * PAGE):
                    memory.view[at] = model[at] = value
            elif action == "put":
                memory.put_pages({page: bytes([value] * PAGE)})
                model |= dict.fromkeys(range(page * PAGE, (page + 1) * PAGE), value)
            elif action == "mark":
                memory.mark()
            elif action == "fork" and len(family) < 6:
                family.append((memory.fork(), dict(model)))
            elif action == "close" and len(family) > 1:
                memory.close()
                family.pop(who % len(family))
        for memory, model in family:
            expected = bytearray(MIB)
            for at, value in model.items():
                expected[at] = value
            assert memory.read(0, MIB) == expected
            memory.close()


def test_closing_in_any_order_leaves_nothing_behind(way):
    before = mappings_and_descriptors()
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
        parent = Memory(MIB)
        parent.write(0, b"x" * 100_000)
        child = parent.fork()
        child.write(0x3000, b"y" * 50_000)
        child.mark()
        family = [parent, child, child.fork(), parent.fork()]
        for index in order:
            family[index].close()
    assert mappings_and_descriptors() == before


def test_forks_of_a_memory_that_runs_on_share_what_it_has_not_written(way, memory):
    if way == "copies":
        pytest.skip("copies share nothing")
    memory.view[0:MIB] = os.urandom(MIB)
    forks = []
    for round in range(20):
        memory.view[PAGE * round] ^= 1
        forks.append(memory.fork())
    files = {id(fork._tracker._base): fork._tracker._base for fork in forks}.values()
    pages = sum(file.filled.count(1) for file in files)
    pages += sum(pagemap._private_pages(fork.buffer).count(1) for fork in forks)
    assert pages <= 20 * 256 // 5
    for fork in forks:
        fork.close()


# -- pages put back ------------------------------------------------------------------------------------------
def test_pages_are_put_back_in_runs_and_only_where_they_differ(memory):
    heard = []
    memory.write(0x5000, b"same" + bytes(PAGE - 4))
    memory.write_listeners.append(lambda start, end: heard.append((start, end)))
    full = b"\xaa" * PAGE
    memory.put_pages({9: full, 2: full, 1: full, 5: b"same" + bytes(PAGE - 4)})
    assert heard == [(0x1000, 0x3000), (0x9000, 0xA000)]
    assert memory[0x1000:0x3000] == full * 2
    memory.zero_pages([9, 7])
    assert memory[0x9000:0xA000] == bytes(PAGE)
    assert heard[2:] == [(0x9000, 0xA000)]


@pytest.mark.parametrize("pages", [{512: bytes(PAGE)}, {-1: bytes(PAGE)}, {3: b"short"}])
def test_a_page_that_is_none_is_refused_before_anything_is_written(memory, pages):
    with pytest.raises(MemoryRangeError):
        memory.put_pages({1: b"x" * PAGE} | pages)
    assert memory.used() == []


def test_a_memory_goes_back_to_any_of_its_marks(memory):
    history = [{}]
    for round in range(1, 5):
        memory.mark()
        for page in range(round, 60, round + 1):
            memory.write(page * PAGE, bytes([round]))
        history.append(history[-1] | {page: memory.read(page * PAGE, PAGE) for page in memory.changed()})
    for pages in (history[2], history[4], history[0], history[3]):
        memory.zero_pages(set(memory.used()) - set(pages))
        memory.put_pages(pages)
        expected = bytearray(memory.size)
        for page, data in pages.items():
            expected[page * PAGE : (page + 1) * PAGE] = data
        assert memory.read(0, memory.size) == expected


# -- with a guest on it --------------------------------------------------------------------------------------
@pytest.mark.parametrize("guest", ["hello-vga", "timer", "paging", "fractal"])
def test_what_a_guest_writes_is_found_and_its_ram_stays_where_it_is(guest):
    with minivm.boot(guest) as vm:
        address = host_address(vm.memory)
        for _ in range(6):
            before = vm.memory.read(0, vm.memory.size)
            vm.memory.mark()
            assert vm.memory.read(0, vm.memory.size) == before
            vm.run(ticks=60_000)
            after = vm.memory.read(0, vm.memory.size)
            assert differing(before, after) <= set(vm.memory.changed())
        assert host_address(vm.memory) == address


def test_a_guest_runs_the_same_on_marked_and_forked_memory():
    hashes = []
    for disturbed in (False, True):
        forks = []
        with minivm.boot("fractal") as vm:
            for _ in range(8):
                vm.run(ticks=200_000)
                if disturbed:
                    vm.memory.mark()
                    forks.append(vm.memory.fork())
            hashes.append(vm.state_hash())
        for fork in forks:
            fork.close()
    assert hashes[0] == hashes[1]


def test_a_second_machine_runs_on_a_fork_and_the_first_goes_on_undisturbed(monkeypatch):
    with minivm.boot("fractal", memory="2M") as undisturbed, minivm.boot("fractal", memory="2M") as vm:
        for machine in (undisturbed, vm):
            machine.run(ticks=500_000)
        fork = vm.memory.fork()
        monkeypatch.setattr(minivm.pc, "Memory", lambda size, cards: fork)
        with minivm.boot("hello-vga", memory="2M") as other:
            vm.run(ticks=200_000)
            other.run(ms=20)
            assert "Hello" in other.screen.text()
            vm.run(ticks=300_000)
        undisturbed.run(ticks=500_000)
        assert vm.memory.read(0, vm.memory.size) == undisturbed.memory.read(0, vm.memory.size)


# -- what it costs -------------------------------------------------------------------------------------------
def best_of(times, action):
    """Return the shortest of some runs of `action`, in seconds."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@needs_page_map
@pytest.mark.timing
def test_a_fork_of_32_megabytes_takes_less_than_two_milliseconds(way):
    if way == "copies":
        pytest.skip("copies take as long as they take")
    memory = Memory(32 * MIB)
    memory.view[0 : 2 * MIB] = b"x" * (2 * MIB)
    forks = []
    assert best_of(1, lambda: forks.append(memory.fork())) < 0.002
    assert best_of(5, lambda: forks.append(memory.fork())) < 0.001
    for ram in (memory, *forks):
        ram.close()


@needs_page_map
@pytest.mark.timing
def test_a_mark_of_64_megabytes_takes_a_millisecond_and_a_half(way):
    if way == "copies":
        pytest.skip("copies take as long as they take")
    memory = Memory(64 * MIB)
    memory.view[0 : 8 * MIB] = b"x" * (8 * MIB)
    memory.mark()
    seconds = []
    for round in range(1, 9):
        for page in range(0, 1400, 7):
            memory.view[page * PAGE] = round
        start = time.perf_counter()
        changed = memory.changed()
        memory.mark()
        seconds.append(time.perf_counter() - start)
        assert len(changed) == 200
    assert min(seconds) < 0.0015
    memory.close()
