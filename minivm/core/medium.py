"""A change of what lies in a drive, as an input from outside: told without the host's folders."""

from minivm.core.record import record


@record
class MediumInfo:
    """What is put into a drive: the file's name without its folder, bytes, BLAKE2b-256 in hex, and if it is protected.

    `key` names the open image on its machine; size and digest are only there while a journal takes notes.
    """

    key: str
    name: str
    size: int
    digest: str
    read_only: bool


@record
class MediumChange:
    """Out of `drive` ("floppy0", "cdrom0") with what is in it, and in with `medium`; None leaves the drive empty."""

    drive: str
    medium: MediumInfo | None
