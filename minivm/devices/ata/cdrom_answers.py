"""What a CD-ROM drive tells about itself and its disc: the data that packet commands return.

SFF-8020i revision 2.6, section 10 (packet commands); MMC-3 (T10/1363D), sections 5 (features) and 6 (commands). Numbers
are big-endian. A disc has one session with one data track.
"""

from minivm.devices.ata.identity import ATA6_MINOR, ATA_MAJOR_VERSIONS, CYCLE_NS, PIO_MODES, modes_in_force, text

VENDOR, PRODUCT, REVISION = "MINIVM", "CD-ROM", "1.0"
MODEL = f"{VENDOR} {PRODUCT}"
BLOCK_BYTES = 2048
LEAD_OUT = 0xAA
DATA_TRACK = 0x14
"""ADR 1 (the Q channel has positions), a data track without copy permission."""
PREGAP_FRAMES = 150
"""Two seconds before block 0."""
KILOBYTES_A_SECOND = 8820
"""50 times the speed of an audio CD."""
CD_ROM_PROFILE = 0x0008
TRAY_LOADER = 0x20
CAN_LOCK, LOCKED, CAN_EJECT = 0x01, 0x02, 0x08
DATA_DISC, NO_DISC, TRAY_OPEN = 0x01, 0x70, 0x71
"""Medium types of the mode parameter header."""
RECOVERY_PAGE, CAPABILITIES_PAGE, ALL_PAGES = 0x01, 0x2A, 0x3F


def identify_packet_device(serial: str, transfer_mode: int) -> bytes:
    """Return the 512 bytes of IDENTIFY PACKET DEVICE (ATA/ATAPI-6, section 8.16)."""
    words = bytearray(512)
    multiword, ultra = modes_in_force(transfer_mode)
    # A removable CD-ROM whose 12-byte packet may follow the command within 50 µs, without an interrupt.
    values = {
        0: 0x85C0, 49: 0x0F00, 53: 0x0006, 63: multiword, 64: PIO_MODES, 65: CYCLE_NS, 66: CYCLE_NS, 67: CYCLE_NS,
        68: CYCLE_NS, 80: ATA_MAJOR_VERSIONS, 81: ATA6_MINOR, 82: 0x4210, 83: 0x4000, 84: 0x4000, 85: 0x4210,
        87: 0x4000, 88: ultra, 93: 0x600B,
    }  # fmt: skip
    for word, value in values.items():
        words[2 * word : 2 * word + 2] = value.to_bytes(2, "little")
    words[20:40], words[46:54], words[54:94] = text(serial, 20), text(REVISION, 8), text(MODEL, 40)
    return bytes(words)


def inquiry() -> bytes:
    """Return the standard INQUIRY data: a removable CD-ROM of the ATAPI kind."""
    names = VENDOR.ljust(8) + PRODUCT.ljust(16) + REVISION.ljust(4)
    return bytes((0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0)) + names.encode()


def sense(key: int, code: int, qualifier: int) -> bytes:
    """Return the REQUEST SENSE data for a sense key, an additional code and its qualifier."""
    return bytes((0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code, qualifier, 0, 0, 0, 0))


def capacity(blocks: int) -> bytes:
    """Return the number of the last block, and how long a block is."""
    return max(0, blocks - 1).to_bytes(4, "big") + BLOCK_BYTES.to_bytes(4, "big")


def position(block: int, *, minutes: bool) -> bytes:
    """Return a block's number in four bytes, or its minute, second and frame from the disc's beginning."""
    if not minutes:
        return block.to_bytes(4, "big")
    seconds, frame = divmod(block + PREGAP_FRAMES, 75)
    return bytes((0, min(seconds // 60, 0xFF), seconds % 60, frame))


def contents(blocks: int, *, kind: int, first_track: int, minutes: bool) -> bytes | None:
    """Return READ TOC's answer of format 0 (tracks), 1 (sessions) or 2 (the lead-in); None for a wrong question."""
    if kind == 0:
        if first_track > 1 and first_track != LEAD_OUT:
            return None
        tracks = ((1, 0), (LEAD_OUT, blocks))
        entries = b"".join(
            bytes((0, DATA_TRACK, number, 0)) + position(start, minutes=minutes)
            for number, start in tracks
            if number >= first_track
        )
    elif kind == 1:
        entries = bytes((0, DATA_TRACK, 1, 0)) + position(0, minutes=minutes)
    elif kind == 2:
        points = (
            (0xA0, bytes((1, 0, 0))), (0xA1, bytes((1, 0, 0))), (0xA2, position(blocks, minutes=True)[1:]),
            (0x01, position(0, minutes=True)[1:]),
        )  # fmt: skip
        entries = b"".join(bytes((1, DATA_TRACK, 0, point, 0, 0, 0, 0)) + at for point, at in points)
    else:
        return None
    return (len(entries) + 2).to_bytes(2, "big") + b"\x01\x01" + entries


def mode_pages(page: int, *, medium_type: int, locked: bool, changeable: bool) -> bytes | None:
    """Return MODE SENSE(10)'s header and pages; None for a page that the drive does not have.

    With `changeable` the pages show which bits MODE SELECT could change: none.
    """
    mechanism = TRAY_LOADER | CAN_EJECT | CAN_LOCK | (LOCKED if locked else 0)
    speed = KILOBYTES_A_SECOND.to_bytes(2, "big")
    pages = {
        RECOVERY_PAGE: bytes((RECOVERY_PAGE, 6, 0, 5, 0, 0, 0, 0)),
        CAPABILITIES_PAGE: bytes((CAPABILITIES_PAGE, 18, 0, 0, 0, 0, mechanism, 0))
        + speed + b"\0\0" + (512).to_bytes(2, "big") + speed + bytes(4),
    }  # fmt: skip
    if changeable:
        pages = {number: data[:2] + bytes(len(data) - 2) for number, data in pages.items()}
    if page != ALL_PAGES and page not in pages:
        return None
    chosen = b"".join(data for number, data in pages.items() if page in (ALL_PAGES, number))
    return (6 + len(chosen)).to_bytes(2, "big") + bytes((medium_type, 0, 0, 0, 0, 0)) + chosen


def configuration(request: int, first: int, *, has_disc: bool) -> bytes:
    """Return GET CONFIGURATION's features from number `first` on; `request` 1 wants those in force, 2 only `first`."""
    disc = 1 if has_disc else 0
    features = (
        (0x0000, 0x03, CD_ROM_PROFILE.to_bytes(2, "big") + bytes((disc, 0)), True),
        (0x0001, 0x03, (2).to_bytes(4, "big"), True),  # core: an ATAPI interface
        (0x0003, 0x03, bytes((TRAY_LOADER | CAN_EJECT | CAN_LOCK, 0, 0, 0)), True),
        (0x0010, 0x00 | disc, BLOCK_BYTES.to_bytes(4, "big") + bytes((0, 1, 0, 0)), has_disc),  # readable at random
        (0x001E, 0x00 | disc, b"", has_disc),  # READ CD
    )
    chosen = b"".join(
        number.to_bytes(2, "big") + bytes((flags, len(data))) + data
        for number, flags, data, in_force in features
        if number >= first and (request != 1 or in_force) and (request != 2 or number == first)
    )
    profile = CD_ROM_PROFILE if has_disc else 0
    return (4 + len(chosen)).to_bytes(4, "big") + bytes(2) + profile.to_bytes(2, "big") + chosen


def media_event(wanted: int, *, event: int, has_disc: bool, tray_open: bool) -> bytes:
    """Return GET EVENT STATUS NOTIFICATION's answer; `wanted` has bit 4 for the class of media events."""
    if not wanted & 0x10:
        return bytes((0, 2, 0x80, 0x10))
    return bytes((0, 6, 0x04, 0x10, event, (2 if has_disc else 0) | (1 if tray_open else 0), 0, 0))


def disc_information() -> bytes:
    """Return READ DISC INFORMATION's answer: a finished disc with one track."""
    return bytes((0, 32, 0x0E, 1, 1, 1, 1, 0x20)) + bytes(8) + b"\xff" * 8 + bytes(10)


def sub_channel(*, with_position: bool, minutes: bool) -> bytes:
    """Return READ SUB-CHANNEL's answer: no audio plays, and the laser stands at the first block."""
    if not with_position:
        return bytes((0, 0x15, 0, 0))
    place = position(0, minutes=minutes)
    return bytes((0, 0x15, 0, 12, 1, DATA_TRACK, 1, 1)) + place + place


def mechanism(*, tray_open: bool) -> bytes:
    """Return MECHANISM STATUS's answer: a drive with no changer."""
    return bytes((0, 0x10 if tray_open else 0, 0, 0, 0, 0, 0, 0))
