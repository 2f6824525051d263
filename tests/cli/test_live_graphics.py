"""`minivm run` in graphics modes on a pty that answers like a terminal with Sixel, with Kitty's protocol, or neither.

The guest is `echo`; its card is pretended: GRAPH on the screen shows a picture that each letter changes, TEXT the text.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

CARD = """
import sys
from minivm.cli.main import main
from minivm.console import Console
from minivm.core.picture import Picture

def picture(console):
    letters = len(console.screen.text()) % 64
    return Picture(64, 48, bytes(3 * 64 * 24) + b"\\xff\\0\\0" * letters + bytes(3 * (64 * 24 - letters)))

def in_graphics(console):
    text = console.screen.text()
    return text.rfind("GRAPH") > text.rfind("TEXT")

Console.graphics_mode = property(in_graphics)
Console.picture = picture
sys.exit(main())
"""
QUESTION = "\x1b_Gi=31"
SIXEL, KITTY, NEITHER = "\x1b[6;16;8t\x1b[?62;4;22c", "\x1b_Gi=31;OK\x1b\\\x1b[6;16;8t\x1b[?62;22c", "\x1b[?1;2c"
ERASE = "\x1b_Ga=d"


@pytest.fixture
def painted(terminal):
    """Start the guest, let it change to graphics, and answer its question."""

    def start(answer, *options, **environment):
        one = terminal("echo", *options, program=(sys.executable, "-c", CARD), **environment)
        one.shows("Esc ends.")
        one.type("GRAPH")
        if answer:
            one.until(lambda one: QUESTION in one.seen)
            one.type(answer)
        return one

    return start


def test_blocks_are_drawn_where_the_terminal_knows_nothing_better(painted):
    one = painted(NEITHER)
    one.until(lambda one: one.screen.text().count("▀") > 1000)
    assert "38;5;" in one.seen
    one.type("\x01x")
    assert one.ends() == 0
    assert "graphics 64x48, 2 colours; minivm screenshot writes it to a file" in one.screen.text()
    assert one.screen.text().count("▀") > 500
    assert one.seen.rstrip().endswith("s") and "\x1b[?25h\x1b[?1049l" in one.seen


def test_a_terminal_that_never_answers_gets_blocks_as_well(painted):
    painted(None).until(lambda one: one.screen.text().count("▀") > 1000)


def test_sixel_is_drawn_where_the_terminal_answers_so(painted):
    one = painted(SIXEL)
    one.until(lambda one: "\x1bP0;1q" in one.seen and "\x1b\\" in one.seen.partition("\x1bP0;1q")[2])
    assert "▀" not in one.seen
    before = len(one.seen)
    one.type("x")
    one.until(lambda one: "\x1bP0;1q" in one.seen[before:])
    (strip,) = re.findall(r'"1;1;\d+;(\d+)', one.seen[before:])
    assert strip in ("16", "32")  # one row of cells of 29, or two that share a pixel


def test_kitty_is_drawn_where_the_terminal_answers_so_and_erased_at_the_end(painted):
    one = painted(KITTY)
    one.until(lambda one: re.search(r"\x1b_Ga=T[^;]*,s=64,v=48,", one.seen) is not None)
    one.type("\x01x")
    assert one.ends() == 0
    assert one.seen.rindex(ERASE) < one.seen.index("\x1b[?1049l")


@pytest.mark.parametrize("answer", [SIXEL, KITTY])
def test_no_answer_reaches_the_guest_even_in_pieces(painted, answer):
    one = painted(None)
    one.until(lambda one: QUESTION in one.seen)
    for piece in re.findall("..?", answer, re.DOTALL):
        one.type(piece)
        time.sleep(0.02)  # so that each piece is read alone, but no ESC is taken for the key
    one.until(lambda one: "\x1bP0;1q" in one.seen or "\x1b_Ga=T" in one.seen)
    one.type("TEXT")
    one.shows("Esc ends.")
    assert "GRAPHTEXT" in one.screen.text()


def test_text_and_graphics_follow_each_other_on_an_empty_screen(painted):
    one = painted(NEITHER)
    one.until(lambda one: one.screen.text().count("▀") > 1000)
    one.type("TEXT")
    one.shows("Type; Esc ends.")
    assert "▀" not in one.screen.text()
    one.type("GRAPH")
    one.until(lambda one: one.screen.text().count("▀") > 1000)
    assert "Esc ends" not in one.screen.text()


def test_another_size_draws_it_anew(painted):
    one = painted(NEITHER)
    one.until(lambda one: one.screen.text().count("▀") == 77 * 29)
    one.resize(10, 40)
    one.until(lambda one: one.screen.text().count("▀") == 24 * 9)
    assert "Ctrl-A X quits" in one.screen.line(9)
    for size in ((1, 1), (2, 3), (60, 200)):
        one.resize(*size)
        one.until(lambda one: "▀" in one.screen.text())


def test_help_goes_over_the_picture_and_away(painted):
    one = painted(NEITHER)
    one.until(lambda one: one.screen.text().count("▀") > 1000)
    one.type("\x01h")
    one.shows("press the reset button")
    one.type(" ")
    one.until(lambda one: "reset" not in one.screen.text() and one.screen.text().count("▀") == 77 * 29)


def test_help_is_not_behind_kittys_picture(painted):
    one = painted(KITTY)
    one.until(lambda one: "\x1b_Ga=T" in one.seen)
    one.type("\x01h")
    one.shows("press the reset button")
    assert one.seen.rindex(ERASE) > one.seen.rindex("\x1b_Ga=T")
    before = len(one.seen)
    one.type(" ")
    one.until(lambda one: "\x1b_Ga=T" in one.seen[before:])


def test_a_way_can_be_asked_for(painted):
    painted(None, "--display", "kitty").until(lambda one: "\x1b_Ga=T" in one.seen)
    painted(None, "--display", "blocks", NO_COLOR="1").until(lambda one: "\x1b[?2026l" in one.seen)


def test_display_text_draws_no_picture_and_says_so(painted):
    one = painted(None, "--display", "text")
    one.shows("graphics mode, which --display text leaves out")
    assert "▀" not in one.seen
    assert QUESTION not in one.seen


def test_a_pipe_gets_one_line():
    words = (sys.executable, "-c", CARD, "run", "echo", "--type", "GRAPH", "--expect", "GRAPH")
    ran = subprocess.run(words, capture_output=True, timeout=60, check=False, text=True)
    assert ran.stdout.endswith("graphics 64x48, 2 colours; minivm screenshot writes it to a file\n")
    assert ran.returncode == 0


# -- the machine's own card -------------------------------------------------------------------------------------------
COLOURS_AND_BACK = """ mov ax, 0x13
 int 0x10
 mov ax, 0xA000
 mov es, ax
 xor di, di
 mov cx, 32000
 mov ax, 0x2828
 rep stosw
 mov ah, 0
 int 0x16
 mov ax, 3
 int 0x10
 mov ax, 0x0E2A
 int 0x10
 mov ah, 0
 int 0x16
 cli
 hlt"""
"""Mode 13h in red until a key, then text with a star until another one."""


def test_a_mode_of_the_card_is_drawn_and_left_again(terminal, sector):
    one = terminal(sector(COLOURS_AND_BACK), COLORTERM="truecolor")
    one.until(lambda one: one.screen.text().count("▀") == 77 * 29)
    assert re.search(r"38;2;(25\d);0;0;48;2;\1;0;0m", one.seen)
    one.type(" ")
    one.shows("*")
    assert "▀" not in one.screen.text()
    one.type(" ")
    assert one.ends() == 0
    assert "halted for good" in one.screen.text()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_in_tmux_it_is_half_blocks(sector, tmp_path):
    def tmux(*words):
        command = ["tmux", "-S", str(tmp_path / "socket"), "-f", os.devnull, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def until(condition):
        deadline = time.monotonic() + 40
        while not condition(pane := tmux("capture-pane", "-p", "-t", "vm")):
            assert time.monotonic() < deadline, pane
            time.sleep(0.05)

    guest, program = sector(COLOURS_AND_BACK), Path(sys.executable).with_name("minivm")
    try:
        tmux(
            "new-session", "-d", "-s", "vm", "-x", "80", "-y", "25", f"{program} run {guest}; echo status $?; sleep 30"
        )
        until(lambda pane: pane.count("▀") == 64 * 24)
        tmux("resize-window", "-t", "vm", "-x", "40", "-y", "10")
        until(lambda pane: pane.count("▀") == 24 * 9)
        tmux("send-keys", "-t", "vm", "C-a", "x")
        until(lambda pane: "status 0" in pane and "graphics 640x400, 1 colour" in pane.replace("\n", ""))
    finally:
        tmux("kill-server")
