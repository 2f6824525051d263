"""Make the pictures of README and docs from the real machine: `make docs`.

Each picture is a bundled guest's text screen at a named moment, drawn as SVG by Rich. The same guest gives the same
picture on every run, so `--check` can compare (a test does).
"""

import re
import sys
from io import StringIO
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.text import Text

import minivm
from minivm.core.screen import TextScreen

PICTURES = Path(__file__).parent / "pictures"

SHOTS = {
    # file: (guest, what is typed, virtual milliseconds, title)
    "tour.svg": ("tour", "", 1500, "minivm"),
    "shell.svg": ("shell", "help\nmem\n", 1500, "minivm run shell"),
    "fractal.svg": ("fractal", "", 1500, "minivm run fractal"),
}


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
    picture = console.export_svg(title=title, unique_id="minivm")
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # Rich would load a font from the web


def make(name: str) -> str:
    """Boot the guest of one shot and return its picture."""
    guest, keys, milliseconds, title = SHOTS[name]
    with minivm.boot(guest) as vm:
        vm.type(keys)
        vm.run(ms=milliseconds)
        return draw(vm.screen, title)


def main(arguments: list[str]) -> int:
    """Write all pictures, or with `--check` return 1 when one is not what the machine shows."""
    stale = []
    for name in SHOTS:
        picture, path = make(name), PICTURES / name
        if "--check" not in arguments:
            path.write_text(picture, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != picture:
            stale.append(name)
    for name in stale:
        print(f"docs/pictures/{name} is not what the machine shows; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
