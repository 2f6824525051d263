"""A lesson: steps beside a guest that tell what to look at, and where the machine is to stand still for it.

It is a text file beside the guest's image, `tour.lesson` for `tour.img`:

    = A clock made of interrupts @ show_clock
    The BIOS counts timer interrupts at 0040:006C. Press F11 a few times.

A step begins with `=` and its title; behind ` @ ` is the address to run to, in the debugger's own notation. Without one
the machine just runs. The lines up to the next `=` are one paragraph.
"""

from pathlib import Path

from minivm.core.record import record
from minivm.errors import ConfigError

LONGEST_FILE = 65536


@record
class Step:
    """One step: `where` is the address to stop at, "" to let the machine run."""

    title: str
    text: str
    where: str = ""


@record
class Lesson:
    """All steps of a lesson; there is at least one."""

    steps: tuple[Step, ...]


def parse_lesson(text: str, name: str = "lesson") -> Lesson:
    """Return the lesson that a text describes; raises `ConfigError` with `name` and line when it is none."""
    heads: list[tuple[str, str]] = []
    words: list[list[str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("="):
            title, _, where = line[1:].partition(" @ ")
            if not title.strip():
                raise ConfigError(f"{name}:{number}: a step needs a title behind the =")
            heads.append((title.strip(), where.strip()))
            words.append([])
        elif line.strip():
            if not heads:
                raise ConfigError(f"{name}:{number}: a lesson begins with `= TITLE`")
            words[-1] += line.split()
    if not heads:
        raise ConfigError(f"{name}: there is no step in it; a step begins with `= TITLE`")
    return Lesson(tuple(Step(title, " ".join(text), where) for (title, where), text in zip(heads, words, strict=True)))


def lesson_for_guest(image: Path | None) -> Lesson | None:
    """Return the lesson that lies beside a guest's image, or None; raises `ConfigError` for one that makes no sense."""
    if image is None or not (path := image.with_suffix(".lesson")).is_file():
        return None
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(LONGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}") from error
    return parse_lesson(text, path.name)
