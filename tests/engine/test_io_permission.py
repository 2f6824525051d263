"""At a level above IOPL, and in virtual-8086 mode, a port is used only where the TSS's bit map allows it."""

from struct import pack
from typing import Any

import pytest
from engine_bench import CODE, HANDLERS, LOG_PORT, STACK, TABLES, Bench

import minivm
from minivm.engine import port_rights
from minivm.engine.cpustate import CR0_PG, CS, DS, ES, FS, GS, RDI, RDX, RSI, RSP, SS, VM
from minivm.engine.segments import fill_cache, load_vm86, update_hflags

TSS, MAP, USER_STACK, DATA = 0x6000, 0x68, 0x8800, 0x8000
HANDLER = HANDLERS + 32 * 13
MODES = ("32", "paged", "long", "vm86")
WAYS = ("run", "sliced", "stepped")
every_mode = pytest.mark.parametrize("mode", MODES)
IN_BYTE, OUT_BYTE = "e4" + f"{LOG_PORT:02x}", "e6" + f"{LOG_PORT:02x}"


def enter(bench: Bench, mode: str, *, allowed: tuple[int, ...] = (), iopl: int = 0, limit: int = MAP + 0x20,
          kind: int = 9, base: int = MAP) -> None:  # fmt: skip
    """Go to level 3, with a TSS whose bit map allows these ports, and a #GP handler that stands still."""
    head = bench.cpu.head
    bench.memory[HANDLER : HANDLER + 2] = b"\xeb\xfe"
    marks = (1 << 8 * 0x20) - 1
    for port in allowed:
        marks &= ~(1 << port)
    bench.memory[TSS + MAP : TSS + MAP + 0x20] = marks.to_bytes(0x20, "little")
    bench.memory[TSS + MAP + 0x20] = 0xFF
    bench.memory[TSS + 0x66 : TSS + 0x68] = pack("<H", base)
    stack = pack("<Q", STACK) if mode == "long" else pack("<II", STACK, 0x10)
    bench.memory[TSS + 4 : TSS + 12] = stack
    if kind == 3:
        bench.memory[TSS + 2 : TSS + 6] = pack("<HH", STACK, 0x10)
    fill_cache(head.tr, 0x28, TSS, limit, 0x8000 | kind << 8)
    if head.cr[0] & CR0_PG:
        for at in (*range(TABLES, TABLES + 0x3000, 0x1000), *range(TABLES + 0x3000, TABLES + 0x4000, 4)):
            entry = bench.memory.read(at, 1)[0]
            bench.memory.write(at, bytes([entry | 4 if entry else 0]))
    head.regs[RSP], head.regs[RDI], head.regs[RSI], head.regs[RDX] = USER_STACK, DATA, DATA, LOG_PORT
    if mode == "vm86":
        bench.cpu.rflags |= VM
        for index in (CS, DS, ES, SS, FS, GS):
            load_vm86(head, index, 0)
    else:
        for index in (CS, DS, ES, SS, FS, GS):
            one = head.segs[index]
            fill_cache(one, one.selector | 3, one.base, one.limit, one.flags | 0x6000)
    bench.cpu.rflags |= iopl << 12
    update_hflags(head)
    bench.engine.flush()


def outcome(mode: str, code: str, way: str = "run", *, data: bytes = bytes(8), **options: Any) -> dict[str, Any]:
    """Run `code`, at whose end the guest stands still; tell what became of it."""
    with Bench("32" if mode == "vm86" else mode, bytes.fromhex(code) + b"\xeb\xfe") as bench:
        enter(bench, mode, **options)
        bench.memory[DATA : DATA + 8] = data
        for _ in range(60):
            if way == "stepped":
                bench.machine.step(1)
            else:
                bench.machine.run(ticks=5 if way == "sliced" else 10_000)
            if way == "run":
                break
        head = bench.cpu.head
        refused = head.eip == HANDLER
        width = 8 if mode == "long" else 4
        frame = [int.from_bytes(bench.memory[head.regs[RSP] + width * i : head.regs[RSP] + width * i + width], "little")
                 for i in range(4)]  # fmt: skip
        return {
            "refused": refused, "error, ip, cs, flags": frame if refused else None, "log": bench.log[:1],
            "accesses": len(bench.log), "registers": {k: v for k, v in bench.cpu.as_dict().items() if k != "rip"},
            "data": bench.memory.read(DATA, 8), "exceptions": bench.engine.exits.get("exceptions", 0),
        }  # fmt: skip


def is_refused(mode: str, code: str, **options: Any) -> bool:
    """See that all ways agree; tell whether #GP(0) came, and then that no port was reached."""
    found = [outcome(mode, code, way, **options) for way in WAYS]
    assert found[0] == found[1] == found[2]
    assert found[0]["accesses"] == 0 or not found[0]["refused"]
    assert found[0]["exceptions"] == found[0]["refused"]
    return bool(found[0]["refused"])


@every_mode
@pytest.mark.parametrize("before", ["", "eb00", "90"])
@pytest.mark.parametrize("code", [IN_BYTE, OUT_BYTE, "ec", "ef", "66ed"])
def test_a_port_that_the_map_does_not_allow_is_refused(mode: str, before: str, code: str) -> None:
    assert is_refused(mode, before + code)
    assert not is_refused(mode, before + code, allowed=tuple(range(LOG_PORT, LOG_PORT + 4)))


@pytest.mark.parametrize("mode", MODES[:3])
def test_iopl_3_allows_all_ports(mode: str) -> None:
    assert not is_refused(mode, IN_BYTE, iopl=3)
    assert is_refused(mode, IN_BYTE, iopl=2)


def test_virtual_8086_mode_asks_the_map_at_any_iopl() -> None:
    assert is_refused("vm86", IN_BYTE, iopl=3)
    assert not is_refused("vm86", IN_BYTE, iopl=0, allowed=(LOG_PORT,))


@every_mode
def test_the_frame_points_at_the_instruction_and_holds_the_flags_before_it(mode: str) -> None:
    """ADD of 7Fh and 1 sets SF, OF and AF; the fault's error code is 0, and the pushed RF is set."""
    for before in ("b07f0401", "eb00b07f0401", "b8ff0f00006685c0" if mode == "32" else "a801"):
        found = [outcome(mode, before + IN_BYTE, way) for way in WAYS]
        assert found[0] == found[1] == found[2]
        error, ip, _, flags = found[0]["error, ip, cs, flags"]
        assert (error, ip) == (0, CODE + len(before) // 2)
        if "0401" in before:
            assert flags & 0x108D5 == 0x10890


@every_mode
def test_each_port_of_a_wide_access_must_be_allowed(mode: str) -> None:
    word, dword = ("ed", "66ed") if mode == "vm86" else ("66ed", "ed")
    assert not is_refused(mode, word, allowed=(LOG_PORT, LOG_PORT + 1))
    assert is_refused(mode, word, allowed=(LOG_PORT,))
    assert is_refused(mode, word, allowed=(LOG_PORT + 1,))
    assert is_refused(mode, dword, allowed=(LOG_PORT, LOG_PORT + 1, LOG_PORT + 2))


def test_the_map_ends_with_the_tss() -> None:
    """Two bytes are read, and both must be within the limit (SDM vol. 1, section 19.5.2)."""
    byte = MAP + LOG_PORT // 8
    assert is_refused("32", IN_BYTE, allowed=(LOG_PORT,), limit=byte)
    assert not is_refused("32", IN_BYTE, allowed=(LOG_PORT,), limit=byte + 1)
    assert is_refused("32", IN_BYTE, allowed=(LOG_PORT,), limit=0x66)
    assert is_refused("32", IN_BYTE, allowed=(LOG_PORT,), base=0xFFFF)
    assert is_refused("32", IN_BYTE, allowed=(LOG_PORT,), kind=3)


@every_mode
@pytest.mark.parametrize("code", ["6c", "6d", "f36c", "f36e", "6e", "6f"])
def test_a_refused_string_instruction_changes_nothing(mode: str, code: str) -> None:
    data = b"unharmed"
    setup = "b90300" if mode == "vm86" else "b903000000"
    assert is_refused(mode, setup + code, data=data)
    found = outcome(mode, setup + code, data=data)
    assert found["data"] == data
    assert (found["registers"]["rcx"], found["registers"]["rdi"], found["registers"]["rsi"]) == (3, DATA, DATA)


def test_a_repeated_string_instruction_uses_a_port_that_is_allowed() -> None:
    found = outcome("32", "b903000000f36e", allowed=(LOG_PORT,), data=b"abcdefgh")
    assert found["accesses"] == 3


def test_bytes_that_only_look_like_port_instructions_do_not_count() -> None:
    assert not is_refused("32", "89e5 83ec04 b8eceeecec 8d6d6c")


def test_a_debuggers_breakpoints_are_what_they_were() -> None:
    with Bench("32", bytes.fromhex(f"eb00 90 {IN_BYTE} 90 90 ebfe")) as bench:
        enter(bench, "32", allowed=(LOG_PORT,))
        bench.engine.set_breakpoints([CODE + 5])
        ended = bench.engine.run(10_000)
        assert (type(ended).__name__, bench.cpu.linear_ip, len(bench.log)) == ("Breakpoint", CODE + 5, 1)


def test_an_engine_that_takes_over_at_a_port_instruction_refuses_it() -> None:
    """Of a new engine's first block Unicorn tells nobody."""
    code = bytes.fromhex(f"eb00 90 {IN_BYTE} ebfe")
    with Bench("32", code) as first, Bench("32", code) as second:
        for bench in (first, second):
            enter(bench, "32")
        first.machine.step(2)
        second.engine.restore(first.engine.state())
        second.machine.run(ticks=1000)
        assert (second.cpu.head.eip, second.log) == (HANDLER, [])


def test_the_machine_code_is_what_the_assembly_says() -> None:
    keystone = pytest.importorskip("keystone")
    assembled, _ = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64).asm(port_rights.ASSEMBLY)
    assert bytes(assembled) == port_rights.MACHINE_CODE


@pytest.mark.parametrize("code", [b"", b"\x66", b"\x66\xf3", b"\xe4"], ids=bytes.hex)
def test_code_that_cannot_be_read_any_more_harms_nobody(code, monkeypatch):
    failures = []
    with minivm.boot(b"\xf4".ljust(510, b"\0") + b"\x55\xaa", memory="2M") as vm:
        rights = vm.engine._steps._port_rights
        monkeypatch.setattr(port_rights.PortRights, "needs_map", True)
        monkeypatch.setattr(rights, "_read", lambda address, size: code)
        monkeypatch.setattr(rights, "_fail", failures.append)
        rights._on_port_instruction(0, vm.cpu.linear_ip, 2, 0)
        assert failures == []
