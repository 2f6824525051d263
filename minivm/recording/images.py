"""The images of a recorded machine: which files it is made of, and their way into the recording and out again."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from minivm.config import DiskSpec, MachineConfig
from minivm.core.record import replace
from minivm.errors import SnapshotError
from minivm.machine import Machine
from minivm.recording.format import Image
from minivm.storage.blocks import pack

EMBED_BYTES = 8 << 20
"""Images that need no more than this together, compressed, are put into the file."""
LARGEST_IMAGE = 512 << 20


def image_files(config: MachineConfig) -> Iterator[tuple[str, Path]]:
    """Yield every file that the machine is made of, by its part."""
    if config.guest is not None:
        yield "guest", config.guest
    if config.firmware is not None:
        yield "firmware", config.firmware
    for part, specs in (("disk", config.disks), ("floppy", config.floppies), ("cdrom", config.cdroms)):
        for number, spec in enumerate(specs):
            yield f"{part} {number}", spec.path
    for medium in config.media:
        if medium.spec is not None:
            yield f"medium {medium.drive}", medium.spec.path
    for number, words in enumerate(config.initrd):
        yield f"initrd {number}", Path(words.split(maxsplit=1)[0])


def with_files(config: MachineConfig, files: dict[str, Path]) -> MachineConfig:
    """Return the configuration with other files in place of its own."""

    def disks(part: str, specs: tuple[DiskSpec, ...]) -> tuple[DiskSpec, ...]:
        return tuple(replace(spec, path=files[f"{part} {number}"]) for number, spec in enumerate(specs))

    media = tuple(
        replace(one, spec=one.spec and replace(one.spec, path=files[f"medium {one.drive}"])) for one in config.media
    )
    initrd = tuple(
        " ".join([str(files[f"initrd {number}"]), *words.split(maxsplit=1)[1:]])
        for number, words in enumerate(config.initrd)
    )
    return replace(
        config, guest=files.get("guest"), firmware=files.get("firmware"), initrd=initrd,
        disks=disks("disk", config.disks), floppies=disks("floppy", config.floppies),
        cdroms=disks("cdrom", config.cdroms), media=media,
    )  # fmt: skip


def read_images(machine: Machine, config: MachineConfig) -> tuple[tuple[Image, ...], list[bytes]]:
    """Return what is to be said of each image, and the packed bytes of those that go into the file."""
    images, packed, room = [], [], EMBED_BYTES
    for part, path in image_files(config):
        if part == "guest" and machine.image is not None:
            data = machine.image
        else:
            try:
                data = path.read_bytes()
            except OSError as error:
                raise SnapshotError(f"{path}: cannot be read for the recording: {error.strerror}") from error
        small = pack(data) if len(data) <= LARGEST_IMAGE else b""
        embedded = len(data) <= LARGEST_IMAGE and len(small) <= room
        if embedded:
            packed.append(small)
            room -= len(small)
        images.append(Image(part, path.name, len(data), digest(data), embedded))
    return tuple(images), packed


def refuse_images(path: Path, config: MachineConfig) -> None:
    """Raise `SnapshotError` when the recording would overwrite one of the machine's own files."""
    for part, image in image_files(config):
        if path.exists() and image.exists() and path.samefile(image):
            raise SnapshotError(f"{path}: is the machine's own {part}; record into another file")


def digest(data: bytes) -> str:
    """Return an image's BLAKE2b-256 in hex."""
    return blake2b(data, digest_size=32).hexdigest()
