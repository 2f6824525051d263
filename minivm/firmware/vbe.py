"""INT 10h AH=4Fh: graphics modes of any size and depth.

VESA BIOS Extension (VBE) Core Functions 2.0; VESA BIOS Extensions/Display Data Channel 1.1. The modes are made by the
registers of `dispi`; without them nothing here is there. What the card shows is read back from them each time, so that
a program that sets them by itself finds its mode in AX=4F03h, too.
"""

from collections.abc import Callable

from minivm.firmware import dispi, vga
from minivm.firmware.dispi import Shape
from minivm.firmware.edid import edid
from minivm.firmware.modes import Modes
from minivm.firmware.services import Board, Call
from minivm.firmware.vbe_info import MODES, controller_info, mode_info
from minivm.firmware.video_memory import BANK_BYTES, card
from minivm.firmware.video_state import BLOCK_BYTES, VideoState

DONE, FAILED, TOO_MUCH, NOT_NOW = 0x004F, 0x014F, 0x024F, 0x034F
"""AX: as asked; failed; not with this hardware; not in this mode."""
UNKNOWN = 0x0100
MODE_MASK, LINEAR_MODE, KEEP_MEMORY = 0x01FF, 0x4000, 0x8000
VBE_MODE = 0x7F
"""What 40:49 says while a VBE mode is set."""
SVGA_STATE = 8
BASE_MODE = 0x13
CHARACTER_WIDTH, CHARACTER_HEIGHT = 8, 16
MORE_REGISTERS = (
    dispi.WIDTH, dispi.HEIGHT, dispi.BITS, dispi.ENABLE, dispi.BANK, dispi.VIRTUAL_WIDTH, dispi.VIRTUAL_HEIGHT,
    dispi.X_OFFSET, dispi.Y_OFFSET,
)  # fmt: skip
"""What AX=4F04h saves, in the order in which it comes back: ENABLE resets those behind it."""


class Vbe:
    """The VESA BIOS Extensions; `window_function` is the far pointer to the ROM's code for `far_window`."""

    def __init__(self, board: Board, modes: Modes, state: VideoState, *, window_function: int) -> None:
        self._board = board
        self._modes = modes
        self._state = state
        self._window_function = window_function
        self._functions: dict[int, Callable[[Call], int]] = {
            0x00: self._controller, 0x01: self._mode_info, 0x02: self._set_mode, 0x03: self._get_mode,
            0x04: self._save_and_restore, 0x05: self._window, 0x06: self._line_length, 0x07: self._display_start,
            0x08: self._dac_width, 0x09: self._palette, 0x15: self._monitor,
        }  # fmt: skip

    def call(self, call: Call) -> None:
        """Do the function in AL; AX becomes what happened."""
        if not dispi.there(self._board):
            call.unknown("INT 10h")
            return
        function = self._functions.get(call.cpu.al)
        if function is None:
            call.unknown("INT 10h")
            call.cpu.ax = UNKNOWN
        else:
            call.cpu.ax = function(call)

    def far_window(self, call: Call) -> None:
        """The same as AX=4F05h, for who calls the pointer in the mode's description."""
        call.cpu.ax = self._window(call)

    # -- what there is ------------------------------------------------------------------------------------------
    def _controller(self, call: Call) -> int:
        cpu = call.cpu
        wants_2 = self._board.load_bytes(cpu.es, cpu.di, 4) == b"VBE2"
        blocks = dispi.read(self._board, dispi.MEMORY_64K)
        info = controller_info(cpu.es, cpu.di, memory_blocks=blocks, modes=self._fitting(), version_2=wants_2)
        self._board.store_bytes(cpu.es, cpu.di, info)
        return DONE

    def _fitting(self) -> list[int]:
        """Return the modes for which the card has enough memory."""
        total = self._total_bytes()
        return [number for number, shape in MODES.items() if shape.line_bytes * shape.height <= total]

    def _total_bytes(self) -> int:
        return dispi.read(self._board, dispi.MEMORY_64K) * BANK_BYTES

    def _mode_info(self, call: Call) -> int:
        cpu = call.cpu
        shape = MODES.get(cpu.cx & MODE_MASK)
        if shape is None:
            return FAILED
        found = card(self._board)
        info = mode_info(
            shape, linear_base=found.base if found else 0, total_bytes=self._total_bytes(),
            window_function=self._window_function,
        )  # fmt: skip
        self._board.store_bytes(cpu.es, cpu.di, info)
        return DONE

    # -- modes --------------------------------------------------------------------------------------------------
    def _set_mode(self, call: Call) -> int:
        wanted = call.cpu.bx
        number, keep = wanted & MODE_MASK, bool(wanted & KEEP_MEMORY)
        if number < 0x100:
            return DONE if self._modes.set(number & 0x7F, keep or bool(number & 0x80)) else FAILED
        shape = MODES.get(number)
        if shape is None or shape.line_bytes * shape.height > self._total_bytes():
            return FAILED
        if wanted & LINEAR_MODE and card(self._board) is None:
            return FAILED
        self._modes.set(BASE_MODE, keep_memory=True)  # 256 colours, and the screen on
        flags = dispi.ENABLED | (dispi.LINEAR if wanted & LINEAR_MODE else 0) | (dispi.KEEP_MEMORY if keep else 0)
        self._enable(shape, flags)
        self._describe(shape, keep)
        return DONE

    def _enable(self, shape: Shape, flags: int) -> None:
        for index, value in (
            (dispi.WIDTH, shape.width), (dispi.HEIGHT, shape.height), (dispi.BITS, shape.bits),
            (dispi.ENABLE, flags), (dispi.BANK, 0), (dispi.VIRTUAL_WIDTH, shape.width),
            (dispi.X_OFFSET, 0), (dispi.Y_OFFSET, 0),
        ):  # fmt: skip
            dispi.write(self._board, index, value)

    def _describe(self, shape: Shape, keep: bool) -> None:
        bda = self._board.bda
        bda.video_mode, bda.columns = VBE_MODE, shape.width // CHARACTER_WIDTH
        bda.last_row, bda.character_height = shape.height // CHARACTER_HEIGHT - 1, CHARACTER_HEIGHT
        bda.page_bytes = 0
        bda.video_control = bda.video_control & 0x7F | (0x80 if keep else 0)
        self._modes.point_at_font(CHARACTER_HEIGHT)

    def _get_mode(self, call: Call) -> int:
        shape, bda = dispi.shape(self._board), self._board.bda
        if shape is None:
            call.cpu.bx = bda.video_mode | (KEEP_MEMORY if bda.video_control & 0x80 else 0)
            return DONE
        kept = (shape.width, shape.height, shape.bits)
        number = next((key for key, one in MODES.items() if (one.width, one.height, one.bits) == kept), None)
        if number is None:
            return FAILED
        linear = LINEAR_MODE if shape.flags & dispi.LINEAR else 0
        call.cpu.bx = number | linear | (KEEP_MEMORY if shape.flags & dispi.KEEP_MEMORY else 0)
        return DONE

    # -- state --------------------------------------------------------------------------------------------------
    def _save_and_restore(self, call: Call) -> int:
        cpu = call.cpu
        vga_bytes, own_bytes = self._state.size_bytes(cpu.cx), 2 * len(MORE_REGISTERS) if cpu.cx & SVGA_STATE else 0
        match cpu.dl:
            case 0:
                cpu.bx = -(-(vga_bytes + own_bytes) // BLOCK_BYTES)
            case 1:
                own = self._save_own() if own_bytes else b""
                self._board.store_bytes(cpu.es, cpu.bx, own + self._state.save(cpu.cx))
            case 2:
                data = self._board.load_bytes(cpu.es, cpu.bx, vga_bytes + own_bytes)
                if own_bytes:
                    self._restore_own(data[:own_bytes])
                self._state.restore(cpu.cx, data[own_bytes:])
            case _:
                return FAILED
        return DONE

    def _save_own(self) -> bytes:
        return b"".join(dispi.read(self._board, index).to_bytes(2, "little") for index in MORE_REGISTERS)

    def _restore_own(self, data: bytes) -> None:
        dispi.write(self._board, dispi.ENABLE, 0)
        for place, index in enumerate(MORE_REGISTERS):
            value = int.from_bytes(data[2 * place : 2 * place + 2], "little")
            dispi.write(self._board, index, value | dispi.KEEP_MEMORY if index == dispi.ENABLE else value)

    # -- what the screen shows of the memory --------------------------------------------------------------------
    def _window(self, call: Call) -> int:
        cpu, shape = call.cpu, dispi.shape(self._board)
        if shape is None or shape.flags & dispi.LINEAR:
            return NOT_NOW
        if cpu.bl != 0 or cpu.bh > 1:
            return FAILED
        if cpu.bh == 1:
            cpu.dx = dispi.read(self._board, dispi.BANK)
        elif cpu.dx >= dispi.read(self._board, dispi.MEMORY_64K):
            return FAILED
        else:
            dispi.write(self._board, dispi.BANK, cpu.dx)
        return DONE

    def _line_length(self, call: Call) -> int:
        """AX=4F06h: BL = 0 sets the length of lines in pixels, 2 in bytes; 1 tells it, and 3 the longest."""
        cpu, shape = call.cpu, dispi.shape(self._board)
        if shape is None:
            return NOT_NOW
        longest = min(self._total_bytes() // shape.height // shape.pixel_bytes, 0xFFFF // shape.pixel_bytes) & ~7
        match cpu.bl:
            case 0 | 2:
                pixels = cpu.cx if cpu.bl == 0 else -(-cpu.cx // shape.pixel_bytes)
                pixels = max(pixels + 7 & ~7, shape.width)
                if pixels > longest:
                    return TOO_MUCH
                dispi.write(self._board, dispi.VIRTUAL_WIDTH, pixels)
                shape = dispi.shape(self._board) or shape
            case 1:
                pass
            case 3:
                cpu.bx, cpu.cx = longest * shape.pixel_bytes, longest
                cpu.dx = min(self._total_bytes() // (longest * shape.pixel_bytes), 0xFFFF)
                return DONE
            case _:
                return FAILED
        cpu.bx, cpu.cx = shape.line_bytes, shape.virtual_width
        cpu.dx = min(self._total_bytes() // shape.line_bytes, 0xFFFF)
        return DONE

    def _display_start(self, call: Call) -> int:
        """AX=4F07h: BL = 0, or 80h in the retrace, sets which pixel stands at the top left; 1 tells it."""
        cpu, shape = call.cpu, dispi.shape(self._board)
        if shape is None:
            return NOT_NOW
        match cpu.bl:
            case 0 | 0x80:
                if (cpu.dx + shape.height) * shape.line_bytes > self._total_bytes():
                    return FAILED
                dispi.write(self._board, dispi.X_OFFSET, cpu.cx)
                dispi.write(self._board, dispi.Y_OFFSET, cpu.dx)
            case 1:
                cpu.bh = 0
                cpu.cx, cpu.dx = (dispi.read(self._board, index) for index in (dispi.X_OFFSET, dispi.Y_OFFSET))
            case _:
                return FAILED
        return DONE

    # -- colours ------------------------------------------------------------------------------------------------
    def _dac_width(self, call: Call) -> int:
        """AX=4F08h: BL = 0 asks for levels of BH bits, 1 asks how many they have: 6 or 8."""
        cpu, shape = call.cpu, dispi.shape(self._board)
        if shape is None or shape.bits > 8:
            return NOT_NOW
        if cpu.bl > 1 or (cpu.bl == 0 and cpu.bh < 6):
            return FAILED
        if cpu.bl == 0:
            wide = dispi.DAC_8_BITS if cpu.bh >= 8 else 0
            flags = shape.flags & ~dispi.DAC_8_BITS | wide | dispi.KEEP_MEMORY
            dispi.write(self._board, dispi.ENABLE, flags)
        cpu.bh = 8 if dispi.read(self._board, dispi.ENABLE) & dispi.DAC_8_BITS else 6
        return DONE

    def _palette(self, call: Call) -> int:
        """AX=4F09h: BL = 0, or 80h in the retrace, loads CX colours from DX; 1 reads them: blue, green, red, 0."""
        cpu, board, shape = call.cpu, self._board, dispi.shape(self._board)
        if shape is not None and shape.bits > 8:
            return NOT_NOW
        if cpu.dx + cpu.cx > 256 or not cpu.cx or cpu.bl not in (0, 1, 2, 3, 0x80):
            return FAILED
        if cpu.bl in (2, 3):
            return TOO_MUCH  # there is no second palette
        if cpu.bl == 1:
            colours = vga.colors(board, cpu.dx, cpu.cx)
            entries = b"".join(colours[at : at + 3][::-1] + b"\0" for at in range(0, len(colours), 3))
            board.store_bytes(cpu.es, cpu.di, entries)
        else:
            entries = board.load_bytes(cpu.es, cpu.di, 4 * cpu.cx)
            vga.set_colors(board, cpu.dx, b"".join(entries[at : at + 3][::-1] for at in range(0, len(entries), 4)))
        return DONE

    # -- the monitor --------------------------------------------------------------------------------------------
    def _monitor(self, call: Call) -> int:
        """AX=4F15h: BL = 0 tells how the monitor can be asked, 1 what it says."""
        cpu = call.cpu
        match cpu.bl:
            case 0:
                cpu.bx = 0x0102  # a second for a block; DDC2
            case 1 if cpu.dx == 0:
                self._board.store_bytes(cpu.es, cpu.di, edid())
            case _:
                return FAILED
        return DONE
