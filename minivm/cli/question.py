"""A line that the live terminal asks its user for: one key after the other, since the keyboard is the guest's else."""

from typing import Literal

BACKSPACE, ENTER, GIVE_UP, ERASE = (b"\x7f", b"\x08"), (b"\r", b"\n"), (b"\x1b", b"\x03", b"\x07"), b"\x15"


class Question:
    """What is asked, and the `answer` so far. Backspace and Ctrl-U erase, Esc, Ctrl-C and Ctrl-G give up."""

    def __init__(self, words: str) -> None:
        self.words = words
        self.answer = ""

    def take(self, raw: bytes) -> Literal["asks", "answered", "given up"]:
        """Take a key as the terminal sends it, and tell how the question stands."""
        if raw in ENTER:
            return "answered"
        if raw in GIVE_UP:
            return "given up"
        if raw in BACKSPACE:
            self.answer = self.answer[:-1]
        elif raw == ERASE:
            self.answer = ""
        else:
            text = raw.decode(errors="replace")
            self.answer += text if text.isprintable() else ""
        return "asks"

    def line(self, columns: int) -> str:
        """Return the line to show, its end where the terminal is too narrow."""
        return f"{self.words} {self.answer}_"[-columns:]
