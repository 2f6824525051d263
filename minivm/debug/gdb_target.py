"""The registers as GDB wants them: which there are, in what order, how wide, and the target description that says so.

GDB's manual, appendix G ("Target Descriptions"), section G.5.8: the features `org.gnu.gdb.i386.core`, `.sse` and
`.segments` have fixed names; `org.minivm.system` adds what a kernel's author looks for.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from minivm.debug.debugger import DebugError, Debugger
from minivm.debug.raw_registers import RAW_REGISTERS
from minivm.engine.cpustate import GENERAL_64

ARCHITECTURES = {"i8086": 32, "i386": 32, "x86-64": 64}
"""What `monitor arch` takes, and how wide GDB's registers are then. i8086 is i386 that disassembles 16-bit code."""
_GDB_NAMES = {"i8086": "i8086", "i386": "i386", "x86-64": "i386:x86-64"}
_SELECTORS = ("cs", "ss", "ds", "es", "fs", "gs")
_GENERAL_32 = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
_AMD64_ORDER = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *GENERAL_64[8:])
_KERNEL_GS_BASE = 0xC000_0102

_FPU_CONTROL = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")

_FLAG_TYPE = """<flags id="i386_eflags" size="4">
<field name="CF" start="0" end="0"/><field name="" start="1" end="1"/><field name="PF" start="2" end="2"/>
<field name="AF" start="4" end="4"/><field name="ZF" start="6" end="6"/><field name="SF" start="7" end="7"/>
<field name="TF" start="8" end="8"/><field name="IF" start="9" end="9"/><field name="DF" start="10" end="10"/>
<field name="OF" start="11" end="11"/><field name="NT" start="14" end="14"/><field name="RF" start="16" end="16"/>
<field name="VM" start="17" end="17"/><field name="AC" start="18" end="18"/><field name="VIF" start="19" end="19"/>
<field name="VIP" start="20" end="20"/><field name="ID" start="21" end="21"/>
</flags>"""
_CONTROL_TYPES = """<flags id="cr0_bits" size="4">
<field name="PE" start="0" end="0"/><field name="MP" start="1" end="1"/><field name="EM" start="2" end="2"/>
<field name="TS" start="3" end="3"/><field name="ET" start="4" end="4"/><field name="NE" start="5" end="5"/>
<field name="WP" start="16" end="16"/><field name="AM" start="18" end="18"/><field name="NW" start="29" end="29"/>
<field name="CD" start="30" end="30"/><field name="PG" start="31" end="31"/>
</flags>
<flags id="cr4_bits" size="4">
<field name="VME" start="0" end="0"/><field name="PVI" start="1" end="1"/><field name="TSD" start="2" end="2"/>
<field name="DE" start="3" end="3"/><field name="PSE" start="4" end="4"/><field name="PAE" start="5" end="5"/>
<field name="MCE" start="6" end="6"/><field name="PGE" start="7" end="7"/><field name="PCE" start="8" end="8"/>
<field name="OSFXSR" start="9" end="9"/><field name="OSXMMEXCPT" start="10" end="10"/>
<field name="SMEP" start="20" end="20"/><field name="SMAP" start="21" end="21"/>
</flags>
<flags id="efer_bits" size="8">
<field name="SCE" start="0" end="0"/><field name="LME" start="8" end="8"/><field name="LMA" start="10" end="10"/>
<field name="NXE" start="11" end="11"/>
</flags>"""
_VECTOR_TYPES = """<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>
<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/>
<field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/>
<field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>"""


class Register(NamedTuple):
    """One register of GDB's: its feature, width, type, and how it is read and written."""

    feature: str
    name: str
    bits: int
    type: str
    get: Callable[[Debugger], int]
    put: Callable[[Debugger, int], None]


class Target:
    """One machine's registers in one of the `ARCHITECTURES`.

    With `linear_pc` GDB's eip is the linear address, segment base included, so that it finds 16-bit code.
    """

    def __init__(self, debugger: Debugger, architecture: str, *, linear_pc: bool = False) -> None:
        self._debugger = debugger
        self.architecture = architecture
        self.linear_pc = linear_pc
        self.bits = ARCHITECTURES[architecture]
        self.registers = list(_registers(self))
        self.xml = _xml(architecture, self.registers).encode()

    @property
    def pc(self) -> int:
        """What GDB takes for the address of the next instruction."""
        cpu = self._debugger.machine.cpu
        return (cpu.linear_ip if self.linear_pc else cpu.rip) & (1 << self.bits) - 1

    def set_pc(self, value: int) -> None:
        """Go on at GDB's address `value`."""
        cpu = self._debugger.machine.cpu
        if self.linear_pc and cpu.code_bits != 64:
            value = (value - cpu.cs_base) & 0xFFFF_FFFF
        self._debugger.set_register("rip", value)

    def read(self, number: int) -> bytes:
        """Return a register's bytes as GDB stores them, little-endian; raises `DebugError` for one that is not."""
        register = self._register(number)
        value = register.get(self._debugger) & (1 << register.bits) - 1
        return value.to_bytes(register.bits // 8, "little")

    def read_all(self) -> bytes:
        """Return all registers one behind the other: the answer to `g`."""
        return b"".join(self.read(number) for number in range(len(self.registers)))

    def write(self, number: int, data: bytes) -> None:
        """Set a register when that changes it; raises `DebugError` for what the CPU cannot take."""
        register = self._register(number)
        if len(data) != register.bits // 8:
            raise DebugError(f"{register.name} has {register.bits // 8} bytes, not {len(data)}")
        if data != self.read(number):
            register.put(self._debugger, int.from_bytes(data, "little"))

    def write_all(self, data: bytes) -> None:
        """Set all registers, or the first ones that `data` reaches to: what `G` asks for."""
        at = 0
        for number, register in enumerate(self.registers):
            size = register.bits // 8
            if at + size <= len(data):
                self.write(number, data[at : at + size])
            at += size

    def number(self, name: str) -> int:
        """Return the number of the register `name`."""
        return next(number for number, register in enumerate(self.registers) if register.name == name)

    def _register(self, number: int) -> Register:
        if not 0 <= number < len(self.registers):
            raise DebugError(f"there is no register {number}")
        return self.registers[number]


def _registers(target: Target) -> Iterator[Register]:
    yield from _core(target)
    yield from _sse(target.bits)
    yield from _system(target.bits)


def _core(target: Target) -> Iterator[Register]:
    wide, feature = target.bits, "org.gnu.gdb.i386.core"
    pointer, pc = f"int{wide}", "rip" if wide == 64 else "eip"
    for name in _AMD64_ORDER if wide == 64 else _GENERAL_32:
        yield Register(feature, name, wide, "data_ptr" if name[1:] in ("sp", "bp") else pointer, *_cpu(name))
    yield Register(feature, pc, wide, "code_ptr", lambda _: target.pc, lambda _, value: target.set_pc(value))
    yield Register(feature, "eflags", 32, "i386_eflags", *_cpu("rflags"))
    for name in _SELECTORS:
        yield Register(feature, name, 32, "int32", *_cpu(name))
    for index in range(8):
        yield Register(feature, f"st{index}", 80, "i387_ext", *_raw(f"st{index}"))
    for name in _FPU_CONTROL:
        yield Register(feature, name, 32, "int", *_raw(name))


def _sse(wide: int) -> Iterator[Register]:
    feature = "org.gnu.gdb.i386.sse"
    for index in range(16 if wide == 64 else 8):
        yield Register(feature, f"xmm{index}", 128, "vec128", *_raw(f"xmm{index}"))
    yield Register(feature, "mxcsr", 32, "int32", *_raw("mxcsr"))


def _system(wide: int) -> Iterator[Register]:
    own, plain = "org.minivm.system", f"int{wide}"
    for name in ("fs_base", "gs_base"):
        feature = "org.gnu.gdb.i386.segments" if wide == 64 else own
        yield Register(feature, name, wide, plain, *_cpu(name))
    for name in (f"{name}_base" for name in ("cs", "ss", "ds", "es")):
        yield Register(own, name, wide, plain, *_cpu(name))
    yield Register(own, "k_gs_base", wide, plain, lambda debugger: debugger.engine.msr(_KERNEL_GS_BASE), _refuse)
    for name in ("gdt_base", "gdt_limit", "idt_base", "idt_limit"):
        yield Register(own, name, wide if name.endswith("base") else 32, "int", *_cpu(name))
    for name, field in (("ldtr", "ldt_selector"), ("tr", "tr_selector")):
        yield Register(own, name, 32, "int32", _cpu(field)[0], _refuse)
    for name, kind in (("cr0", "cr0_bits"), ("cr2", "data_ptr"), ("cr3", "int"), ("cr4", "cr4_bits")):
        yield Register(own, name, wide if name in ("cr2", "cr3") else 32, kind, *_cpu(name))
    yield Register(own, "efer", 64, "efer_bits", lambda debugger: debugger.engine.efer, _setter("efer"))


def _cpu(name: str) -> tuple[Callable[[Debugger], int], Callable[[Debugger, int], None]]:
    return lambda debugger: int(getattr(debugger.machine.cpu, name)), _setter(name)


def _setter(name: str) -> Callable[[Debugger, int], None]:
    return lambda debugger, value: debugger.set_register(name, value)


def _raw(name: str) -> tuple[Callable[[Debugger], int], Callable[[Debugger, int], None]]:
    return lambda debugger: int.from_bytes(debugger.engine.raw_register(*RAW_REGISTERS[name]), "little"), _setter(name)


def _refuse(debugger: Debugger, value: int) -> None:
    raise DebugError("this register cannot be set from outside")


def _xml(architecture: str, registers: list[Register]) -> str:
    lines = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', '<target version="1.0">']
    lines.append(f"<architecture>{_GDB_NAMES[architecture]}</architecture>")
    types = {"org.gnu.gdb.i386.core": _FLAG_TYPE, "org.gnu.gdb.i386.sse": _VECTOR_TYPES,
             "org.minivm.system": _CONTROL_TYPES}  # fmt: skip
    for feature in dict.fromkeys(register.feature for register in registers):
        lines += [f'<feature name="{feature}">', types.get(feature, "")]
        lines += [
            f'<reg name="{one.name}" bitsize="{one.bits}" type="{one.type}" regnum="{number}"{_group(one)}/>'
            for number, one in enumerate(registers)
            if one.feature == feature
        ]
        lines.append("</feature>")
    return "\n".join([*lines, "</target>", ""])


def _group(register: Register) -> str:
    if register.feature == "org.minivm.system":
        return ' group="system"'
    return ' group="float"' if register.name in _FPU_CONTROL else ""


__all__ = ["ARCHITECTURES", "Register", "Target"]
