"""A machine's screen as a file: PNG or SVG, chosen by the name's end."""

from pathlib import Path

from minivm.errors import ConfigError
from minivm.pictures.monitor import Monitor, shows_pixels

FORMATS = ("png", "svg")
LARGEST_SCALE = 16


def save(monitor: Monitor, path: str | Path, *, scale: int = 1) -> None:
    """Write what the monitor shows to the file `path`; raises `ConfigError` where its end is none of `FORMATS`."""
    kind = format_of(path)
    Path(path).write_bytes(encode(monitor, kind, scale=scale))


def format_of(path: str | Path) -> str:
    """Return the format that a file's name asks for; raises `ConfigError`."""
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ConfigError(
            f"{path}: a screenshot is {' or '.join(FORMATS)}; let the name end in .{' or .'.join(FORMATS)}"
        )
    return kind


def encode(monitor: Monitor, kind: str, *, scale: int = 1) -> bytes:
    """Return what the monitor shows as the bytes of a file; in a text mode SVG holds text and PNG the card's pixels.

    `scale`, 1 to 16, repeats each pixel, or enlarges the SVG. Raises `ConfigError` for another format or scale.
    """
    check_scale(scale)
    match kind:
        case "svg":
            from minivm.pictures.svg import svg

            return svg(monitor.picture() if shows_pixels(monitor) else monitor.screen, scale).encode()
        case "png":
            from minivm.pictures.pixels import enlarged
            from minivm.pictures.png import png

            return png(enlarged(monitor.picture(), scale))
    raise ConfigError(f"{kind!r} is no format of a screenshot; there are {', '.join(FORMATS)}")


def check_scale(scale: int) -> None:
    """Raise `ConfigError` for a scale that cannot be."""
    if not 1 <= scale <= LARGEST_SCALE:
        raise ConfigError(f"scale {scale} does not fit; give 1 to {LARGEST_SCALE}")
