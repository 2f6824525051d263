"""What the user interface remembers between two sessions: one small JSON file, and no harm without it."""

import json
from pathlib import Path

from minivm.core.record import record

LONGEST_FILE = 65536


@record
class Preferences:
    """The layout and the theme that the user chose last."""

    layout: str = "learn"
    theme: str = "minivm-dark"


def default_file() -> Path:
    """Return where the preferences of this user are."""
    from platformdirs import user_config_path

    return user_config_path("minivm") / "tui.json"


def load(file: Path | None = None) -> Preferences:
    """Return what was stored; defaults for what is missing or makes no sense. Never fails."""
    try:
        place = file if file is not None else default_file()
        with place.open(encoding="utf-8") as stream:
            found = json.loads(stream.read(LONGEST_FILE))
    except (OSError, ValueError, RuntimeError):
        return Preferences()
    if not isinstance(found, dict):
        return Preferences()
    usual = Preferences()
    texts = {name: value for name, value in found.items() if isinstance(value, str)}
    return Preferences(texts.get("layout", usual.layout), texts.get("theme", usual.theme))


def store(preferences: Preferences, file: Path | None = None) -> bool:
    """Write the preferences; False when that cannot be done, which nobody needs to hear of."""
    text = json.dumps({"layout": preferences.layout, "theme": preferences.theme}, indent=2)
    try:
        place = file if file is not None else default_file()
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = place.with_name(f"{place.name}.new")
        scratch.write_text(text + "\n", encoding="utf-8")
        scratch.replace(place)
    except (OSError, RuntimeError):
        return False
    return True
