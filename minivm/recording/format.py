"""The format of a recording file: sections with checksums, and what they hold (docs/replay.md).

magic      16 bytes, then the format number
sections   one behind the other: kind, length, contents (zstd), a checksum of this and of all before it
  HEAD     configuration, and the images' names, sizes and digests
  IMAG     one for each image that is in the file
  SNAP     where it begins, unless at power-on: a snapshot file
  RUN      inputs, and checks of the state, in the order of the run; a new one twice a second
  END      why it ended, where, and the state
"""

import json
import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from minivm.config import MachineConfig
from minivm.core.memory import PAGE
from minivm.core.record import record
from minivm.errors import SnapshotError
from minivm.inputs import Input
from minivm.machine import Machine
from minivm.storage.blocks import ZERO_PAGE, unpack

MAGIC = b"MINIVM-RECORDING"
FORMAT = 1
PROLOGUE = struct.Struct("<16sI")
SECTION = struct.Struct("<4sI")
CHECKSUM_BYTES = 16
_MOST_TEXT = 64 << 20


@record
class Image:
    """A file that the machine was made of: its part ("guest", "disk 0"), name, bytes, and BLAKE2b-256 in hex."""

    part: str
    name: str
    size: int
    digest: str
    embedded: bool


@record
class Check:
    """A digest of the state at a position: of all but RAM, or `whole`."""

    position: int
    digest: str
    whole: bool = False


@record
class End:
    """Why and where a recording ended, and the digest of the whole state there."""

    reason: str
    code: int
    position: int
    in_block: bool
    final: bool
    digest: str


@record
class Head:
    """What stands at a file's beginning. `start` is "power-on", or "snapshot" when it began in the middle of a run."""

    version: str
    start: str
    config: MachineConfig
    images: tuple[Image, ...]


Entry = Input | Check


def light_digest(machine: Machine) -> str:
    """Return a digest of all of a machine but its RAM."""
    devices = machine.user_devices | machine.devices
    states = {name: device.state() for name, device in devices.items() if hasattr(device, "state")}
    text = repr((machine.now, machine.halted, machine.cpu.as_dict(), sorted(states.items())))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def whole_digest(machine: Machine) -> str:
    """Return a digest of a machine with its RAM; pages of zeros take no time."""
    digest = blake2b(light_digest(machine).encode(), digest_size=16)
    view = machine.memory.view
    for number in machine.memory.used():
        page = view[number * PAGE : (number + 1) * PAGE]
        if page != ZERO_PAGE:
            digest.update(number.to_bytes(4, "little"))
            digest.update(page)
    return digest.hexdigest()


class Checksum:
    """The running checksum of a file: of a section and of all before it."""

    def __init__(self, prologue: bytes) -> None:
        self._sum = blake2b(prologue, digest_size=CHECKSUM_BYTES)

    def add(self, section: bytes | memoryview) -> bytes:
        """Return the checksum behind a section, which is its start and its contents."""
        self._sum.update(section)
        return self._sum.digest()


def section(kind: bytes, data: bytes, checksum: Checksum) -> bytes:
    """Return a section as it stands in the file."""
    whole = SECTION.pack(kind, len(data)) + data
    return whole + checksum.add(whole)


def sections(data: bytes, salvage: bool) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and contents of each section whose checksum is right."""
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise SnapshotError("is not a recording")
    if len(data) < PROLOGUE.size:
        raise SnapshotError("is cut short: it has no header")
    number = PROLOGUE.unpack_from(data)[1]
    if number != FORMAT:
        hint = f"newer than this program's {FORMAT}; update minivm" if number > FORMAT else "unknown"
        raise SnapshotError(f"format: {number} is {hint}")
    view, at = memoryview(data), PROLOGUE.size
    checksum = Checksum(data[:at])
    while at < len(data):
        start, at = at, at + SECTION.size
        if at <= len(data):
            kind, length = SECTION.unpack_from(data, start)
            end = at + length
            if end + CHECKSUM_BYTES <= len(data):
                if checksum.add(view[start:end]) != data[end : end + CHECKSUM_BYTES]:
                    raise SnapshotError(f"is damaged: the checksum at byte {end} does not fit")
                yield kind, view[at:end]
                at = end + CHECKSUM_BYTES
                continue
        if salvage:
            return
        raise SnapshotError(f"is cut short in the section at byte {start}; --salvage replays what is there before it")


def parse(contents: memoryview, where: str) -> Any:
    """Return what JSON text, packed, says; `where` names it when it is wrong."""
    try:
        return json.loads(unpack(contents, _MOST_TEXT))
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{where}: is not JSON: {error}") from None


def dump(value: Any) -> bytes:
    """Return a plain value as JSON text."""
    return json.dumps(value, separators=(",", ":")).encode()
