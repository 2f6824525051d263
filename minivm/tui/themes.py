"""The colours: dark, light, and one that does not need red and green to be told apart."""

from textual.theme import Theme

DARK = Theme(
    name="minivm-dark",
    primary="#5fa8d3",
    secondary="#9ad1d4",
    accent="#ffb454",
    warning="#ffd166",
    error="#ff6b6b",
    success="#7bd88f",
    foreground="#d7dee6",
    background="#10151c",
    surface="#161d27",
    panel="#22303f",
    dark=True,
)
LIGHT = Theme(
    name="minivm-light",
    primary="#1f5f8b",
    secondary="#0b6e6e",
    accent="#a64b00",
    warning="#8a5a00",
    error="#b00020",
    success="#1b7a3a",
    foreground="#1b2430",
    background="#f6f7f9",
    surface="#ffffff",
    panel="#d5dde6",
    dark=False,
)
# Okabe and Ito's palette: its colours differ in brightness too.
COLOUR_BLIND = Theme(
    name="minivm-colour-blind",
    primary="#56b4e9",
    secondary="#cc79a7",
    accent="#f0e442",
    warning="#e69f00",
    error="#d55e00",
    success="#56b4e9",
    foreground="#eeeeee",
    background="#000000",
    surface="#101010",
    panel="#2b2b2b",
    dark=True,
)
THEMES = {theme.name: theme for theme in (DARK, LIGHT, COLOUR_BLIND)}
"""Our own themes by name; Textual's are in the palette as well."""
