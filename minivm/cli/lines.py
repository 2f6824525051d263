"""Where the serial ports lead: standard output, nowhere, a file, a socket.

What the guest sends is kept until `flush`, which the loop calls between two pieces of the run, so that an error of the
host never happens in the middle of an instruction.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from minivm.config import MachineConfig, SerialSpec
from minivm.console import SerialLog
from minivm.errors import ConfigError

LARGEST_BACKLOG = 1 << 20
"""As many bytes wait for a slow reader of a socket; more are lost, as on a line that nobody listens to."""
READ_BYTES = 4096


class Line(Protocol):
    """The host's end of one serial line."""

    @property
    def input_file(self) -> int | None:
        """What to wait for, None when nothing comes in."""

    def put(self, data: bytes) -> None:
        """Take what the guest sent."""

    def take(self) -> bytes:
        """Return what came in; called when `input_file` can be read."""

    def flush(self) -> None:
        """Hand on what the guest sent; raises `ConfigError` when that fails."""

    def close(self) -> None:
        """Free the host's things."""


class Lines:
    """All serial lines of a run. `standard` takes what the ports send that lead to standard output.

    Without a word about serial ports both send there, and `standard_port` is the one that input goes to.
    """

    def __init__(self, ports: Sequence[SerialLog], config: MachineConfig, standard: Callable[[bytes], None]) -> None:
        self.standard_port: SerialLog | None = None
        self._lines: list[tuple[SerialLog, Line]] = []
        try:
            for port, spec in zip(ports, _specs(config), strict=True):
                self._connect(port, spec, config, standard)
        except BaseException:
            self.close()
            raise

    @property
    def may_wake(self) -> bool:
        """True while a line is there on which something may come in."""
        return any(line.input_file is not None for _, line in self._lines)

    def input_files(self) -> list[int]:
        """Return what to wait for: a port is not given more while it has not taken what came before."""
        return [line.input_file for port, line in self._lines if line.input_file is not None and port.ready]

    def take_input(self, ready: Iterable[int]) -> None:
        """Let the guest receive what has come in on the files that are `ready`."""
        readable = set(ready)
        for port, line in self._lines:
            if line.input_file in readable:
                port.send(line.take())

    def flush(self) -> None:
        """Hand on what the guest sent."""
        for _, line in self._lines:
            line.flush()

    def close(self) -> None:
        """Hand on the rest and close everything."""
        while self._lines:
            _, line = self._lines.pop()
            try:
                line.flush()
            finally:
                line.close()

    def _connect(
        self, port: SerialLog, spec: SerialSpec, config: MachineConfig, standard: Callable[[bytes], None]
    ) -> None:
        if spec.kind == "stdio":
            port.listeners.append(standard)
            self.standard_port = self.standard_port or port
        elif spec.path is not None:
            line: Line = FileLine(spec.path, _inputs_of(config)) if spec.kind == "file" else SocketLine(spec.path)
            port.listeners.append(line.put)
            self._lines.append((port, line))


def _specs(config: MachineConfig) -> tuple[SerialSpec, SerialSpec]:
    if not config.serial:
        return SerialSpec("stdio"), SerialSpec("stdio")
    first, second, *_ = (*config.serial, SerialSpec("none"))
    return first, second


def _inputs_of(config: MachineConfig) -> list[Path]:
    """Return the files that the machine is made of, which no output may overwrite."""
    drives = [spec.path for spec in (*config.disks, *config.floppies, *config.cdroms)]
    modules = [Path(words.split(maxsplit=1)[0]) for words in config.initrd if words.strip()]
    return [path for path in (config.guest, config.firmware, *drives, *modules) if path is not None]


class FileLine:
    """A line into a file, which is begun anew."""

    input_file = None

    def __init__(self, path: Path, inputs: Iterable[Path]) -> None:
        self._path, self._waiting = path, bytearray()
        for taken in inputs:
            if path.exists() and taken.exists() and path.samefile(taken):
                raise ConfigError(f"serial: {path}: is the machine's own file; give another")
        try:
            # Without waiting: a FIFO that nobody reads is an error and not a hang.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOCTTY | os.O_NONBLOCK
            self._file = os.open(path, flags, 0o666)
            os.set_blocking(self._file, True)
        except (OSError, ValueError) as error:
            raise self._error(error) from error

    def put(self, data: bytes) -> None:
        """Take what the guest sent."""
        self._waiting += data

    def take(self) -> bytes:
        """Return nothing: nothing comes in."""
        return b""

    def flush(self) -> None:
        """Write it."""
        try:
            while self._waiting:
                del self._waiting[: os.write(self._file, self._waiting)]
        except OSError as error:
            self._waiting.clear()
            raise self._error(error) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _error(self, error: Exception) -> ConfigError:
        return ConfigError(f"serial: {self._path}: cannot be written: {getattr(error, 'strerror', None) or error}")


class SocketLine:
    """A line to whoever connects to a Unix socket; while nobody is there, the guest's bytes are lost."""

    def __init__(self, path: Path) -> None:
        import socket

        self._path, self._waiting = path, bytearray()
        self._peer: socket.socket | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._remove_stale()
            self._listener.bind(str(path))
            self._listener.listen(1)
        except (OSError, ValueError) as error:
            self._listener.close()
            words = getattr(error, "strerror", None) or error
            raise ConfigError(f"serial: {path}: no socket can be made there: {words}") from error
        self._listener.setblocking(False)

    @property
    def input_file(self) -> int | None:
        """The connection, or while there is none, the door."""
        return (self._peer or self._listener).fileno()

    def put(self, data: bytes) -> None:
        """Take what the guest sent, if anybody listens."""
        if self._peer is not None:
            self._waiting += data
            del self._waiting[:-LARGEST_BACKLOG]

    def take(self) -> bytes:
        """Let somebody in, or return what the one who is in has sent."""
        try:
            if self._peer is None:
                self._peer = self._listener.accept()[0]
                self._peer.setblocking(False)
                return b""
            data = self._peer.recv(READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        return data

    def flush(self) -> None:
        """Send what the peer takes now."""
        try:
            while self._waiting and self._peer is not None:
                del self._waiting[: self._peer.send(self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up()

    def close(self) -> None:
        """Close both sockets and remove the file."""
        self._hang_up()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _hang_up(self) -> None:
        self._waiting.clear()
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def _remove_stale(self) -> None:
        """Remove a socket that a dead process left; one that somebody serves stays, and so does any other file."""
        import socket

        if not self._path.is_socket():
            return
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                self._path.unlink()
