"""A picture as the monitor shows it: pixels in three bytes each."""

from minivm.core.record import record


@record
class Picture:
    """`width` x `height` pixels; `rgb` has red, green and blue of each, 0 to 255, row by row from the top left."""

    width: int
    height: int
    rgb: bytes

    def pixel(self, column: int, row: int) -> tuple[int, int, int]:
        """Return one pixel's colour; raises `IndexError` outside the picture."""
        if not (0 <= column < self.width and 0 <= row < self.height):
            raise IndexError(f"pixel {column},{row} of a picture {self.width} x {self.height}")
        place = 3 * (row * self.width + column)
        red, green, blue = self.rgb[place : place + 3]
        return red, green, blue
