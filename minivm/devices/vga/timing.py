"""The VGA's CRTC as a counter: the shape of a frame, and where the beam is at any moment.

IBM PS/2 Hardware Interface Technical Reference, "CRT controller". Nothing ticks: the retrace bits are computed from
the time at which they are read.
"""

from functools import cached_property

from minivm.core.record import record

PIXEL_CLOCKS_HZ = (25_175_000, 28_322_000, 25_175_000, 25_175_000)
"""By clock select (miscellaneous output, bits 3-2); nothing is connected to the external inputs, 2 and 3."""
STATUS_1_BLANKING = 0x01
STATUS_1_RETRACE = 0x08


@record
class Timing:
    """The shape of a frame in pixels and scan lines, as the CRTC counts them."""

    clock_hz: int
    line_pixels: int
    shown_pixels: int
    frame_lines: int
    shown_lines: int
    retrace_from: int
    retrace_to: int

    @cached_property
    def frame_pixels(self) -> int:
        """How many pixel clocks one frame takes."""
        return self.line_pixels * self.frame_lines

    def position(self, now_ns: int) -> tuple[int, int]:
        """Return where the beam is at `now_ns`: scan line and pixel; frames follow each other from time 0."""
        line, pixel = divmod(now_ns * self.clock_hz // 1_000_000_000 % self.frame_pixels, self.line_pixels)
        return line, pixel

    def status(self, now_ns: int) -> int:
        """Return the two bits of input status 1 that follow the beam."""
        line, pixel = self.position(now_ns)
        shown = line < self.shown_lines and pixel < self.shown_pixels
        status = 0 if shown else STATUS_1_BLANKING
        return status | (STATUS_1_RETRACE if self.retrace_from <= line < self.retrace_to else 0)


def timing_of(miscellaneous: int, clocking: int, crtc: bytes) -> Timing:
    """Return the frame that these registers make; `clocking` is the sequencer's register 01h."""
    cell_pixels = 8 if clocking & 0x01 else 9
    doubled = 2 if crtc[0x17] & 0x04 else 1
    retrace_from = crtc[0x10] | overflow(crtc, 2, 8) | overflow(crtc, 7, 9)
    return Timing(
        clock_hz=PIXEL_CLOCKS_HZ[miscellaneous >> 2 & 3] >> (clocking >> 3 & 1),
        line_pixels=(crtc[0x00] + 5) * cell_pixels,
        shown_pixels=(crtc[0x01] + 1) * cell_pixels,
        frame_lines=((crtc[0x06] | overflow(crtc, 0, 8) | overflow(crtc, 5, 9)) + 2) * doubled,
        shown_lines=shown_lines(crtc),
        retrace_from=retrace_from * doubled,
        # The end is given by its low four bits: the retrace lasts 1 to 16 lines.
        retrace_to=(retrace_from + ((crtc[0x11] - retrace_from - 1) & 0x0F) + 1) * doubled,
    )


def overflow(crtc: bytes, bit: int, place: int) -> int:
    """Return the bit that the overflow register 07h holds for another register, at its `place` there."""
    return (crtc[0x07] >> bit & 1) << place


def shown_lines(crtc: bytes) -> int:
    """Return how many scan lines of a frame are shown."""
    last = crtc[0x12] | overflow(crtc, 1, 8) | overflow(crtc, 6, 9)
    return (last + 1) * (2 if crtc[0x17] & 0x04 else 1)


def line_compare(crtc: bytes) -> int:
    """Return the last scan line before the one at which the CRTC begins to count from address 0 again."""
    return crtc[0x18] | overflow(crtc, 4, 8) | (crtc[0x09] >> 6 & 1) << 9


def start_address(crtc: bytes) -> int:
    """Return the address of the first character or eight pixels, byte panning included."""
    return (crtc[0x0C] << 8 | crtc[0x0D]) + (crtc[0x08] >> 5 & 3)
