"""PNG and SVG, read back by programs that are not ours."""

from base64 import b64decode
from io import BytesIO
from xml.etree import ElementTree

import pytest
from PIL import Image

from minivm.errors import ConfigError
from minivm.pictures import encode, save, text_of, words
from minivm.pictures.svg import svg

SVG = "{http://www.w3.org/2000/svg}"


def image_in(data):
    image = Image.open(BytesIO(data))
    return image.size, image.convert("RGB").tobytes()


def test_png_keeps_every_pixel(draw, monitor):
    picture = draw(["rgb", "w.r"])
    assert image_in(encode(monitor(picture, None), "png")) == ((3, 2), picture.rgb)
    assert image_in(encode(monitor(picture, None), "png", scale=3))[0] == (9, 6)


def test_png_of_a_text_mode_is_the_cards_own_pixels(draw, write, monitor):
    assert image_in(encode(monitor(draw(["r"]), write(["hello"]), graphics_mode=False), "png"))[0] == (1, 1)


def test_svg_of_a_text_mode_has_its_text_in_its_colours(write, monitor):
    screen = write(["Hello  ═╗ <&>", "", " ▒ end"], attribute=0x1E)
    root = ElementTree.fromstring(encode(monitor(None, screen, graphics_mode=False), "svg", scale=2))
    assert (root.get("width"), root.get("viewBox")) == ("320", "0 0 160 48")
    texts = list(root.iter(f"{SVG}text"))
    assert [(text.text, text.get("x")) for text in texts] == [("Hello", "0"), ("═╗ <&>", "56"), ("▒ end", "8")]
    assert (texts[2].get("y"), texts[2].get("fill")) == ("44", "#55ffff")
    assert "#aa0000" in {rect.get("fill") for rect in root.iter(f"{SVG}rect")}


def test_svg_text_begins_in_its_own_column(write):
    root = ElementTree.fromstring(svg(write(["    right"])))
    (text,) = root.iter(f"{SVG}text")
    assert (text.get("x"), text.get("textLength"), text.text) == ("32", "40", "right")


def test_svg_shows_cursor_and_underline(write):
    screen = write(["abc"], attribute=0x01, cursor_visible=True, cursor_column=2, underline_line=13)
    root = ElementTree.fromstring(svg(screen))
    cursor = list(root.iter(f"{SVG}rect"))[-1]
    assert [cursor.get(name) for name in ("x", "y", "width", "height")] == ["16", "13", "8", "2"]
    assert next(root.iter(f"{SVG}text")).get("text-decoration") == "underline"


def test_svg_of_a_graphics_mode_holds_its_pixels_in_the_monitors_shape(draw, monitor):
    picture = draw(["r" * 320] * 200)
    root = ElementTree.fromstring(encode(monitor(picture, None), "svg"))
    (image,) = root.iter(f"{SVG}image")
    assert (image.get("width"), image.get("height")) == ("320", "240")
    assert image_in(b64decode(image.get("href").partition(",")[2])) == ((320, 200), picture.rgb)


def test_the_files_name_chooses(draw, monitor, tmp_path):
    for name, begin in (("one.png", b"\x89PNG"), ("two.SVG", b"<svg ")):
        save(monitor(draw(["r"]), None), tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begin)


@pytest.mark.parametrize("name", ["picture.gif", "picture"])
def test_other_formats_are_refused_by_name(draw, monitor, tmp_path, name):
    with pytest.raises(ConfigError, match=r"picture.* let the name end in \.png or \.svg"):
        save(monitor(draw(["r"]), None), tmp_path / name)
    with pytest.raises(ConfigError, match="'gif' is no format"):
        encode(monitor(draw(["r"]), None), "gif")


@pytest.mark.parametrize("scale", [0, -1, 17])
def test_a_scale_that_cannot_be_is_refused(draw, monitor, scale):
    with pytest.raises(ConfigError, match="give 1 to 16"):
        encode(monitor(draw(["r"]), None), "png", scale=scale)


def test_one_line_tells_of_a_mode(draw, write, monitor):
    assert words(monitor(draw(["rrr", "ggg"]), None)) == "graphics 3x2, 2 colours"
    assert text_of(monitor(draw(["rrr"]), None)) == "graphics 3x1, 1 colour"
    assert words(monitor(draw(["r"]), write(["", ""]), graphics_mode=False)) == "text 20x2"
    assert text_of(monitor(None, write(["hi", ""]), graphics_mode=False)) == "hi"
