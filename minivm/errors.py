"""Every error that MiniVM raises on purpose.

    MiniVMError               catch this one to catch them all
    ├── ConfigError           an option, a key or a value that does not fit; exit status 2
    ├── ImageError            a file that cannot be booted, or a disk that cannot be used; exit status 2
    ├── WiringError           two devices at one address, or an address outside its bus; exit status 2
    ├── DeviceError           a device of the user's own that is not what a device has to be; exit status 2
    ├── AssemblyError         a source line that cannot be assembled; exit status 2
    ├── ExpressionError       a condition or an address that cannot be read or evaluated; exit status 2
    ├── SymbolError           a file whose symbols cannot be read; exit status 2
    ├── DiskError             a disk transfer that the host refused: past the end, read-only, full, EIO
    ├── SnapshotError         a snapshot that cannot be read or written, or does not fit this machine; exit status 2
    ├── EngineError           the CPU engine is missing or is not the one that was probed
    ├── MemoryRangeError      the host asked for guest memory that does not exist
    └── ExpectationFailed     a script waited for a text that did not come; exit status 1

What a *guest* does is never one of these: a guest's fault is an `Exit` (see `minivm.engine.base`).
"""


class MiniVMError(Exception):
    """The root of all errors that MiniVM raises on purpose; its text is one clear line."""


class ConfigError(MiniVMError):
    """An option, a configuration key or a value that does not fit."""


class ImageError(MiniVMError):
    """A file that cannot be booted, or a disk image that cannot be used."""


class DiskError(MiniVMError):
    """A sector that could not be read or written while the machine runs; a drive reports it to its guest."""


class WiringError(MiniVMError):
    """Two devices claim one address, or an address lies outside its bus."""


class DeviceError(MiniVMError):
    """A device of the user's own that is not what a device has to be; the text names it and its place."""


class AssemblyError(MiniVMError):
    """A source line that cannot be assembled; the text begins with file and line."""


class ExpressionError(MiniVMError):
    """A condition, watch or address that cannot be read or evaluated; `column` is where in it, from 1 (0: nowhere)."""

    def __init__(self, message: str, column: int = 0) -> None:
        super().__init__(message)
        self.column = column


class SymbolError(MiniVMError):
    """A file whose symbols and source lines cannot be read."""


class SnapshotError(MiniVMError):
    """A snapshot that cannot be read or written, or does not fit this machine; the text names file or field."""


class EngineError(MiniVMError):
    """The CPU engine is missing, or its private layout is not the one that was probed."""


class MemoryRangeError(MiniVMError, IndexError):
    """The host asked for guest memory outside RAM."""


class ExpectationFailed(MiniVMError, AssertionError):
    """A script waited for a text that did not come; the message shows the screen."""
