"""8254's registers (Intel datasheet 231164): three counters' ports, and the control word with its three meanings."""

from typing import Any

from minivm.core.describe import Access, Chip, Content, Field, Register, flag, listed, spoken

INPUT_HZ = 1_193_182
LATCH, LSB, MSB, BOTH = range(4)
_MODES = {
    0: "mode 0, interrupt on terminal count",
    1: "mode 1, retriggerable one-shot",
    2: "mode 2, rate generator",
    3: "mode 3, square wave",
    4: "mode 4, software-triggered strobe",
    5: "mode 5, hardware-triggered strobe",
    6: "mode 2, rate generator",
    7: "mode 3, square wave",
}
_ACCESS = {0: "latch the count", 1: "LSB only", 2: "MSB only", 3: "LSB, then MSB"}

CONTROL = Register("CW", "control word", 3, "w", (
    Field("SC", 7, 6, {0: "channel 0", 1: "channel 1", 2: "channel 2", 3: "read-back"}),
    Field("RW", 5, 4, _ACCESS),
    Field("M", 3, 1, _MODES),
    flag("BCD", 0, "BCD", "binary"),
))  # fmt: skip
COUNTER_LATCH = Register("LATCH", "counter latch command", 3, "w", (Field("SC", 7, 6, "channel"),),
                         say=lambda value, state: f"the count of channel {value >> 6} is held until read")  # fmt: skip
READ_BACK = Register("RBC", "read-back command", 3, "w", (
    flag("COUNT", 5, "", "latch counts"),
    flag("STATUS", 4, "", "latch status"),
    flag("CNT2", 3, "channel 2"), flag("CNT1", 2, "channel 1"), flag("CNT0", 1, "channel 0"),
), say=lambda value, state: _say_read_back(value))  # fmt: skip
STATUS = Register("STATUS", "latched status", 0, "r", (
    flag("OUT", 7, "OUT is high", "OUT is low"),
    flag("NULL COUNT", 6, "the count written last is not in use yet", "the count is in use"),
    Field("RW", 5, 4, _ACCESS),
    Field("M", 3, 1, _MODES),
    flag("BCD", 0, "BCD", "binary"),
))  # fmt: skip


def describe(name: str) -> Chip:
    """Return the description of an 8254."""
    counts = tuple(_counter(channel) for channel in range(3))
    return Chip(
        name,
        (*counts, CONTROL, COUNTER_LATCH, READ_BACK, STATUS),
        pick=lambda access, state: _pick(counts, access, state),
        contents=_contents,
        facts=_facts,
    )


def _counter(channel: int) -> Register:
    return Register(
        f"C{channel}", f"counter {channel}", channel, "rw", (Field(f"C{channel}", 7, 0, "a byte of the count"),),
        say=lambda value, state: _say_count(channel, value, state),
    )  # fmt: skip


def _pick(counts: tuple[Register, ...], access: Access, state: Any) -> Register | None:
    channel = access.offset & 3
    if channel == 3:
        return _command(access.value or 0) if access.write else None
    if not access.write and state is not None and state.counters[channel].latched_status is not None:
        return STATUS
    return counts[channel] if access.write else _reading(channel, None if state is None else state.counters[channel])


def _command(value: int) -> Register:
    if value >> 6 == 3:
        return READ_BACK
    return CONTROL if value >> 4 & 3 else COUNTER_LATCH


def _reading(channel: int, counter: Any) -> Register:
    if counter is None:
        return Register(
            f"C{channel}", f"counter {channel}", channel, "r", (Field(f"C{channel}", 7, 0, "a byte of it:"),)
        )
    half = "high" if counter.control >> 4 == MSB or counter.read_high else "low"
    held = "latched" if counter.latched_count is not None else "running"
    return Register(
        f"C{channel}",
        f"counter {channel}",
        channel,
        "r",
        (),
        say=lambda value, state: f"{half} byte of the {held} count",
    )


def _say_read_back(value: int) -> str:
    what = [word for bit, word in ((0x20, "count"), (0x10, "status")) if not value & bit]
    whose = [str(channel) for channel in range(3) if value & 2 << channel]
    if not what or not whose:
        return "nothing is latched"
    return f"{spoken(what)} of channel {spoken(whose)} {'is' if len(what) == 1 else 'are'} held until read"


def _say_count(channel: int, value: int, state: Any) -> str:
    counter = None if state is None else state.counters[channel]
    access = BOTH if counter is None else counter.control >> 4 & 3
    if counter is None or (access == BOTH and counter.low_byte is None):
        return f"{value:02X}h, the low byte of the count; the high byte follows"
    if access == LSB:
        return f"the count is {_counting(value, counter)}"
    return f"the count is {_counting(value << 8 | (counter.low_byte or 0 if access == BOTH else 0), counter)}"


def _counting(count: int, counter: Any) -> str:
    """Return a count, and how often OUT then goes round in the two periodic modes."""
    decimal = sum((count >> 4 * place & 0xF) * 10**place for place in range(4)) if counter.control & 1 else count
    pulses = decimal or (10_000 if counter.control & 1 else 0x10000)
    mode = counter.control >> 1 & 3
    words = f"{pulses}" if decimal else f"0, which means {pulses}"
    if mode in (2, 3):
        return f"{words}, so OUT goes round {hertz(pulses)} times a second"
    return f"{words}, which takes {pulses * 1_000_000 / INPUT_HZ:.4g} us"


def hertz(pulses: int) -> str:
    """Return the frequency of a period of `pulses`, in Hz."""
    return f"{INPUT_HZ / max(pulses, 1):.6g}"


def _contents(state: Any, now: int) -> list[Content]:
    return [
        Content(
            Register(f"STATUS{channel}", f"status of counter {channel}", channel, "r", STATUS.fields),
            counter.out << 7 | counter.null_count << 6 | counter.control & 0x3F,
        )
        for channel, counter in enumerate(state.counters)
    ]


def _facts(state: Any, now: int) -> list[str]:
    return [_channel_fact(channel, counter) for channel, counter in enumerate(state.counters)]


def _channel_fact(channel: int, counter: Any) -> str:
    words = listed((
        _MODES[counter.control >> 1 & 7],
        f"OUT {'high' if counter.out else 'low'}",
        f"gate {'high' if counter.gate else 'low'}",
        _running(counter),
    ))  # fmt: skip
    return f"Channel {channel}: {words}."


def _running(counter: Any) -> str:
    if not counter.loaded:
        return "no count loaded"
    if counter.control >> 1 & 3 in (2, 3):
        return f"period {counter.period} = {hertz(counter.period)} Hz"
    return f"{counter.remaining} pulses to the terminal count" if counter.active else "terminal count reached"
