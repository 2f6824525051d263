"""`minivm guests`: the bundled guests, one line each."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minivm.bundled import Guest


def configure(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = "List the bundled guests; boot one by `minivm run NAME`."
    parser.add_argument("--json", action="store_true", help="one JSON list: name, title, keys to type, files")


def run(arguments: Namespace) -> int:
    """Print the list."""
    from minivm.bundled import guests

    found = guests()
    if arguments.json:
        import json

        print(json.dumps([_fields(guest) for guest in found], indent=2, ensure_ascii=False))
        return 0
    width = max((len(guest.name) for guest in found), default=0)
    for guest in found:
        print(f"{guest.name:<{width}}  {guest.title}")
    return 0


def _fields(guest: "Guest") -> dict[str, object]:
    return {
        "name": guest.name,
        "title": guest.title,
        "types": guest.types,
        "prints": list(guest.prints),
        "exit_status": guest.exit_status,
        "source": str(guest.source),
        "image": str(guest.image),
    }
