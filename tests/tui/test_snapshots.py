"""The three layouts at three sizes, as SVG pictures; `MINIVM_UPDATE_SNAPSHOTS=1` writes them anew."""

import os
import re
from pathlib import Path

import pytest

from minivm.debug.code import assemble
from minivm.tui.panels import screen

SNAPSHOTS = Path(__file__).parent / "snapshots"
SIZES = ((80, 24), (120, 40), (200, 60))
REST = 4
"""So many pictures must be alike, one behind the other, before the last one counts."""


def drawn(app):
    """Return Rich's picture without what differs from one run to the next, and without the font from the web."""
    picture = re.sub(r"@font-face \{.*?\}\s*", "", app.export_screenshot(title="MiniVM"), flags=re.DOTALL)
    picture = re.sub(r"terminal-\d+", "minivm", picture)
    return re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE)


GRAPHICS = """bits 16
org 7C00h
 mov ax, 13h
 int 10h
 push 0A000h
 pop es
 xor di, di
 xor dx, dx
row: mov ax, dx
 mov bl, 13
 div bl
 shl al, 4
 mov bh, al
 xor cx, cx
pixel: mov ax, cx
 mov bl, 20
 div bl
 or al, bh
 stosb
 inc cx
 cmp cx, 320
 jb pixel
 inc dx
 cmp dx, 200
 jb row
 hlt
 jmp $-1
 times 510 - ($ - $$) db 0
 dw 0AA55h
"""
"""Mode 13h with its 256 colours in fields of 20 x 13, and then rest."""


def compare(picture, name, folder):
    """Hold a picture to the kept one, or keep it."""
    if os.environ.get("MINIVM_UPDATE_SNAPSHOTS"):
        SNAPSHOTS.mkdir(exist_ok=True)
        (SNAPSHOTS / name).write_text(picture, encoding="utf-8")
    new = folder / name
    new.write_text(picture, encoding="utf-8")
    same = (SNAPSHOTS / name).read_text(encoding="utf-8") == picture
    assert same, f"{name} is not what it was; see {new}, or renew it with MINIVM_UPDATE_SNAPSHOTS=1"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("layout", ["run", "learn", "debug"])
def test_a_layout_looks_as_it_did(play, monkeypatch, tmp_path, layout, size):
    monkeypatch.setattr(screen, "BLINK_S", 3600)

    async def script(stage):
        await stage.command("until show_clock")
        await stage.until(lambda: not stage.session.running)
        await stage.press("f11", "f11", "f11")
        if layout == "run":
            await stage.press("f12")
        pictures = [""]
        while len(pictures) < 40 and (len(pictures) < REST or len(set(pictures[-REST:])) > 1):
            await stage.settle()
            pictures.append(drawn(stage.app))
        compare(pictures[-1], f"{layout}-{size[0]}x{size[1]}.svg", tmp_path)

    play(script, ms=50, layout=layout, size=size)


@pytest.mark.parametrize("layout", ["run", "learn"])
def test_a_graphics_mode_looks_as_it_did(play, tmp_path, layout):
    async def script(stage):
        if layout == "run":
            await stage.press("f12")
        await stage.settle()
        compare(drawn(stage.app), f"graphics-{layout}-80x24.svg", tmp_path)

    play(script, assemble(GRAPHICS).code, ms=20, layout=layout, size=(80, 24))
