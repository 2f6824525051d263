"""8237A's registers (Intel datasheet 231466), of the byte and the word controller, and the page registers."""

from functools import partial
from typing import Any

from minivm.core.describe import Access, Chip, Content, Field, Register, flag, listed, spoken

_SELECT = {0: "demand mode", 1: "single mode", 2: "block mode", 3: "cascade mode"}
_TRANSFER = {0: "verify", 1: "write: from the device to memory", 2: "read: from memory to the device", 3: "illegal"}
_PAGE_OWNERS = {0x81: 2, 0x82: 3, 0x83: 1, 0x87: 0, 0x89: 6, 0x8A: 7, 0x8B: 5}
FIRST_PAGE_PORT = 0x81


def describe(name: str, *, first: int) -> Chip:
    """Return the description of one controller; `first` is 0 for the byte controller, 4 for the word controller."""
    spacing = 2 if first else 1
    registers = _registers(first)
    return Chip(
        name,
        registers,
        pick=lambda access, state: _pick(registers, spacing, access),
        contents=lambda state, now: _contents(registers, first, state),
        facts=lambda state, now: [_channel_fact(first, number, state) for number in range(4)],
    )


def _registers(first: int) -> tuple[Register, ...]:
    counters = tuple(
        Register(f"{short}{first + number}", f"{words} of channel {first + number}", 2 * number + which, "rw", (),
                 say=_say_counter)
        for number in range(4)
        for which, (short, words) in enumerate((("ADDR", "address"), ("COUNT", "count less one")))
    )  # fmt: skip
    channels = [f"channel {first + number}" for number in range(4)]
    mode = (
        Field("SELECT", 7, 6, _SELECT), flag("DEC", 5, "address decrements", "address increments"),
        flag("AUTO", 4, "autoinitialized", "masked at the terminal count"), Field("TRANSFER", 3, 2, _TRANSFER),
        Field("CHANNEL", 1, 0, lambda number: f"channel {first + number}"),
    )  # fmt: skip
    return (
        *counters,
        Register("COMMAND", "command", 8, "w", (
            flag("DACK", 7, "DACK active high"), flag("DREQ", 6, "DREQ active low"),
            flag("EXTENDED", 5, "extended write"),
            flag("ROTATE", 4, "rotating priority", "fixed priority"), flag("COMPRESSED", 3, "compressed timing"),
            flag("DISABLE", 2, "the controller is off", "the controller is on"),
            flag("HOLD", 1, "channel 0 holds its address"),
            flag("MEMORY", 0, "memory to memory"),
        )),
        Register("STATUS", "status", 8, "r", tuple(
            flag(f"{short}{first + number}", bit + number, f"{words} {channels[number]}")
            for bit, short, words in ((4, "REQ", "request of"), (0, "TC", "terminal count of")) for number in range(4)
        ), say=partial(_say_status, first)),
        Register("REQUEST", "software request", 9, "w", (
            flag("SET", 2, "requested", "request withdrawn"), Field("CHANNEL", 1, 0, mode[-1].meaning),
        )),
        Register("MASK", "single mask", 10, "w", (
            flag("SET", 2, "masked", "unmasked"), Field("CHANNEL", 1, 0, mode[-1].meaning),
        )),
        Register("MODE", "mode", 11, "w", mode),
        Register("CLEAR FF", "clear first/last flip-flop", 12, "w", (),
                 say=lambda value, state: "the next access is of a low byte"),
        Register("MASTER CLEAR", "master clear", 13, "w", (), say=lambda value, state: "as after a reset, all masked"),
        Register("TEMPORARY", "temporary", 13, "r", (Field("TEMPORARY", 7, 0),)),
        Register("CLEAR MASK", "clear mask", 14, "w", (), say=lambda value, state: "all channels are unmasked"),
        Register("ALL MASK", "all masks", 15, "rw", (Field("MASK", 3, 0),), say=partial(_say_masks, first)),
    )  # fmt: skip


def _say_status(first: int, value: int, state: Any) -> str:
    asking = [str(first + number) for number in range(4) if value >> 4 + number & 1]
    ended = [str(first + number) for number in range(4) if value >> number & 1]
    words = (f"requests of channel {spoken(asking)}" if asking else "no requests",
             f"terminal count of channel {spoken(ended)}" if ended else "")  # fmt: skip
    return listed(words)


def _say_masks(first: int, value: int, state: Any) -> str:
    masked = [str(first + number) for number in range(4) if value >> number & 1]
    return f"masked: {spoken(masked)}" if masked else "no channel is masked"


def _say_counter(value: int, state: Any) -> str:
    if state is None:
        return f"a byte, {value:02X}h"
    return f"the {'high' if state.high_byte else 'low'} byte, {value:02X}h"


def _pick(registers: tuple[Register, ...], spacing: int, access: Access) -> Register | None:
    letter = "w" if access.write else "r"
    offset = access.offset // spacing
    return next((one for one in registers if one.offset == offset and letter in one.access), None)


def _contents(registers: tuple[Register, ...], first: int, state: Any) -> list[Content]:
    """Return command, status and masks; nothing is answered by looking."""
    named = {register.name: register for register in registers}
    requests = (state.dreq | state.requests) << 4
    return [
        Content(named["COMMAND"], state.command),
        Content(named["STATUS"], requests | state.terminal_counts),
        Content(named["ALL MASK"], state.mask),
    ]


def _channel_fact(first: int, number: int, state: Any) -> str:
    channel = state.channels[number]
    words = listed((
        _SELECT[channel.mode >> 6],
        "" if channel.mode >> 6 == 3 else _TRANSFER[channel.mode >> 2 & 3],
        f"address {channel.address:04X}h", f"{(channel.count + 1) & 0xFFFF or 0x10000} transfers to go",
        "masked" if state.mask >> number & 1 else "unmasked",
    ))  # fmt: skip
    return f"Channel {first + number}: {words}."


def describe_pages(name: str) -> Chip:
    """Return the description of the page registers, ports 81h to 8Fh."""
    registers = tuple(_page(port) for port in range(FIRST_PAGE_PORT, 0x90))
    owned = [register for register in registers if register.offset + FIRST_PAGE_PORT in _PAGE_OWNERS]
    return Chip(name, registers, contents=lambda state, now: [Content(one, state.pages[one.offset]) for one in owned])


def _page(port: int) -> Register:
    owner = _PAGE_OWNERS.get(port)
    title = "spare page register" if owner is None else f"page of channel {owner}"
    if port == 0x8F:
        title = "page of refresh"
    return Register(f"{port:02X}h", title, port - FIRST_PAGE_PORT, "rw", (),
                    say=lambda value, state: f"{title}: {value << 16:06X}h")  # fmt: skip
