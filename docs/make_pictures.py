"""Make the pictures of README and docs from the real machine: `make docs`.

Each picture is a bundled guest's screen, or the full-screen debugger with it, at a named moment: text drawn as SVG by
Rich, pixels as PNG. The same guest gives the same picture on every run, so `--check` can compare (a test does).
"""

import asyncio
import re
import sys
import tempfile
from io import BytesIO, StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.text import Text

import minivm
from minivm.api import find_guest
from minivm.core.screen import TextScreen
from minivm.debug.debugger import Debugger
from minivm.debug.symbols import symbols_for_guest
from minivm.pictures.files import encode

PICTURES = Path(__file__).parent / "pictures"

SHOTS = {
    # file: (guest, what is typed, virtual milliseconds, title)
    "tour.svg": ("tour", "", 1500, "minivm"),
    "shell.svg": ("shell", "help\nmem\n", 1500, "minivm run shell"),
    "fractal.svg": ("fractal", "", 1500, "minivm run fractal"),
}

PIXEL_SHOTS = {
    # file: (guest, virtual milliseconds)
    "plasma.png": ("plasma", 500),
    "planes.png": ("planes", 1500),
    "scroller.png": ("scroller", 1500),
}

TUI_SHOTS = {
    # file: (guest, where it stands still, instructions stepped from there, layout, columns and rows)
    "tui-learn.svg": ("timer", "on_tick", 3, "learn", (120, 40)),
    "tui-debug.svg": ("timer", "on_tick", 3, "debug", (200, 60)),
    "tui-graphics.svg": ("scroller", "show", 3, "learn", (120, 40)),
}
REST = 6  # pictures that must be alike, one every 50 ms, before the last one counts
TICK = 5  # times there before: the screen has something to show by then


def colour(rgb: tuple[int, int, int]) -> str:
    """Return (red, green, blue) as Rich and SVG write it."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def draw(screen: TextScreen, title: str) -> str:
    """Return the text screen as an SVG document."""
    console = Console(record=True, width=screen.columns, file=StringIO(), force_terminal=True, color_system="truecolor")
    palette = screen.palette
    for row in range(screen.rows):
        cells = [screen.cell(row, column) for column in range(screen.columns)]
        line = Text(end="")
        for (foreground, background), run in groupby(cells, lambda cell: (cell.foreground, cell.background)):
            glyphs = "".join(cell.glyph for cell in run)
            line.append(glyphs, f"{colour(palette[foreground])} on {colour(palette[background])}")
        console.print(line)
    return tidy(console.export_svg(title=title, unique_id="minivm"))


def tidy(picture: str) -> str:
    """Return Rich's SVG without the font it would load from the web, and with blanks as places.

    Some renderers drop the blanks that a piece of text begins or ends with; it is moved and narrowed instead.
    """
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r"terminal-\d+", "minivm", picture)
    picture = re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE)
    return re.sub(r'(<text [^>]*?)x="([\d.]+)"([^>]*?)textLength="([\d.]+)"([^>]*>)([^<]*)</text>', _narrow, picture)


def _narrow(found: "re.Match[str]") -> str:
    start, x, between, length, rest, text = found.groups()
    characters = text.replace("&#160;", "\xa0")
    shown = characters.strip("\xa0")
    if not shown:
        return ""
    cell = 12.2  # Rich's width of a character
    before = len(characters) - len(characters.lstrip("\xa0"))
    after = len(characters) - len(characters.rstrip("\xa0"))
    place = f'x="{round(float(x) + before * cell, 1):g}"'
    width = f'textLength="{round(float(length) - (before + after) * cell, 1):g}"'
    return f"{start}{place}{between}{width}{rest}{shown.replace(chr(0xA0), '&#160;')}</text>"


def make(name: str) -> bytes:
    """Boot the guest of one shot and return its picture as a file's bytes."""
    if name in PIXEL_SHOTS:
        return make_pixels(name)
    return (make_tui(name) if name in TUI_SHOTS else make_text(name)).encode()


def make_pixels(name: str) -> bytes:
    """Return what the card shows of a guest in a graphics mode, as PNG."""
    guest, milliseconds = PIXEL_SHOTS[name]
    with minivm.boot(guest) as vm:
        vm.run(ms=milliseconds)
        return encode(vm, "png")


def alike(one: bytes, other: bytes) -> bool:
    """Tell whether two files show the same; the same pixels may be packed in another way by another zlib."""
    if one == other or not one.startswith(b"\x89PNG") or not other.startswith(b"\x89PNG"):
        return one == other
    with Image.open(BytesIO(one)) as first, Image.open(BytesIO(other)) as second:
        return first.size == second.size and first.convert("RGB").tobytes() == second.convert("RGB").tobytes()


def make_text(name: str) -> str:
    """Return the text screen of one shot's guest as SVG."""
    guest, keys, milliseconds, title = SHOTS[name]
    with minivm.boot(guest) as vm:
        vm.type(keys)
        vm.run(ms=milliseconds)
        return draw(vm.screen, title)


def make_tui(name: str) -> str:
    """Stop the guest of one shot where it says, and return the picture of the debugger that looks at it."""
    from minivm.tui.session import Session

    guest, where, steps, layout, size = TUI_SHOTS[name]
    with minivm.boot(guest) as machine:
        symbols = symbols_for_guest(find_guest(guest)[0])
        debugger = Debugger(machine, symbols)
        for _ in range(TICK):
            debugger.run_to(where)
        session = Session(machine, speed=None, symbols=symbols)
        try:
            asked = session.call(lambda debugger: debugger.break_at(where))
            stepped = [session.step() for _ in range(steps)]
            picture = asyncio.run(_photograph(session, layout, size, f"minivm tui {guest}"))
            asked.result()
            for future in stepped:
                future.result()
            return tidy(picture)
        finally:
            session.close()


async def _photograph(session: Any, layout: str, size: tuple[int, int], title: str) -> str:
    """Open the debugger, wait until nothing changes any more, and return Rich's picture."""
    from minivm.tui.app import MiniVMApp
    from minivm.tui.panels import screen

    screen.BLINK_S = 3600  # the cursor is on in every picture
    with tempfile.TemporaryDirectory() as folder:
        app = MiniVMApp(session, autostart=False, preferences_file=Path(folder) / "tui.json", layout=layout)
        async with app.run_test(size=size) as pilot:
            pictures = [""] * REST
            for _ in range(200):
                await asyncio.sleep(0.05)
                await pilot.pause()
                pictures = [*pictures[1:], app.export_screenshot(title=title)]
                shown = {panel.name for panel in app.desk.shown}
                if app.view is not None and shown <= app.view.panels.keys() and len(set(pictures)) == 1:
                    return pictures[0]
    raise SystemExit(f"{title}: the picture does not come to rest")


def main(arguments: list[str]) -> int:
    """Write all pictures, or with `--check` return 1 when one is not what the machine shows."""
    stale = []
    for name in (*SHOTS, *PIXEL_SHOTS, *TUI_SHOTS):
        picture, path = make(name), PICTURES / name
        if "--check" not in arguments:
            path.write_bytes(picture)
        elif not path.exists() or not alike(path.read_bytes(), picture):
            stale.append(name)
    for name in stale:
        print(f"docs/pictures/{name} is not what the machine shows; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
