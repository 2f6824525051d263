"""How the CPU sees video memory through the hole at A0000h to BFFFFh.

A graphics card answers there in three ways. Where a byte of the window is just one byte of memory, the machine maps
that memory into the guest, and no access traps. Where the card's latches and logic take part, each access traps.
"""

from minivm.core.record import record

TRAPPED = "trapped"
TEXT = "text"
LINEAR = "linear"


@record
class Aperture:
    """The window in force: `base` (physical address) and `length` in bytes, and what lies behind it.

    `kind` is "trapped" (every access reaches the card's port for its window), "text" (the flat text buffer at the
    same offset from A0000h) or "linear" (video memory from `offset` on). The rest of A0000h-BFFFFh is always trapped,
    and so is a window that is not whole pages.
    """

    kind: str
    base: int = 0xA0000
    length: int = 0x20000
    offset: int = 0
