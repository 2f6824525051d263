"""Boot sectors, floppies, hard disks and CDs: the BIOS reads what boots from the drive and jumps there."""

from collections.abc import Callable

from minivm.config import MachineConfig
from minivm.errors import ImageError
from minivm.loaders.detect import SIGNATURE, SIGNATURE_OFFSET, has_signature
from minivm.loaders.image import Image
from minivm.loaders.plan import BootPlan
from minivm.storage.disk import Disk, Medium, open_disk
from minivm.storage.geometry import SECTOR


def load_sector(image: Image, config: MachineConfig) -> BootPlan:
    """Put a bare boot sector on a floppy in memory; code of up to 510 bytes gets the signature that it lacks."""
    if image.size > SECTOR:
        raise ImageError(f"{image.name}: has {image.size} bytes, a boot sector at most {SECTOR}; use --boot floppy")
    code = image.read(SECTOR)
    if len(code) <= SIGNATURE_OFFSET:
        code = code.ljust(SIGNATURE_OFFSET, b"\0") + SIGNATURE
    elif not has_signature(code):
        raise ImageError(f"{image.name}: has no boot signature: bytes 510 and 511 must be 55h and AAh")
    return BootPlan("sector", Disk.from_bytes(code, image.name, medium="floppy"))


def load_floppy(image: Image, config: MachineConfig) -> BootPlan:
    """Put the image into the first floppy drive."""
    return BootPlan("floppy", _drive(image, config, "floppy"))


def load_disk(image: Image, config: MachineConfig) -> BootPlan:
    """Attach the image as the first hard disk."""
    return BootPlan("disk", _drive(image, config, "disk"))


def load_iso(image: Image, config: MachineConfig) -> BootPlan:
    """Put the image into the first CD drive; what boots from it is for the BIOS to find (El Torito)."""
    return BootPlan("iso", _drive(image, config, "cdrom"))


def _drive(image: Image, config: MachineConfig, medium: Medium) -> Disk:
    if image.path is None:
        return Disk.from_bytes(image.read(image.size), image.name, medium=medium)
    if medium == "cdrom":
        return open_disk(image.path, read_only=True, medium=medium)
    return open_disk(image.path, snapshot=config.guest_snapshot, medium=medium)


LOADERS: dict[str, Callable[[Image, MachineConfig], BootPlan]] = {
    "sector": load_sector,
    "floppy": load_floppy,
    "disk": load_disk,
    "iso": load_iso,
}
