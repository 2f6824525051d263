"""How GDB's remote protocol frames what is said: `$payload#checksum`, acknowledgements, and Ctrl-C as a bare 03h.

GDB's manual, appendix E.1 ("Overview"). Whatever bytes come, the reader only ever gives events.
"""

from collections.abc import Iterator
from typing import NamedTuple

PACKET_BYTES = 0x4000
"""The longest payload that the client is told it may send."""
_LONGEST = 4 * PACKET_BYTES
_ESCAPE, _ESCAPE_BIT = 0x7D, 0x20
_INTERRUPT, _START, _END = 0x03, ord("$"), ord("#")


class Event(NamedTuple):
    """One thing that the client said: `kind` is "packet" (with its payload), "interrupt", "ack", "nack" or "bad"."""

    kind: str
    payload: bytes = b""


_SINGLE = {_INTERRUPT: Event("interrupt"), ord("+"): Event("ack"), ord("-"): Event("nack")}


class PacketReader:
    """Cuts a stream of bytes into events; what is not whole yet waits, what is too long or garbage is passed over."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take bytes and give the events that are whole now; "bad" is a packet whose checksum is wrong."""
        waiting = self._waiting
        waiting += data
        while waiting:
            if waiting[0] != _START:
                event = _SINGLE.get(waiting[0])
                del waiting[0]
                if event is not None:
                    yield event
                continue
            end = waiting.find(b"#")
            if end < 0 or len(waiting) < end + 3:
                if len(waiting) > _LONGEST:
                    waiting.clear()
                    yield Event("bad")
                return
            packet, checksum = bytes(waiting[1:end]), bytes(waiting[end + 1 : end + 3])
            del waiting[: end + 3]
            good = checksum.lower() == b"%02x" % (sum(packet) & 0xFF) and len(packet) <= _LONGEST
            yield Event("packet", packet) if good else Event("bad")


def frame(payload: bytes) -> bytes:
    """Return the packet around a payload, in which `escape` has been at work where it is binary."""
    return b"$%b#%02x" % (payload, sum(payload) & 0xFF)


def escape(data: bytes) -> bytes:
    """Return binary data so that it can stand in a payload (section E.1, "Binary Data")."""
    needs = b"#$}*"
    return b"".join(bytes((_ESCAPE, byte ^ _ESCAPE_BIT)) if byte in needs else bytes((byte,)) for byte in data)


def unescape(data: bytes) -> bytes:
    """Return what `escape` was given; an escape at the very end stands for nothing."""
    if _ESCAPE not in data:
        return data
    first, *rest = data.split(b"}")
    return first + b"".join(bytes((part[0] ^ _ESCAPE_BIT,)) + part[1:] for part in rest if part)
