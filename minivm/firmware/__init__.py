"""The PC BIOS: a small ROM of real code that traps to services in Python."""
