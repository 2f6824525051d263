"""Changing a register, a flag or memory by name, as the command `set` and the register panel do."""

from minivm.debug.debugger import DebugError, Debugger
from minivm.debug.expressions import compile_expression
from minivm.engine.cpustate import SEGMENT_NAMES
from minivm.errors import ConfigError

FLAGS = {"OF": 11, "DF": 10, "IF": 9, "TF": 8, "SF": 7, "ZF": 6, "AF": 4, "PF": 2, "CF": 0}
"""The flags that can be named, and their bits in EFLAGS."""
RARE_FLAGS = {"NT": 14, "RF": 16, "VM": 17, "AC": 18, "ID": 21}


def set_value(debugger: Debugger, target: str, text: str) -> str:
    """Give `target`, a register, a flag or `[memory]`, the value of an expression; raises `MiniVMError` of one line."""
    value = debugger.evaluate(text)
    if target.upper() in FLAGS:
        return _set_flag(debugger, target.upper(), value)
    place = compile_expression(target, debugger.symbols).place(debugger.context)
    if place is not None and place.kind == "linear":
        debugger.write(place.address, (value & ((1 << 8 * place.size) - 1)).to_bytes(place.size, "little"))
    elif place is not None and place.kind == "register":
        _set_register(debugger, place.name, value)
    else:
        raise ConfigError(f"{target} can not be set; give a register, a flag or memory in brackets")
    return f"{target} is {value:X}h"


def _set_register(debugger: Debugger, name: str, value: int) -> None:
    if name not in SEGMENT_NAMES:
        debugger.set_register(name, value)
        return
    if debugger.machine.cpu.mode not in ("real", "vm86"):
        raise DebugError(f"{name} has a hidden part in protected mode, which only the guest can load")
    debugger.set_register(name, value & 0xFFFF)
    debugger.set_register(f"{name}_base", (value & 0xFFFF) << 4)


def _set_flag(debugger: Debugger, name: str, value: int) -> str:
    if value not in (0, 1):
        raise ConfigError(f"{name} is a flag: 0 or 1")
    bit, flags = 1 << FLAGS[name], debugger.machine.cpu.rflags
    debugger.set_register("rflags", flags | bit if value else flags & ~bit)
    return f"{name} is {value}"
