"""What a hand does with a mouse, as one event."""

from minivm.core.record import record
from minivm.errors import ConfigError

BUTTONS = ("left", "right", "middle", "side", "extra")


@record
class MouseEvent:
    """A movement in steps (`dx` to the right, `dy` away from the user, `wheel` towards him), and buttons, by name."""

    dx: int = 0
    dy: int = 0
    wheel: int = 0
    press: tuple[str, ...] = ()
    release: tuple[str, ...] = ()


def check_buttons(event: MouseEvent) -> None:
    """Raise `ConfigError` when the event names a button that no mouse has."""
    for button in (*event.press, *event.release):
        if button not in BUTTONS:
            raise ConfigError(f"mouse: there is no button {button!r}; there are {', '.join(BUTTONS)}")
