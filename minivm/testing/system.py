"""A PC without its CPU, as device contracts see it: ports, memory, time and interrupt lines.

`System` is the protocol. Here it is met by `MiniVmSystem`, all of MiniVM's chips as `minivm.pc` wires them; in
`minivm.testing.qtest` by a real QEMU. A contract that holds on both says something about the chip and not about one
program's idea of it.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from minivm import pc
from minivm.config import DiskSpec, MachineConfig
from minivm.core.describe import Chip
from minivm.core.record import names, record
from minivm.debug.inspect_devices import PARTS
from minivm.errors import MiniVMError

RESOLUTION_NS = 320
"""All systems let time pass in steps of this, so that they stand at the same moment."""
NEVER_RUN = b"\xf4".ljust(510, b"\0") + b"\x55\xaa"
"""A boot sector for a CPU that is never let go."""


@record
class Media:
    """What lies in a system's drives: images as bytes, b"" for a drive that is empty, None for no drive.

    `disks` are the first channel's two drives, the `cdrom` is the second channel's first, the `floppy` is drive A. A
    system works on copies, which are gone with it.
    """

    disks: tuple[bytes, ...] = ()
    cdrom: bytes | None = None
    floppy: bytes | None = None


NO_MEDIA = Media()


class SystemGone(MiniVMError):
    """The system under test went away or cannot be had; the message says why in one line."""


class System(Protocol):
    """A PC of the AT's kind whose CPU does nothing: a contract does all that a CPU would do."""

    name: str
    """What the report calls it."""

    @property
    def now(self) -> int:
        """Virtual nanoseconds since the system began."""

    def read_port(self, port: int, size: int) -> int:
        """Return what an IN of `size` bytes (1, 2 or 4) gives."""

    def write_port(self, port: int, size: int, value: int) -> None:
        """Do an OUT of `size` bytes."""

    def read_memory(self, address: int, length: int) -> bytes:
        """Return bytes of memory as the CPU would see them."""

    def write_memory(self, address: int, data: bytes) -> None:
        """Put bytes into memory as the CPU would."""

    def pass_time(self, delay_ns: int) -> None:
        """Let virtual time pass; `delay_ns` is a whole number of `RESOLUTION_NS`."""

    def irq(self, number: int) -> bool:
        """Return the level of an interrupt line, 0 to 15, as its chip drives it."""

    def drive_irq(self, number: int, level: bool) -> None:
        """Drive an interrupt line that no chip uses."""

    def send_serial(self, data: bytes) -> None:
        """Let bytes arrive at COM1."""

    def sent_serial(self) -> bytes:
        """Return all that COM1 has sent to the other end of its line."""

    def move_key(self, key: str, pressed: bool) -> None:
        """Push a key of the keyboard down or let it up, by its name in `minivm.core.keys`; some time may go by."""

    def change_medium(self, drive: str, image: bytes | None) -> None:
        """Put another medium into the drive called "cdrom" or "floppy"; None takes it out."""

    def resets(self) -> int:
        """Return how often the machine was reset by a chip, as far as that can be known."""

    def exit_status(self) -> int | None:
        """Return the process exit status that the debug-exit port asked for; None while the machine lives."""

    def close(self) -> None:
        """Give everything back to the host; closing twice is harmless."""


class MiniVmSystem:
    """MiniVM's PC on the bench: every chip wired as always, and a CPU that is never run."""

    name = "MiniVM"

    def __init__(self, media: Media = NO_MEDIA) -> None:
        self._folder = TemporaryDirectory(prefix="minivm-contract-")
        config = MachineConfig(memory="2M", guest="contract", **self._drives(media))  # type: ignore[arg-type]
        self._machine = pc.build(config, image=media.floppy or NEVER_RUN)
        self._irqs = self._machine.devices["pic"]
        self._serial = 0

    @property
    def now(self) -> int:
        """Virtual nanoseconds since power-on."""
        return self._machine.clock.now

    def read_port(self, port: int, size: int) -> int:
        """Read from the port bus."""
        value = self._machine.ports.read(port, size)
        self._settle()
        return value

    def write_port(self, port: int, size: int, value: int) -> None:
        """Write to the port bus; a reset that this asks for is done at once."""
        self._machine.ports.write(port, size, value)
        self._settle()

    def read_memory(self, address: int, length: int) -> bytes:
        """Read as the CPU would, byte by byte."""
        return bytes(self._machine.space.load(address + place, 1) for place in range(length))

    def write_memory(self, address: int, data: bytes) -> None:
        """Write as the CPU would, byte by byte."""
        for place, byte in enumerate(data):
            self._machine.space.store(address + place, 1, byte)

    def pass_time(self, delay_ns: int) -> None:
        """Move the machine's clock; alarms ring on the way."""
        self._machine.pass_time(self._machine.clock.now + delay_ns)
        self._settle()

    def irq(self, number: int) -> bool:
        """Look at the PIC's input."""
        pair = self._irqs
        chip = pair.slave if number > 7 else pair.master
        return bool(chip.state().lines >> (number & 7) & 1)

    def drive_irq(self, number: int, level: bool) -> None:
        """Drive the PIC's input."""
        self._irqs.line(number).set(level)

    def send_serial(self, data: bytes) -> None:
        """Queue bytes at COM1's line."""
        console: Any = self._machine.console
        console.ports[0].send(data)

    def sent_serial(self) -> bytes:
        """Return COM1's log."""
        console: Any = self._machine.console
        return bytes(console.ports[0].data)

    def move_key(self, key: str, pressed: bool) -> None:
        """Move the keyboard's switch."""
        keyboard: Any = self._machine.devices["keyboard"]
        (keyboard.press if pressed else keyboard.release)(key)

    def change_medium(self, drive: str, image: bytes | None) -> None:
        """Put the disc into the drive's tray, or the diskette into drive A."""
        if image is None:
            self._machine.eject(f"{drive}0")
        else:
            self._serial += 1
            self._machine.insert(f"{drive}0", DiskSpec(self._image(f"{drive} {self._serial}", image), snapshot=True))

    def resets(self) -> int:
        """Return how often the machine was reset."""
        return self._machine.resets

    def exit_status(self) -> int | None:
        """Return the status that `minivm run` would end with."""
        ended = self._machine.ended
        return None if ended is None else ended.status

    def close(self) -> None:
        """Close the machine."""
        self._machine.close()
        self._folder.cleanup()

    def _drives(self, media: Media) -> dict[str, Any]:
        """Return the configuration of the drives; the floppy is the boot sector that is never run."""
        disks = tuple(
            DiskSpec(self._image(f"disk{number}", image), snapshot=True) for number, image in enumerate(media.disks)
        )
        if media.cdrom is None:
            return {"disks": disks}
        field = next(name for name in names(MachineConfig) if name.startswith("cdrom"))
        return {"disks": disks, field: (DiskSpec(self._image("cdrom", media.cdrom), read_only=True),)}

    def _image(self, name: str, image: bytes) -> Path:
        path = Path(self._folder.name) / name
        path.write_bytes(image)
        return path

    def _settle(self) -> None:
        """Do what the machine does between two instructions: a reset or an end that a chip has asked for.

        Interrupts stay pending, since nobody takes them: the CPU's IF is 0.
        """
        if self._machine.ended is None:
            self._machine.settle()


@cache
def _places() -> tuple[tuple[int, int, str], ...]:
    """Return where the PC has its chips, as `minivm.pc` wires them: QEMU's are at the same ports."""
    system = MiniVmSystem()
    mappings = system._machine.ports.mappings()
    system.close()
    return tuple((mapping.base, mapping.end, mapping.name) for mapping in mappings)


def chip_at(port: int) -> tuple[Chip | None, int]:
    """Return the description of the chip that a PC has at `port`, and the port's offset in it."""
    for base, end, name in _places():
        if base <= port < end and name in PARTS:
            return PARTS[name].chip, port - base
    return None, 0
