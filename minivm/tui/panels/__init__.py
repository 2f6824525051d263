"""The panels besides screen, code and registers, one file each; `PANELS` lists them for the application."""

from minivm.tui.panel import Panel
from minivm.tui.panels.memory import MemoryPanel

PANELS: tuple[type[Panel], ...] = (MemoryPanel,)
"""In the order of the palette."""
