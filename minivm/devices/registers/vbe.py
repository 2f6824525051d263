"""The Bochs VBE extension's registers behind the index at 1CEh (Bochs, "VBE display interface")."""

from typing import Any

from minivm.core.describe import Access, Chip, Content, Field, Register, flag
from minivm.core.record import replace

_NAMES: tuple[tuple[str, str], ...] = (
    ("ID", "VBE identification"), ("XRES", "VBE width"), ("YRES", "VBE height"), ("BPP", "VBE bits per pixel"),
    ("ENABLE", "VBE enable"), ("BANK", "VBE bank"), ("VIRT_WIDTH", "VBE virtual width"),
    ("VIRT_HEIGHT", "VBE virtual height"), ("X_OFFSET", "VBE first column"), ("Y_OFFSET", "VBE first line"),
    ("VIDEO_MEMORY_64K", "VBE memory size"),
)  # fmt: skip
INDEX = Register("VBE INDEX", "VBE index", 0, "rw", (
    Field("index", 15, 0, lambda number: f"chooses {_NAMES[number][1]}" if number < len(_NAMES) else "nothing there"),
))  # fmt: skip
_FIELDS: dict[int, tuple[Field, ...]] = {
    1: (Field("pixels", 15, 0, lambda number: f"{number} pixels wide"),),
    2: (Field("lines", 15, 0, lambda number: f"{number} lines high"),),
    3: (Field("bits", 15, 0, lambda number: f"{number} bits a pixel"),),
    4: (flag("enabled", 0, "VBE on", "VBE off"), flag("getcaps", 1, "sizes read as the largest there are"),
        flag("8 bit", 5, "levels of eight bits"), flag("linear", 6, "linear framebuffer"),
        flag("keep", 7, "video memory kept")),
    5: (Field("bank", 15, 0, lambda number: f"A0000h shows byte {number * 0x10000:X}h of video memory"),),
    10: (Field("size", 15, 0, lambda number: f"{number * 64} KiB of video memory"),),
}  # fmt: skip
REGISTERS = tuple(
    Register(name, title, 1, "r" if name in ("VIRT_HEIGHT", "VIDEO_MEMORY_64K") else "rw",
             _FIELDS.get(index, (Field("value", 15, 0, "value"),)))
    for index, (name, title) in enumerate(_NAMES)
)  # fmt: skip


def describe(name: str) -> Chip:
    """Return the description of the extension, whose ports begin at 1CEh and whose state is a `VbeState`."""
    return Chip(name, (INDEX, *REGISTERS), pick=_pick, contents=_contents, facts=_facts, after=_after)


def _pick(access: Access, state: Any) -> Register | None:
    if access.offset == 0:
        return INDEX
    if state is None or state.index >= len(REGISTERS) or access.offset > 2:
        return None
    index: int = state.index
    return REGISTERS[index]


def _after(access: Access, state: Any) -> Any:
    if state is None or access.offset or not access.write or access.value is None:
        return state
    return replace(state, index=access.value & 0xFFFF)


def _contents(state: Any, now: int) -> list[Content]:
    held = zip(REGISTERS, state.registers, strict=False)
    return [Content(INDEX, state.index), *(Content(register, value) for register, value in held)]


def _facts(state: Any, now: int) -> list[str]:
    if not state.enabled:
        return ["The extension is off: the VGA's own registers shape the picture."]
    width, height, depth = state.registers[1:4]
    return [
        f"{width} x {height} pixels of {depth} bits, in lines of {state.line_bytes} bytes.",
        f"The picture begins at byte {state.start_byte} of video memory.",
    ]
