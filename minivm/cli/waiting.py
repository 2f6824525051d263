"""Sleeping until input comes, time is over, or a signal arrives."""

import os
import select
import signal
from collections.abc import Iterable


class Waiter:
    """Waits for files to become readable. A signal ends the wait, which Python alone would only interrupt."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._old: int | None = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        except ValueError:  # not the main thread: signals are not ours
            self._old = None

    def wait(self, files: Iterable[int], seconds: float | None) -> list[int]:
        """Return which of `files` can be read, after at most `seconds` (None: no limit)."""
        ready, _, _ = select.select([self._reader, *files], (), (), seconds)
        if self._reader in ready:
            ready.remove(self._reader)
            os.read(self._reader, 4096)
        return ready

    def close(self) -> None:
        """Give signals back to whoever had them."""
        if self._old is not None:
            signal.set_wakeup_fd(self._old)
        os.close(self._reader)
        os.close(self._writer)
