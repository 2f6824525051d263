"""What the options and ini values of a pytest session say, and the machines that the session keeps."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from minivm.errors import ConfigError, ExpectationFailed, MiniVMError
from minivm.testing.fixtures import Guests, Nursery, Ready, file_name, give_up, goldens_of, plainly, spec_of
from minivm.testing.guest import Guest, GuestSpec
from minivm.testing.screens import Goldens

if TYPE_CHECKING:
    from minivm.testing.kernels import KernelFile

KERNEL_SECONDS = 10.0
KERNEL_TICKS = 1_000_000_000
"""Some three seconds of the host for a guest that never rests."""
CACHE = "minivm-failures"


class Settings:
    """One session's settings. What does not fit is refused by `check`."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._nursery = Nursery(self)
        self.written: dict[Path, str] = {}
        """The golden screens that this process has written."""
        self._kernel_paths: set[Path] | None = None

    # -- what the user wrote ------------------------------------------------------------------------------------------
    def check(self) -> None:
        """Raise `pytest.UsageError`, in one line, for a setting that does not fit."""
        for check in (self._check_engine, self._check_memory, self._check_record, self._check_kernels):
            try:
                check()
            except (MiniVMError, OSError) as error:
                raise pytest.UsageError(f"minivm: {error}") from None

    def _check_engine(self) -> None:
        if self._engine == "kvm":
            import minivm

            minivm.boot(b"\xf4" + bytes(509) + b"\x55\xaa", engine="kvm").close()

    def _check_memory(self) -> None:
        memory: Any = self._ini("minivm_memory")
        if memory:
            from minivm.config import MachineConfig

            try:
                MachineConfig(memory=memory)
            except ConfigError as error:
                raise ConfigError(f"the ini value minivm_{error}") from None

    def _check_record(self) -> None:
        folder = self._config.getoption("minivm_record")
        if folder:
            try:
                self._absolute(folder).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"--minivm-record {folder}: cannot be made: {error.strerror}") from None

    def _check_kernels(self) -> None:
        _ = self.kernel_seconds, self.kernel_ticks, self.pass_exits
        for pattern in self._config.getini("minivm_kernels"):
            if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
                raise ConfigError(f"the ini value minivm_kernels: {pattern!r} does not lie under the root")
            try:
                next(self._config.rootpath.glob(pattern), None) if "/" in pattern else None
            except (ValueError, NotImplementedError) as error:
                raise ConfigError(f"the ini value minivm_kernels: {pattern!r} is no glob: {error}") from None

    def _ini(self, name: str) -> str:
        return str(self._config.getini(name)).strip()

    def _absolute(self, folder: str) -> Path:
        return self._config.invocation_params.dir / folder

    @property
    def _engine(self) -> str:
        return str(self._config.getoption("minivm_engine"))

    @property
    def kernel_seconds(self) -> float:
        """How many virtual seconds a kernel may run."""
        return _number("minivm_kernel_timeout", self._ini("minivm_kernel_timeout"), KERNEL_SECONDS)

    @property
    def kernel_ticks(self) -> int:
        """How many ticks of code a kernel may execute."""
        return int(_number("minivm_kernel_ticks", self._ini("minivm_kernel_ticks"), KERNEL_TICKS))

    @property
    def pass_exits(self) -> frozenset[int]:
        """The values at the debug-exit port that mean success."""
        found = []
        for word in self._config.getini("minivm_pass_exit") or ("0",):
            try:
                found.append(int(word, 0))
            except ValueError:
                raise ConfigError(f"the ini value minivm_pass_exit: {word!r} is no number like 0 or 0x10") from None
        return frozenset(found)

    # -- what guests are made of --------------------------------------------------------------------------------------
    def machine_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of `MachineConfig` for a machine; what a test says itself goes first."""
        chosen: dict[str, Any] = {"engine": self._engine} if self._engine != "auto" else {}
        if self._ini("minivm_memory"):
            chosen["memory"] = self._ini("minivm_memory")
        return chosen | dict(options)

    def spec(self, path: Any) -> GuestSpec:
        """Return what a path alone says, with the rest out of the ini file."""
        return GuestSpec.of(path, ready=self._ini("minivm_ready") or None)

    @property
    def default_guest(self) -> str | None:
        """The guest that the ini file names."""
        return self._ini("minivm_guest") or None

    def folders(self, item: pytest.Item) -> tuple[Path, Path]:
        """Return where a test's guests may lie."""
        return item.path.parent, self._config.rootpath

    def booted(self, request: pytest.FixtureRequest, guests: Guests) -> Guest:
        """Return a clone of the guest that a test wants, or fail the test with why there is none."""
        with plainly():
            spec = spec_of(request, self)
            found = self._nursery.get(spec, request.node)
        if not isinstance(found, Ready):
            guests.unready = found
            give_up(found.reason)
        return guests.fork(found, Path(spec.path).name)

    def close(self) -> None:
        """Close the machines that the session keeps."""
        self._nursery.close()

    # -- golden screens -----------------------------------------------------------------------------------------------
    def goldens(self, item: pytest.Item) -> Goldens:
        """Return the golden screens of a test's module."""
        return goldens_of(item, update=bool(self._config.getoption("minivm_update")), written=self._on_golden)

    def _on_golden(self, path: Path, text: str) -> None:
        if self.written.setdefault(path, text) != text:
            raise ExpectationFailed(
                f"the golden screen {path.name} was written in this session already, as another one"
            )

    def words_of_written(self) -> str:
        """Return which golden screens were written, in one line."""
        names = [self._shown(path) for path in sorted(self.written)]
        return f"minivm: wrote {len(names)} golden screen{'s' if len(names) > 1 else ''}: {', '.join(names)}"

    # -- replay files -------------------------------------------------------------------------------------------------
    def replay_file(self, node: str, number: int) -> Path:
        """Return where the replay file of a test's machine goes."""
        return self._replay_folder() / file_name(node, number)

    def _replay_folder(self) -> Path:
        chosen = self._config.getoption("minivm_record")
        if chosen:
            return self._absolute(chosen)
        cache = getattr(self._config, "cache", None)
        if cache is not None:
            return Path(cache.mkdir(CACHE))
        factory: Any = self._config._tmp_path_factory  # type: ignore[attr-defined]  # the cache is switched off
        return Path(factory.getbasetemp()) / CACHE

    def replay_command(self, path: Path) -> str:
        """Return the command that replays a file, as short as it can be from where pytest was started."""
        return f"minivm replay {shlex.quote(self._shown(path))}"

    def _shown(self, path: Path) -> str:
        start = self._config.invocation_params.dir
        return str(path.relative_to(start) if path.is_relative_to(start) else path)

    # -- kernels ------------------------------------------------------------------------------------------------------
    def collect_kernel(self, path: Path, parent: pytest.Collector) -> "KernelFile | None":
        """Return a kernel's collector, when `minivm_kernels` names the file."""
        if not self._is_kernel(path):
            return None
        from minivm.testing.kernels import KernelFile

        return KernelFile.from_parent(parent, path=path)

    def _is_kernel(self, path: Path) -> bool:
        patterns = self._config.getini("minivm_kernels")
        if any("/" not in pattern and path.match(pattern) for pattern in patterns):
            return True
        if self._kernel_paths is None:
            root = self._config.rootpath
            self._kernel_paths = {found for pattern in patterns if "/" in pattern for found in root.glob(pattern)}
        return path in self._kernel_paths


def _number(name: str, text: str, default: float) -> float:
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"the ini value {name}: {text!r} is not a number above 0")
    return value
