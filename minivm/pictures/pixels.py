"""The way to Pillow and back, and the shape that a picture has on the monitor."""

from typing import TYPE_CHECKING

from minivm.core.picture import Picture
from minivm.core.record import record

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST_OLD_WIDTH, LARGEST_OLD_HEIGHT = 720, 480
"""Up to this size a mode fills the whole of a 4:3 monitor, whatever shape its pixels get; beyond, they are square."""


@record
class Area:
    """A rectangle in a grid of character cells: its size, and its top left cell, all counted from 0."""

    columns: int
    rows: int
    left: int = 0
    top: int = 0


def image_of(picture: Picture) -> "Image":
    """Return the picture as Pillow has it."""
    from PIL import Image

    return Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)


def picture_of(image: "Image") -> Picture:
    """Return what Pillow has as a picture."""
    return Picture(image.width, image.height, image.convert("RGB").tobytes())


def scaled(picture: Picture, width: int, height: int) -> Picture:
    """Return the picture in another size: larger by repeating pixels, smaller by the mean of those that join."""
    if (width, height) == (picture.width, picture.height):
        return picture
    from PIL.Image import Resampling

    return picture_of(image_of(picture).resize((width, height), Resampling.BOX))


def enlarged(picture: Picture, factor: int) -> Picture:
    """Return the picture with each pixel `factor` x `factor` times."""
    return scaled(picture, picture.width * factor, picture.height * factor)


def aspect(picture: Picture) -> float:
    """Return width by height as the monitor shows it: 320 x 200 and 640 x 350 fill a 4:3 screen."""
    if picture.width <= LARGEST_OLD_WIDTH and picture.height <= LARGEST_OLD_HEIGHT:
        return 4 / 3
    return picture.width / picture.height


def fit(picture: Picture, columns: int, rows: int, cell: tuple[float, float] = (1, 2)) -> Area:
    """Return the largest area of the monitor's shape in `columns` x `rows` cells, in their middle.

    `cell` is a cell's width and height in any one unit.
    """
    ratio = aspect(picture) * cell[1] / cell[0]  # columns to rows
    wide = max(1, min(columns, round(rows * ratio)))
    high = max(1, min(rows, round(wide / ratio)))
    return Area(wide, high, (columns - wide) // 2, (rows - high) // 2)
