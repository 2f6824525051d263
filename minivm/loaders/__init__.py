"""What can be booted, and how each kind is put into a fresh machine."""

from minivm.loaders.plan import BootPlan, Entry, prepare

__all__ = ["BootPlan", "Entry", "prepare"]
