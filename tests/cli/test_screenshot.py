"""`minivm screenshot`: what is written, when, and the statuses."""

from io import BytesIO
from xml.etree import ElementTree

import pytest
from PIL import Image

HELLO = "Hello from the BIOS!"
PIXELS = """ mov ax, 0x13
 int 0x10
 mov ax, 0xA000
 mov es, ax
 xor di, di
 mov al, 4
 mov cx, 320
 rep stosb
 cli
 hlt"""
"""Mode 13h with a red top line."""
NEVER_SCREEN = """ mov ax, 0xB800
 mov es, ax
again: inc word [es:0]
 jmp again"""
"""Never ends."""


def texts(data):
    return [one.text for one in ElementTree.fromstring(data).iter("{http://www.w3.org/2000/svg}text")]


def test_svg_has_the_screens_text(minivm, tmp_path):
    ran = minivm("screenshot", "hello-bios", "-o", tmp_path / "hello.svg")
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.startswith(f"minivm: {tmp_path / 'hello.svg'}: text 80x25, the guest halted for good after ")
    assert texts((tmp_path / "hello.svg").read_bytes()) == [HELLO]


def test_a_dash_is_standard_output_and_nothing_comes_between(command):
    ran = command("screenshot", "serial", "-o", "-", "--format", "svg", "--quiet")
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.startswith(b"<svg ")
    assert ran.stdout.endswith(b"</svg>\n")


def test_text_prints_the_screen_and_writes_no_file(minivm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = minivm("screenshot", "hello-bios", "--text", "--quiet")
    assert (ran.status, ran.out, ran.err) == (0, f"{HELLO}\n", "")
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_it_is_the_guests(minivm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert minivm("screenshot", "hello-bios", "--format", "svg").status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["hello-bios.svg"]


def test_a_guest_that_never_ends_is_shown_after_two_virtual_seconds(minivm, sector):
    assert "the time asked for is over after 2 s" in minivm("screenshot", sector(" sti\n hlt\n jmp $-2"), "--text").err
    ran = minivm("screenshot", sector(NEVER_SCREEN), "--text", "--after", "20ms")
    assert (ran.status, "after 20 ms" in ran.err) == (0, True)


def test_a_script_is_done_first_and_its_last_text_is_the_moment(minivm):
    ran = minivm("screenshot", "shell", "--expect", "Try:", "--type", "echo abc\\n", "--expect", "\nabc", "--text")
    assert ran.status == 0
    assert ran.out.rstrip().endswith("abc\n>")
    assert "the script was met" in ran.err


def test_a_script_that_ends_in_keys_runs_on_for_the_time_given(minivm):
    words = ("screenshot", "shell", "--expect", "Try:", "--type", "echo abc\\n", "--text")
    assert "\nabc\n" in minivm(*words).out
    assert "\nabc\n" not in minivm(*words, "--after", "1ms").out


@pytest.mark.parametrize(
    ("guest", "options", "status"),
    [("protected", (), 0), ("triplefault", (), 3), ("shell", ("--expect", "never"), 1),
     ("shell", ("--max-ticks", "1000"), 124)],
)  # fmt: skip
def test_the_status_is_that_of_the_run(minivm, guest, options, status):
    assert minivm("screenshot", guest, "--text", *options).status == minivm("run", guest, *options).status == status


@pytest.mark.parametrize(
    ("options", "words"),
    [(("-o", "a.gif"), "let the name end in .png or .svg"), (("--scale", "0"), "give 1 to 16"),
     (("--after", "soon"), "write it like 2s or 300ms"), (("--after", "nan"), "is no time"),
     (("--format", "bmp"), "there are png, svg"), (("--json",), "are for `minivm run`"),
     (("-o", "no/such/folder/a.svg"), "No such file")],
)  # fmt: skip
def test_bad_words_are_told_in_one_line(minivm, options, words):
    minivm("screenshot", "hello-bios", "--quiet", *options).assert_one_line(2, words)


def test_a_graphics_mode_is_its_pixels(minivm, sector, tmp_path):
    ran = minivm("screenshot", sector(PIXELS), "-o", tmp_path / "a.png", "--scale", "2")
    assert "graphics 640x400, 2 colours" in ran.err
    image = Image.open(tmp_path / "a.png").convert("RGB")
    assert image.size == (1280, 800)  # the card doubles the lines and pixels of this mode
    assert [image.getpixel(place) for place in ((0, 0), (1279, 3), (0, 4))] == [(168, 0, 0), (168, 0, 0), (0, 0, 0)]


def test_a_text_screen_as_png_is_drawn_with_the_cards_font(command):
    ran = command("screenshot", "hello-bios", "-o", "-", "--quiet")
    image = Image.open(BytesIO(ran.stdout)).convert("RGB")
    assert image.size in ((720, 400), (640, 400))
    assert {colour for _, colour in image.getcolors()} == {(0, 0, 0), (168, 168, 168)}
