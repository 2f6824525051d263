"""The face of a run on a terminal: the screen drawn as it changes, or the serial line; keys go to the guest.

Ctrl-A begins a command, as with QEMU's -nographic; Ctrl-A H lists them.
"""

import os
import time
from typing import cast

from minivm.cli import report
from minivm.cli.graphics import PicturePainter
from minivm.cli.keypresses import Decoder, Keypress, chord
from minivm.cli.lines import Lines
from minivm.cli.options import Settings
from minivm.cli.painter import Painter, Window, fit, paint_for
from minivm.cli.question import Question
from minivm.cli.terminal import Terminal
from minivm.cli.waiting import Waiter
from minivm.console import Console
from minivm.core.keys import parse_keys
from minivm.core.screen import TextScreen
from minivm.errors import MiniVMError
from minivm.machine import Ended, Machine
from minivm.pictures.monitor import HOW_TO_WRITE, Monitor, shows_pixels, words_of

FRAME_S = 1 / 30
PICTURE_FRAME_S = 1 / 20
PICTURE_REST = 3
"""After a picture that took so long, the next one waits so many times as long: the guest needs the processor, too."""
ESCAPE_S = 0.05
"""A lone ESC is the Escape key when nothing has followed it for so long."""
ANSWER_S = 1.0
"""An answer of the terminal's may be so long on its way."""
PREFIX = b"\x01"
NOT_SHOWN = "graphics mode, which --display text leaves out"
HELP = (
    "Ctrl-A H  this help",
    "Ctrl-A X  quit",
    "Ctrl-A R  press the reset button",
    "Ctrl-A D  type Ctrl-Alt-Del",
    "Ctrl-A I  insert an image into a drive, or eject it",
    "Ctrl-A C  change between the screen and the serial line",
    "Ctrl-A A  type Ctrl-A",
)


class LiveFace:
    """Shows `machine` on the terminal. Two views: the screen with the keyboard, and the serial line.

    It begins with the serial line, so that what a guest writes there is simply seen, and changes to the screen when
    something stands on it, unless `--display none` or `--serial stdio` asked for the line.
    """

    def __init__(self, machine: Machine, wanted: Settings) -> None:
        self._machine, self._wanted = machine, wanted
        self._console = cast(Console, machine.console)
        self._monitor = cast(Monitor, machine.console)
        self._display = wanted.config.display
        asked_for_line = any(spec.kind == "stdio" for spec in wanted.config.serial)
        self._automatic = self._display not in ("text", "none") and not asked_for_line
        self._unsent = bytearray()
        self._at_line_start = True
        self._decoder, self._prefixed, self._helping = Decoder(), False, False
        self._question: Question | None = None
        self._notice = ""
        self._waiting_since: float | None = None
        self._ready: list[int] = []
        self._next_frame = 0.0
        self._dirty = True
        self._status = ""
        self._window = Window(0, 0)
        self.lines = Lines(self._console.ports, wanted.config, self._unsent.extend)
        self._waiter = Waiter()
        self._terminal = Terminal(self._redraw)
        self._painter = Painter(paint_for(os.environ), shapes=self._terminal.shapes)
        self._pictures: PicturePainter | None = None
        self._in_graphics = False
        self._terminal.__enter__()
        if self._display == "text":
            self._terminal.show_screen(True)

    # -- what the loop asks -------------------------------------------------------------------------------------
    may_wake = True

    @property
    def patience(self) -> float | None:
        """In how many seconds a frame or a decision about ESC is due."""
        due = [self._next_frame] if self._dirty else []
        if self._waiting_since is not None:
            due.append(self._waiting_since + self._escape_s)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def show(self) -> None:
        """Write serial output, and a frame if it is time for one."""
        self.lines.flush()
        self._show_serial()
        self._dirty = True
        now = time.monotonic()
        busy = self._helping or self._question is not None
        if now < self._next_frame or busy:
            self._dirty = not busy
            return
        self._dirty = False
        graphics = self._shows_pixels
        screen = self._console.screen
        if self._automatic and not self._terminal.screen and (graphics or is_used(screen)):
            self._change_view()
            self._dirty = False
        if self._terminal.screen:
            self._change_mode(graphics)
            if graphics:
                self._draw_picture()
            else:
                self._draw(screen)
                self._next_frame = now + FRAME_S

    def wait(self, seconds: float | None) -> None:
        """Sleep until time is over, or somebody types or sends something."""
        self._ready = self._waiter.wait([self._terminal.input, *self.lines.input_files()], seconds)

    def take_input(self) -> Ended | None:
        """Hand keys and bytes to the guest, and obey commands."""
        self.wait(0)
        self.lines.take_input(self._ready)
        data = b""
        if self._terminal.input in self._ready:
            data = self._terminal.read()
            if not data:
                return Ended("terminated")
        over = self._waiting_since is not None and time.monotonic() >= self._waiting_since + self._escape_s
        for keypress in self._decoder.feed(data, flush=over and not data):
            ended = self._take(keypress)
            if ended is not None:
                return ended
        if not self._decoder.waiting:
            self._waiting_since = None
        elif data:
            self._waiting_since = time.monotonic()
        return None

    def finish(self, ended: Ended) -> None:
        """Give the terminal back, leave what was to be seen on it, and say why the run ended."""
        self.lines.flush()
        was_screen = self._terminal.screen
        self._change_mode(False)
        self._terminal.show_screen(False)
        self._show_serial()
        screen, graphics = self._console.screen, shows_pixels(self._monitor)
        used = self._display not in ("text", "none") and (graphics or is_used(screen))
        if self._wanted.show_screen or was_screen or used:
            (self._leave_picture if graphics else self._leave_screen)()
        self._terminal.restore()
        if not self._wanted.quiet and ended.autopsy is None:
            before = "" if self._at_line_start else "\r\n"
            self._terminal.write(f"{before}minivm: {report.sentence(ended, self._machine)}\n")

    def close(self) -> None:
        """Give everything back to the host."""
        self._terminal.restore()
        self._waiter.close()
        self.lines.close()

    # -- keys ---------------------------------------------------------------------------------------------------
    def _take(self, keypress: Keypress) -> Ended | None:
        if self._pictures is not None and self._pictures.take(keypress.raw):
            self._next_frame, self._dirty = 0.0, True
            return None
        if self._helping:
            self._helping = False
            self._redraw()
            return None
        if self._question is not None:
            self._ask(self._question, keypress.raw)
            return None
        self._notice = ""
        if self._prefixed:
            self._prefixed = False
            self._status = ""
            return self._command(keypress)
        if keypress.raw == PREFIX:
            self._prefixed = True
            self._status = ""
            return None
        self._send(keypress)
        return None

    def _send(self, keypress: Keypress) -> None:
        port = self.lines.standard_port
        if self._keys_go_to_serial and port is not None:
            port.send(keypress.raw)
        else:
            self._console.play(keypress.events)

    @property
    def _keys_go_to_serial(self) -> bool:
        """Before anything is to be seen, keys are for the keyboard: most guests that wait in silence read it."""
        return not self._terminal.screen and not (self._automatic and not self._console.serial.data)

    def _command(self, keypress: Keypress) -> Ended | None:
        match keypress.raw.lower():
            case b"x" | b"\x18":
                return Ended("quit")
            case b"h" | b"?" | b"\x08":
                self._help()
            case b"a" | b"\x01":
                self._send(keypress if keypress.raw == PREFIX else Keypress(PREFIX, chord(["left_ctrl", "a"])))
            case b"r":
                self._machine.reset()
            case b"d":
                self._console.play(tuple(parse_keys("<Ctrl-Alt-Del>")))
            case b"i":
                drives = ", ".join(f"{drive} {name or '(empty)'}" for drive, name in self._machine.media.items())
                self._question = Question(f" {drives}. DRIVE FILE to insert, DRIVE alone to eject:")
                self._show_question(self._question)
            case b"c":
                self._automatic = False
                self._change_view()
        return None

    # -- changing media -----------------------------------------------------------------------------------------
    def _ask(self, question: Question, raw: bytes) -> None:
        standing = question.take(raw)
        if standing == "asks":
            self._show_question(question)
            return
        self._question = None
        drive, _, file = question.answer.strip().partition(" ")
        if standing == "answered" and drive:
            self._notice = self._change_medium(drive, file.strip())
        if not self._terminal.screen:
            self._terminal.write(f"\r\n{self._notice}\r\n" if self._notice else "\r\n")
        self._redraw()

    def _change_medium(self, drive: str, file: str) -> str:
        """Do it, and say in a line what came of it."""
        try:
            if file:
                self._machine.insert(drive, file)
            else:
                self._machine.eject(drive)
        except MiniVMError as error:
            return str(error)
        return f"{drive}: {self._machine.media[drive] or 'empty'}"

    def _show_question(self, question: Question) -> None:
        rows, columns = self._terminal.size
        if self._terminal.screen:
            line = question.line(columns)
            self._terminal.write(f"\x1b[{rows};1H\x1b[?25l\x1b[0;7m{line:<{columns}}\x1b[0m")
        else:
            self._terminal.write(f"\r\x1b[K{question.line(columns - 1)}")

    @property
    def _escape_s(self) -> float:
        return ANSWER_S if self._decoder.in_answer else ESCAPE_S

    def _change_view(self) -> None:
        self._change_mode(False)
        self._terminal.show_screen(not self._terminal.screen)
        self._redraw()
        self._show_serial()

    def _help(self) -> None:
        if not self._terminal.screen:
            self._terminal.write("\r\n" + "\r\n".join(HELP) + "\r\n")
            return
        self._helping = True
        width = max(map(len, HELP)) + 2
        rows, columns = self._terminal.size
        top, left = max(1, (rows - len(HELP) - 2) // 2 + 1), max(1, (columns - width) // 2 + 1)
        box = [" " * width, *(f" {line:<{width - 1}}" for line in HELP), " any key goes back".ljust(width)]
        text = "".join(
            f"\x1b[{top + number};{left}H{line[:columns]}" for number, line in enumerate(box) if top + number <= rows
        )
        erase = self._pictures.erase() if self._pictures is not None else ""  # Kitty's would lie over the text
        self._terminal.write(f"{erase}\x1b[?25l\x1b[0;7m{text}\x1b[0m")

    # -- the screen ---------------------------------------------------------------------------------------------
    def _redraw(self) -> None:
        self._painter.forget()
        if self._pictures is not None:
            self._pictures.forget()
        self._status = ""
        self._next_frame = 0.0
        self._dirty = True
        if self._terminal.screen and not self._helping:
            self._terminal.write("\x1b[0m\x1b[2J")

    def _draw(self, screen: TextScreen) -> None:
        rows, columns = self._terminal.size
        self._window = fit(screen, rows, columns, self._window)
        status = self._status_line(screen, rows, columns)
        text = self._painter.draw(screen, self._window)
        if status != self._status:
            self._status = status
            self._painter.forget_cursor()
            text = f"\x1b[?25l{status}{text or self._painter.draw(screen, self._window)}"
        if text:
            self._terminal.write(text)

    def _status_line(self, screen: TextScreen, rows: int, columns: int) -> str:
        """Return the line below the screen, nothing where the terminal has no room for it."""
        if rows <= screen.rows:
            return ""
        return self._status_at(screen.rows, columns, min(columns, screen.columns))

    def _status_at(self, row: int, columns: int, width: int) -> str:
        unseen = f"  {len(self._unsent)} bytes from the serial line: Ctrl-A C" if self._unsent else ""
        state = f"{NOT_SHOWN}  " if self._display == "text" and shows_pixels(self._monitor) else ""
        keys = "Ctrl-A: H X R D I C A" if self._prefixed else self._notice or "Ctrl-A X quits, Ctrl-A H helps"
        words = f" {os.path.basename(self._wanted.guest or 'PC')}  {state}{keys}{unseen}"  # noqa: PTH119 - may be no path
        return f"\x1b[{row + 1};1H\x1b[0;7m{words[:columns]:<{width}}\x1b[0m"

    def _leave_screen(self) -> None:
        """Print the screen's used rows where the shell's output goes."""
        screen = self._console.screen
        used = max((number + 1 for number in range(screen.rows) if screen.row(number)), default=0)
        if used and not self._at_line_start:
            self._terminal.write("\r\n")
        for number in range(used):
            self._terminal.write(self._painter.line(screen, number) + "\r\n")
        self._at_line_start = True

    # -- a graphics mode ----------------------------------------------------------------------------------------
    @property
    def _shows_pixels(self) -> bool:
        """True while there is a picture to be drawn."""
        return self._display != "text" and shows_pixels(self._monitor)

    def _change_mode(self, graphics: bool) -> None:
        """Begin with an empty terminal when the guest changes between text and graphics."""
        if graphics == self._in_graphics:
            return
        self._in_graphics = graphics
        if self._terminal.screen:
            erase = self._pictures.erase() if self._pictures is not None else ""
            self._terminal.write(f"{erase}\x1b[?25l")
            self._redraw()

    def _draw_picture(self) -> None:
        """Draw the picture, and a line below it that says what a key does."""
        pictures, began = self._picture_painter(), time.monotonic()
        if pictures.waits:
            self._next_frame, self._dirty = began + pictures.waits, True
            return
        rows, columns = self._terminal.size
        pictures.cell = self._terminal.cell
        text = pictures.draw(self._monitor.picture(), max(1, rows - 1), columns)
        status = self._status_at(rows - 1, columns, columns) if rows > 1 else ""
        if text or status != self._status:
            self._status = status
            self._terminal.write(text + status)
        took = time.monotonic() - began
        self._next_frame = began + took + max(PICTURE_FRAME_S - took, PICTURE_REST * took)

    def _picture_painter(self) -> PicturePainter:
        """Return the painter of pictures; the first one asks the terminal what it can show."""
        if self._pictures is None:
            self._pictures = PicturePainter(self._display, os.environ, self._terminal.cell)
            self._terminal.write(self._pictures.question())
        return self._pictures

    def _leave_picture(self) -> None:
        """Print the picture as characters where the shell's output goes."""
        if not self._at_line_start:
            self._terminal.write("\r\n")
        rows, columns = self._terminal.size
        picture = self._monitor.picture()
        painter = self._pictures or PicturePainter("blocks", os.environ)
        for line in painter.printed(picture, max(1, rows - 3), columns):
            self._terminal.write(f"{line}\r\n")
        if not self._wanted.quiet:
            self._terminal.write(f"{words_of(picture)}; {HOW_TO_WRITE}\r\n")
        self._at_line_start = True

    # -- the serial line ----------------------------------------------------------------------------------------
    def _show_serial(self) -> None:
        """Write what came from the serial line, while the screen does not hide it."""
        if self._unsent and not self._terminal.screen:
            self._at_line_start = self._unsent.endswith(b"\n")
            self._terminal.write_bytes(bytes(self._unsent))
            self._unsent.clear()


def is_used(screen: TextScreen) -> bool:
    """Tell whether anything but blanks in the colours of power-on stands on the screen."""
    return bool(screen.characters.strip(b"\0 ") or screen.attributes.strip(b"\x07\0"))
