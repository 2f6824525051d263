"""The guests that come with MiniVM, as their own first lines describe them.

Each source opens with its claim, which people read and tests hold it to:

    ; hello-bios: the shortest way to print, by asking the BIOS.
    ; Run:    minivm run hello-bios
    ; Type:   hi\\n               keys it wants, in the notation of --type (left out: none)
    ; Prints: Hello!             a text that must appear, on screen or serial; repeated, in order
    ; Shows:  W x H, SHA-256   the last picture's pixels and the hash of their bytes (left out: not told)
    ; Exit:   0                  the exit status of `minivm run` (left out: 0)

An installed wheel carries the files in `minivm/_guests`; a source tree has them in `guests/` beside the package.
`find` reads one header and no more, since `minivm run NAME` waits for it.
"""

from pathlib import Path

from minivm.core.record import record

DEFAULT_GUEST = "tour"
"""The guest that bare `minivm` boots."""

_COMMENT_MARKS = "; /*"
_NOT_IN_NAMES = frozenset("/\\.")
_LONGEST_NAME = 64


@record
class Guest:
    """One bundled guest: where its files are, and what its header promises.

    `types` is in the notation of `--type` (None: it wants no keys), `prints` are texts that appear in this order,
    `exit_status` is what `minivm run` returns when the guest has ended, and `shows` are the width, the height and the
    SHA-256 (of red, green and blue of each pixel) of its last picture.
    """

    name: str
    title: str
    source: Path
    image: Path
    types: str | None
    prints: tuple[str, ...]
    exit_status: int
    shows: tuple[int, int, str] | None = None


def guests() -> list[Guest]:
    """Return the guests made for people, sorted by name; the benchmarks' programs are found by name only."""
    return [_read(source) for source in sorted(_home().glob("*.asm"))]


def find(name: str) -> Guest | None:
    """Return the guest called `name`, also one of the benchmarks' programs, or None when there is none."""
    if not 0 < len(name) <= _LONGEST_NAME or not _NOT_IN_NAMES.isdisjoint(name):
        return None
    home = _home()
    for source in (home / f"{name}.asm", home / "workload" / f"{name}.asm", home / "workload" / f"{name}.c"):
        if source.is_file():
            return _read(source)
    return None


def _home() -> Path:
    package = Path(__file__).parent
    installed = package / "_guests"
    return installed if installed.is_dir() else package.parent / "guests"


def _read(source: Path) -> Guest:
    fields: dict[str, list[str]] = {}
    for line in _header(source):
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), []).append(value.strip())
    return Guest(
        name=source.stem,
        title=fields.get(source.stem, [""])[0],
        source=source,
        image=source.with_suffix(".elf" if source.suffix == ".c" else ".img"),
        types=fields.get("Type", [None])[0],
        prints=tuple(fields.get("Prints", ())),
        exit_status=int(fields.get("Exit", ["0"])[0]),
        shows=_picture(fields["Shows"][0]) if "Shows" in fields else None,
    )


def _picture(text: str) -> tuple[int, int, str]:
    width, _, height, digest = text.replace(",", "").split()
    return int(width), int(height), digest


def _header(source: Path) -> list[str]:
    """Return the comment lines that a source opens with, without their comment marks."""
    lines = []
    with source.open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith((";", "/*", " *", "//")):
                break
            lines.append(line.strip().strip(_COMMENT_MARKS))
    return lines
