"""VGA's registers (IBM PS/2 Technical Reference, "Video subsystem"; FreeVGA's names).

Four sets hide behind an index: CRTC, sequencer, graphics controller and attribute controller, whose one port takes
index and data in turn.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from minivm.core.describe import Access, Chip, Content, Field, Register, flag, spoken
from minivm.core.record import replace

_CRTC_TITLES = (
    "horizontal total", "horizontal display end", "start horizontal blanking", "end horizontal blanking",
    "start horizontal retrace", "end horizontal retrace", "vertical total", "overflow", "preset row scan",
    "maximum scan line", "cursor start", "cursor end", "start address, high byte", "start address, low byte",
    "cursor location, high byte", "cursor location, low byte", "vertical retrace start", "vertical retrace end",
    "vertical display end", "offset", "underline location", "start vertical blanking", "end vertical blanking",
    "CRTC mode control", "line compare",
)  # fmt: skip
_SEQUENCER_TITLES = ("reset", "clocking mode", "map mask", "character map select", "memory mode")
_GRAPHICS_TITLES = ("set/reset", "enable set/reset", "colour compare", "data rotate", "read map select",
                    "graphics mode", "miscellaneous graphics", "colour don't care", "bit mask")  # fmt: skip
_ATTRIBUTE_TITLES = (*(f"palette {index}" for index in range(16)), "attribute mode control", "overscan colour",
                     "colour plane enable", "horizontal pixel panning", "colour select")  # fmt: skip

_CRTC_FIELDS: dict[int, tuple[Field, ...]] = {
    0x09: (flag("double", 7, "every line twice"), Field("LC9", 6, 6), Field("VBS9", 5, 5),
           Field("height", 4, 0, lambda number: f"characters {number + 1} lines high")),
    0x0A: (flag("off", 5, "cursor off", "cursor on"), Field("start", 4, 0, "from line")),
    0x0B: (Field("skew", 6, 5), Field("end", 4, 0, "to line")),
    0x11: (flag("protect", 7, "registers 00h-07h are protected", "registers 00h-07h can be written"),
           Field("end", 3, 0)),
    0x01: (Field("columns", 7, 0, lambda number: f"{number + 1} columns"),),
    0x13: (Field("offset", 7, 0, lambda number: f"rows lie {number * 2} characters apart"),),
    0x14: (flag("dword", 6, "addresses count doublewords"), flag("by 4", 5, "the counter goes by four"),
           Field("underline", 4, 0, lambda number: f"underlined at line {number}")),
    0x17: (flag("sync", 7, "retraces on", "no retraces"), flag("byte", 6, "addresses count bytes"),
           flag("by 2", 3, "the counter goes by two"), flag("double", 2, "lines counted by two"),
           flag("row 1", 1, "", "bit 1 of the row is in the address"),
           flag("row 0", 0, "", "bit 0 of the row is in the address (CGA)")),
}  # fmt: skip


def _planes(mask: int, words: str) -> str:
    planes = [str(plane) for plane in range(4) if mask >> plane & 1]
    return f"{'planes' if len(planes) > 1 else 'plane'} {spoken(planes)} {words}" if planes else f"no plane {words}"


def _fonts(select: int) -> str:
    high, low = (select >> 2 & 3) << 1 | select >> 5 & 1, (select & 3) << 1 | select >> 4 & 1
    return f"font {low}, and {high} where bit 3 of an attribute is set" if high != low else f"font {low}"


_SEQUENCER_FIELDS: dict[int, tuple[Field, ...]] = {
    0x01: (flag("off", 5, "the screen is off", "the screen is on"), flag("half", 3, "half the clock"),
           flag("8/9", 0, "8 pixels a character", "9 pixels a character")),
    0x02: (Field("planes", 3, 0, lambda mask: _planes(mask, "open to writing")),),
    0x03: (Field("maps", 5, 0, _fonts),),
    0x04: (flag("chain 4", 3, "four pixels an offset (chain-4)"),
           flag("odd/even", 2, "every address is an offset of all planes", "odd and even addresses are two planes"),
           flag("extended", 1, "256 KiB", "64 KiB")),
}  # fmt: skip
_WINDOWS = {0: "A0000h, 128 KiB", 1: "A0000h, 64 KiB", 2: "B0000h, 32 KiB", 3: "B8000h, 32 KiB"}
_GRAPHICS_FIELDS: dict[int, tuple[Field, ...]] = {
    0x00: (Field("colour", 3, 0, "set/reset writes colour"),),
    0x01: (Field("enabled", 3, 0, lambda mask: _planes(mask, "written by set/reset")),),
    0x02: (Field("colour", 3, 0, "read mode 1 looks for colour"),),
    0x03: (Field("logic", 4, 3, {0: "data replaces", 1: "AND with the latches", 2: "OR with the latches",
                                 3: "XOR with the latches"}),
           Field("rotate", 2, 0, lambda count: f"rotated right by {count}" if count else "not rotated")),
    0x04: (Field("plane", 1, 0, "read mode 0 reads plane"),),
    0x05: (Field("shift", 6, 5, {0: "a bit from each plane", 1: "pairs of bits (CGA)", 2: "256 colours",
                                 3: "256 colours"}),
           flag("host odd/even", 4, "odd and even addresses read two planes"), Field("read", 3, 3, {0: "read mode 0",
                                                                                        1: "read mode 1"}),
           Field("write", 1, 0, {mode: f"write mode {mode}" for mode in range(4)})),
    0x07: (Field("cared", 3, 0, lambda mask: _planes(mask, "compared")),),
    0x08: (Field("bits", 7, 0, lambda mask: "all bits from the data" if mask == 0xFF
                 else f"bits {mask:02X}h from the data, the others from the latches"),),
    0x06: (Field("window", 3, 2, lambda number: f"video memory at {_WINDOWS[number]}"),
           flag("graphics", 0, "graphics", "text")),
}  # fmt: skip
_ATTRIBUTE_FIELDS: dict[int, tuple[Field, ...]] = {
    0x10: (flag("blink", 3, "bit 7 of an attribute blinks", "bit 7 of an attribute is a bright background"),
           flag("graphics", 0, "graphics", "text"), flag("select", 7, "colour select gives bits 5-4 of a colour"),
           flag("256", 6, "256 colours"), flag("pan", 5, "no panning below the split"),
           flag("line", 2, "line characters go on into the ninth pixel")),
    0x12: (Field("planes", 3, 0, lambda mask: _planes(mask, "shown")),),
    0x13: (Field("pan", 3, 0, "panned by"),),
}  # fmt: skip


def _set(
    prefix: str, offset: int, titles: tuple[str, ...], fields: dict[int, tuple[Field, ...]]
) -> tuple[Register, ...]:
    return tuple(
        Register(f"{prefix}{index:02X}", title, offset, "rw", fields.get(index, (Field(title, 7, 0, "value"),)))
        for index, title in enumerate(titles)
    )


def _pair(title: str, name: str, high: int, words: str) -> list[Register]:
    """Return the two halves of a 16-bit number in the CRTC, high byte first."""
    halves = ((high, "high", lambda value, crtc: value << 8 | crtc[high + 1]),
              (high + 1, "low", lambda value, crtc: crtc[high] << 8 | value))  # fmt: skip
    return [
        Register(f"CR{index:02X}", f"{title}, {half} byte", 0x25, "rw", (Field(name, 7, 0),),
                 say=partial(_say_half, words, whole))
        for index, half, whole in halves
    ]  # fmt: skip


def _say_half(words: str, whole: Callable[[int, bytes], int], value: int, state: Any) -> str:
    if state is None:
        return f"{value:02X}h"
    word = whole(value, state.crtc)
    return words.format(word, *divmod(word, state.crtc[1] + 1))


CRTC = list(_set("CR", 0x25, _CRTC_TITLES, _CRTC_FIELDS))
CRTC[0x0C:0x10] = [
    *_pair("start address", "start", 0x0C, "the screen begins at character {0}"),
    *_pair("cursor location", "cursor", 0x0E, "the cursor is at character {0}, row {1}, column {2}"),
]
SEQUENCER = _set("SR", 0x15, _SEQUENCER_TITLES, _SEQUENCER_FIELDS)
GRAPHICS = _set("GR", 0x1F, _GRAPHICS_TITLES, _GRAPHICS_FIELDS)
ATTRIBUTE = _set("AR", 0x10, _ATTRIBUTE_TITLES, _ATTRIBUTE_FIELDS)


def _index(name: str, offset: int, what: str, registers: tuple[Register, ...] | list[Register], mask: int) -> Register:
    def say(value: int, state: Any) -> str:
        index = value & mask
        return f"chooses {registers[index].title}" if index < len(registers) else f"chooses {index:02X}h: nothing there"

    return Register(name, f"{what} index", offset, "rw", (Field("index", mask.bit_length() - 1, 0),), say=say)


MISCELLANEOUS = Register("MISC", "miscellaneous output", 0x12, "rw", (
    flag("VSYNCP", 7, "vertical sync negative"), flag("HSYNCP", 6, "horizontal sync negative"), Field("PAGE", 5, 5),
    Field("CLOCK", 3, 2, {0: "25.175 MHz", 1: "28.322 MHz", 2: "external clock", 3: "external clock"}),
    flag("RAM", 1, "memory on", "memory off"), flag("IOAS", 0, "CRTC at 3D4h", "CRTC at 3B4h"),
))  # fmt: skip
STATUS_0 = Register("ST00", "input status 0", 0x12, "r", (flag("SENSE", 4, "a monitor is there"),))
STATUS_1 = Register("ST01", "input status 1", 0x2A, "r", (
    flag("VRETRACE", 3, "vertical retrace", "no vertical retrace"), flag("DD", 0, "nothing is displayed", "displaying"),
), note="Reading makes port 3C0h take an index next.")  # fmt: skip
FEATURE = Register("FCR", "feature control", 0x1A, "rw", (Field("VSS", 3, 3),))
ENABLE = Register("VSE", "video subsystem enable", 0x13, "rw", (flag("enable", 0, "on", "off"),))
DAC_MASK = Register("PEL MASK", "colour mask", 0x16, "rw", (Field("mask", 7, 0, "mask"),))
DAC_STATE = Register("DAC STATE", "DAC state", 0x17, "r", (
    Field("state", 1, 0, {0: "ready to be written", 3: "ready to be read"}),
))  # fmt: skip
DAC_READ = Register("DAC READ", "colour index for reading", 0x17, "w", (Field("index", 7, 0, "colour"),))
DAC_WRITE = Register("DAC WRITE", "colour index for writing", 0x18, "rw", (Field("index", 7, 0, "colour"),))


def _level(value: int, state: Any) -> str:
    if state is None:
        return f"{value & 0x3F}"
    return f"{('red', 'green', 'blue')[state.dac_component % 3]} of colour {state.dac_index} is {value & 0x3F} of 63"


DAC_DATA = Register("DAC DATA", "colour level", 0x19, "rw", (Field("level", 5, 0),),
                    say=_level)  # fmt: skip
ATTRIBUTE_INDEX = Register("ATTRIBUTE INDEX", "attribute index", 0x10, "rw", (
    flag("PAS", 5, "palette in use by the screen", "the palette can be written and the screen is blank"),
    Field("index", 4, 0, lambda number: f"chooses {ATTRIBUTE[number].title}" if number < 21 else "nothing there"),
))  # fmt: skip
_FIXED = (MISCELLANEOUS, STATUS_0, STATUS_1, FEATURE, ENABLE, DAC_MASK, DAC_STATE, DAC_READ, DAC_WRITE, DAC_DATA)
_INDEXES = {
    0x14: _index("SEQUENCER INDEX", 0x14, "sequencer", SEQUENCER, 0x07),
    0x1E: _index("GRAPHICS INDEX", 0x1E, "graphics", GRAPHICS, 0x0F),
    0x24: _index("CRTC INDEX", 0x24, "CRTC", CRTC, 0x1F),
}
_DATA: dict[int, tuple[str, list[Register] | tuple[Register, ...]]] = {
    0x15: ("sequencer_index", SEQUENCER), 0x1F: ("graphics_index", GRAPHICS), 0x25: ("crtc_index", CRTC),
}  # fmt: skip
_WRITE = {0x12: MISCELLANEOUS, 0x13: ENABLE, 0x16: DAC_MASK, 0x17: DAC_READ, 0x18: DAC_WRITE, 0x19: DAC_DATA,
          0x2A: FEATURE}  # fmt: skip
_READ = {0x10: ATTRIBUTE_INDEX, 0x12: STATUS_0, 0x13: ENABLE, 0x16: DAC_MASK, 0x17: DAC_STATE, 0x18: DAC_WRITE,
         0x19: DAC_DATA, 0x1A: FEATURE, 0x1C: MISCELLANEOUS, 0x2A: STATUS_1}  # fmt: skip


def describe(name: str) -> Chip:
    """Return the description of a VGA whose ports begin at 3B0h."""
    registers = (*_FIXED, ATTRIBUTE_INDEX, *_INDEXES.values(), *CRTC, *SEQUENCER, *GRAPHICS, *ATTRIBUTE)
    return Chip(name, registers, pick=_pick, contents=_contents, facts=_facts, after=_after)


def _pick(access: Access, state: Any) -> Register | None:
    offset = _place(access.offset, state)
    if offset in _INDEXES:
        return _INDEXES[offset]
    if offset in _DATA:
        return _behind(state, *_DATA[offset])
    if offset == 0x10 and access.write:
        return _behind(state, "attribute_index", ATTRIBUTE) if _data_next(state) else ATTRIBUTE_INDEX
    if offset == 0x11:
        return None if access.write else _behind(state, "attribute_index", ATTRIBUTE)
    return (_WRITE if access.write else _READ).get(offset)


_INDEX_NAMES = {0x14: "sequencer_index", 0x1E: "graphics_index", 0x24: "crtc_index"}


def _after(access: Access, state: Any) -> Any:
    """Return the state with the index that was written, since OUT DX, AX writes an index and its data."""
    name = _INDEX_NAMES.get(_place(access.offset, state))
    return state if name is None or not access.write else replace(state, **{name: access.value})


def _place(offset: int, state: Any) -> int:
    """Return the register's offset on a colour display; -1 where the other kind of display has it."""
    colour = state is None or state.miscellaneous & 1
    if offset < 0x10:
        return -1 if colour else offset + 0x20
    return offset if colour or offset < 0x20 else -1


def _data_next(state: Any) -> bool:
    return state is not None and bool(state.attribute_data_next)


def _behind(state: Any, index_name: str, registers: list[Register] | tuple[Register, ...]) -> Register | None:
    index = 0 if state is None else getattr(state, index_name) & 0x1F
    return registers[index] if index < len(registers) else None


def _contents(state: Any, now: int) -> list[Content]:
    sets = ((CRTC, state.crtc), (SEQUENCER, state.sequencer), (GRAPHICS, state.graphics), (ATTRIBUTE, state.attribute))
    held = [Content(register, value) for registers, values in sets
            for register, value in zip(registers, values, strict=False)]  # fmt: skip
    return [Content(MISCELLANEOUS, state.miscellaneous), Content(ATTRIBUTE_INDEX, state.attribute_index),
            Content(DAC_MASK, state.dac_mask), *held]  # fmt: skip


def _facts(state: Any, now: int) -> list[str]:
    crtc = state.crtc
    height = (crtc[0x09] & 0x1F) + 1
    start, cursor = crtc[0x0C] << 8 | crtc[0x0D], crtc[0x0E] << 8 | crtc[0x0F]
    lines = (crtc[0x12] | (crtc[0x07] >> 1 & 1) << 8 | (crtc[0x07] >> 6 & 1) << 9) + 1
    columns = crtc[0x01] + 1
    if state.graphics[0x06] & 1:
        return [_graphics_fact(state, lines), f"The picture begins at byte {4 * start} of video memory."]
    row, column = divmod((cursor - start) & 0xFFFF, columns)
    return [
        f"A text mode of {columns} columns and {max(1, lines // height)} rows, characters {height} lines high.",
        f"The screen begins at character {start}; the cursor is at row {row}, column {column}.",
    ]


def _graphics_fact(state: Any, lines: int) -> str:
    """Say how many pixels and colours a graphics mode has; lines that are shown twice count once."""
    if state.vbe.enabled:
        width, height, depth = state.vbe.registers[1:4]
        return f"A VBE mode of {width} x {height} pixels with {depth} bits each."
    shift, crtc = state.graphics[0x05] >> 5 & 3, state.crtc
    width = (crtc[0x01] + 1) * 8 // (2 if shift & 2 else 1)
    repeated = ((crtc[0x09] & 0x1F) + 1 if crtc[0x17] & 1 else 1) << (crtc[0x09] >> 7)
    colours = 256 if shift & 2 else 1 << bin(state.attribute[0x12] & 0x0F).count("1") * (2 if shift & 1 else 1)
    return f"A graphics mode of {width} x {max(1, lines // repeated)} pixels in {min(colours, 256)} colours."
