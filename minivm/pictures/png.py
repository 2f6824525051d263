"""A picture as PNG (ISO/IEC 15948), written by Pillow."""

from io import BytesIO

from minivm.core.picture import Picture
from minivm.pictures.pixels import image_of


def png(picture: Picture) -> bytes:
    """Return the file's bytes; every pixel keeps its three bytes exactly."""
    file = BytesIO()
    image_of(picture).save(file, "PNG")
    return file.getvalue()
