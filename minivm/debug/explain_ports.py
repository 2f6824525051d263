"""Port accesses in words, out of the chips' own descriptions."""

from minivm.core.bus import Mapping
from minivm.core.describe import Access, Register, sentence
from minivm.debug.inspect_devices import KEYBOARD, MOUSE, Part, part_at, state_of
from minivm.machine import Machine


def explain_port(machine: Machine, port: int, size: int, value: int | None, write: bool) -> str:
    """Return what an access of `size` bytes (1, 2 or 4) at `port` means, with the chips as they are before it.

    `value` is what is written, or what was read, None before a read.
    """
    port &= 0xFFFF
    value = None if value is None else value & (1 << 8 * size) - 1
    shown = "" if value is None else f", {value:0{2 * size}X}h"
    head = f"{'OUT' if write else 'IN'} {port:02X}h{shown}"
    mapping = machine.ports.find(port)
    if mapping is not None and (size == 1 or size <= mapping.width):
        return f"{head}: {_told(machine, mapping, Access(port - mapping.base, write, value))}"
    if size == 1:
        return f"{head}: nobody is there; {'the write is lost' if write else 'it reads FFh'}"
    return f"{head}: {'; then '.join(_bytes(machine, port, size, value, write))}"


def _bytes(machine: Machine, port: int, size: int, value: int | None, write: bool) -> list[str]:
    """Tell a wide access byte by byte, as an 8-bit card sees it; an index written first chooses for the data."""
    said: list[str] = []
    states: dict[str, object] = {}
    for number in range(size):
        at = (port + number) & 0xFFFF
        mapping = machine.ports.find(at)
        byte = None if value is None else value >> 8 * number & 0xFF
        shown = f"{at:02X}h" + ("" if byte is None else f" {byte:02X}h")
        if mapping is None:
            said.append(f"{shown}, nobody is there")
            continue
        access = Access(at - mapping.base, write, byte)
        said.append(f"{shown}, {_told(machine, mapping, access, states)}")
    return said


def _told(machine: Machine, mapping: Mapping, access: Access, states: dict[str, object] | None = None) -> str:
    name, part = part_at(machine, mapping)
    if part is None:
        return f"{mapping.name}, offset {access.offset:X}h"
    state = (states or {}).get(name) or state_of(machine, part)
    register = part.chip.find(access, state)
    if states is not None and part.chip.after is not None and state is not None:
        states[name] = part.chip.after(access, state)
    if register is None:
        return f"{part.chip.name} has no register there"
    words = f"{part.chip.name}'s {register.title}"
    if access.value is None:
        return words
    meaning = sentence(register, access.value, state)
    return f"{words}; {meaning}{_at_cable(machine, register, access.value)}" if meaning else words


def _at_cable(machine: Machine, register: Register, value: int) -> str:
    """Return what the keyboard or the mouse makes of a byte that the controller passes on."""
    part = {"KEYBOARD": KEYBOARD, "MOUSE": MOUSE}.get(register.name)
    if part is None:
        return ""
    state = state_of(machine, part)
    told = part.chip.find(Access(0, True, value), state)
    return "" if told is None else f": {sentence(told, value, state)}"


def port_owner(machine: Machine, port: int) -> tuple[str, Part | None]:
    """Return who answers at `port`, in words, and its description where there is one."""
    mapping = machine.ports.find(port & 0xFFFF)
    if mapping is None:
        return "nobody", None
    part = part_at(machine, mapping)[1]
    return (mapping.name if part is None else part.chip.name), part
