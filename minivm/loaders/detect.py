"""What kind of thing a file is, from its first bytes and its size."""

import struct

from minivm.errors import ImageError
from minivm.storage.geometry import LARGEST_FLOPPY, SECTOR, partitions, standard_floppy

SIGNATURE = b"\x55\xaa"
SIGNATURE_OFFSET = 510
_ISO_OFFSET, _ISO_MARK = 0x8001, b"CD001"
"""Of the first volume descriptor, in sector 16 (ECMA-119, section 8.1.2)."""

_HARD_DISK_CODE = (b"\xb4\x42", b"\xb2\x80", b"\xba\x80\x00")
"""MOV AH, 42h; MOV DL, 80h; MOV DX, 0080h."""

_FORCE_FLAT = "for raw code without a header use --boot flat --origin ADDRESS"

_LOOKED_FOR = (
    "is nothing that boots: looked for a boot sector (55AAh at byte 510), a floppy's size, an ELF file, "
    f"a Multiboot 1 header, a bzImage and an ISO; {_FORCE_FLAT}"
)

_KNOWN_BUT_NOT_BOOTABLE = (
    (0, b"QFI\xfb", "is a qcow2 image; make it raw: qemu-img convert -O raw"),
    (0, b"KDMV", "is a VMDK image; make it raw: qemu-img convert -O raw"),
    (0, b"conectix", "is a VHD image; make it raw: qemu-img convert -O raw"),
    (0x40, b"\x7f\x10\xda\xbe", "is a VDI image; make it raw: qemu-img convert -O raw"),
    (0, b"\x1f\x8b", "is packed with gzip; unpack it first"),
    (0, b"\xfd7zXZ\0", "is packed with xz; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "is packed with zstd; unpack it first"),
    (0, b"BZh", "is packed with bzip2; unpack it first"),
    (0, b"PK\x03\x04", "is a ZIP archive; unpack it first"),
    (0, b"MZ", f"is a DOS or EFI program, which needs DOS or UEFI firmware; {_FORCE_FLAT}"),
)


def detect(head: bytes, size: int, name: str) -> str:
    """Return the kind of the file `name` that begins with `head` and has `size` bytes in all.

    One of "sector", "floppy", "disk", "iso", "linux", "multiboot", "elf". A CD that is also a disk, made so for USB
    sticks, is a CD. A flat binary has nothing to be known by and is never guessed. Raises `ImageError` for everything
    else.
    """
    if size == 0:
        raise ImageError(f"{name}: is empty")
    if head[:4] == b"\x7fELF":
        return _kind_of_elf(head, name)
    if has_signature(head):
        return _kind_of_bootable(head, size)
    if head.startswith(_ISO_MARK, _ISO_OFFSET):
        return "iso"
    if _has_multiboot_addresses(head):
        return "multiboot"
    for offset, magic, words in _KNOWN_BUT_NOT_BOOTABLE:
        if head.startswith(magic, offset):
            raise ImageError(f"{name}: {words}")
    # The first PC floppies, of DOS 1, carry no signature: there the size says enough.
    if standard_floppy(size) is not None and any(head[:SECTOR]):
        return "floppy"
    raise ImageError(f"{name}: {_LOOKED_FOR}")


def has_signature(head: bytes) -> bool:
    """Return whether the first sector ends in 55AAh, the mark of a boot sector."""
    return head[SIGNATURE_OFFSET : SIGNATURE_OFFSET + 2] == SIGNATURE


def _kind_of_elf(head: bytes, name: str) -> str:
    from minivm.loaders.multiboot import MULTIBOOT_2_MAGIC, find_header, magic_without_checksum

    if find_header(head) is not None:
        return "multiboot"
    wrong = magic_without_checksum(head)
    if wrong is not None:
        raise ImageError(
            f"{name}: the Multiboot header at byte {wrong:X}h has a wrong checksum: "
            "magic + flags + checksum must be 0; correct it, or use --boot elf"
        )
    if struct.pack("<I", MULTIBOOT_2_MAGIC) in head[:0x8000]:
        raise ImageError(f"{name}: is a Multiboot 2 kernel; MiniVM boots Multiboot 1, or use --boot elf")
    return "elf"


def _kind_of_bootable(head: bytes, size: int) -> str:
    if head.startswith(b"HdrS", 0x202):  # Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"
        return "linux"
    if head.startswith(_ISO_MARK, _ISO_OFFSET):
        return "iso"
    if size == SECTOR:
        return "sector"
    if standard_floppy(size) is not None:
        return "floppy"
    if size > LARGEST_FLOPPY.size or partitions(head[:SECTOR], -(-size // SECTOR)) or _wants_hard_disk(head):
        return "disk"
    return "floppy"


def _wants_hard_disk(head: bytes) -> bool:
    """Return whether the boot sector calls INT 13h for what only hard disks have: AH=42h, or drive 80h by number."""
    code = head[:SIGNATURE_OFFSET]
    return b"\xcd\x13" in code and any(instruction in code for instruction in _HARD_DISK_CODE)


def _has_multiboot_addresses(head: bytes) -> bool:
    from minivm.loaders.multiboot import find_header

    header = find_header(head)
    return header is not None and header.addresses is not None
