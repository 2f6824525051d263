"""Devices of the user's own by name: which are installed, where others are found, and which options they take.

A name like `traffic-light` is an entry point of the group `minivm.devices`, as an installed package declares it. What
the user writes (a configuration file, a command, a call) may also say `package.module:Class` or `FILE.py:Class`, and
then that module is imported. A snapshot or a recording comes from elsewhere, so what it names is only ever looked for
among what is installed (`find`).
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from minivm.core.slot import Factory
from minivm.errors import ConfigError, MiniVMError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "minivm.devices"
"""The group of entry points that a package's `pyproject.toml` puts its devices in."""

_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_FILE_MARK = ".py:"


# -- names --------------------------------------------------------------------------------------------------------
def installed() -> "dict[str, EntryPoint]":
    """Return the entry points of the devices that are installed, by name; nothing is imported."""
    from importlib.metadata import entry_points

    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def find(name: str) -> Factory:
    """Return the installed device called `name`, and never anything else; raises `ConfigError`."""
    points = installed()
    if name not in points:
        raise ConfigError(_not_installed(name, points))
    point = points[name]
    with blaming(name):
        return _attribute(_imported(point.module, name), point.attr, name)


def _not_installed(name: str, points: Iterable[str]) -> str:
    if ":" in name:
        return f"{name} is not installed under a name of its own, so it is not looked for; give devices= with its class"
    from difflib import get_close_matches

    close = get_close_matches(name, list(points), 1)
    listed = f"installed are {', '.join(points)}" if points else "none is; write package.module:Class or FILE.py:Class"
    return f"no device {name!r} is installed; {f'did you mean {close[0]}?' if close else listed}"


def load(name: str) -> Factory:
    """Return the device that the user himself names: an installed one, `package.module:Class` or `FILE.py:Class`.

    Never call it with a name out of a file that may come from elsewhere: it imports what the name says. Raises
    `ConfigError`; what the module itself raises, comes through.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon:
        return find(name)
    with blaming(name):
        module = _module_of_file(Path(place)) if _FILE_MARK in name else _imported(place, name)
        return _attribute(module, attribute, name)


def name_of(factory: Factory) -> str:
    """Return the name that a factory is installed under, or else `module:Class`, which only tells people who it is."""
    for name, point in installed().items():
        if _has_loaded(point) is factory:
            return name
    return f"{getattr(factory, '__module__', '')}:{getattr(factory, '__qualname__', type(factory).__name__)}"


def _has_loaded(point: "EntryPoint") -> object:
    """Return what an entry point stands for if its module is there already, without importing it."""
    found: Any = sys.modules.get(point.module)
    for part in point.attr.split("."):
        found = getattr(found, part, None)
    return found


def _imported(module: str, name: str) -> ModuleType:
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses another one
        raise ConfigError(f"{name}: there is no module {error.name}; for a file, write FILE.py:Class") from None
    except (ValueError, TypeError):
        raise ConfigError(f"{name}: {module!r} is no module's name") from None


def _module_of_file(path: Path) -> ModuleType:
    """Import a file once, under a name of its own, so that its classes stay the same ones."""
    from importlib.util import module_from_spec, spec_from_file_location

    name = f"minivm_device_{path.resolve().with_suffix('').as_posix()}"
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _attribute(module: ModuleType, path: str, name: str) -> Factory:
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f"{name}: there is no class {path!r} in it")
    return cast(Factory, found)


# -- whose fault it is --------------------------------------------------------------------------------------------
_BLAME = "raised by the device "


@contextmanager
def blaming(name: str) -> Iterator[None]:
    """Add to an exception that the device `name` raises a note that says so; MiniVM's own errors say it themselves."""
    try:
        yield
    except MiniVMError:
        raise
    except Exception as error:
        blame(error, name, *frames_of(error)[-1])
        raise


def frames_of(error: BaseException) -> list[tuple[FrameType, int]]:
    """Return the frames of an exception's traceback with their lines, the innermost last; `traceback` loads slowly."""
    frames, at = [], error.__traceback__
    while at is not None:
        frames.append((at.tb_frame, at.tb_lineno))
        at = at.tb_next
    return frames


def blame(error: BaseException, name: str, frame: FrameType, line: int) -> None:
    """Note on an exception that it is the device's, and where in its code it was raised."""
    code = frame.f_code
    error.add_note(f"{_BLAME}{name}, in {code.co_name} ({Path(code.co_filename).name}:{line})")


def blamed(error: BaseException) -> str | None:
    """Return the note that `blame` left on an exception, None where nobody's device is to blame."""
    return next((note for note in getattr(error, "__notes__", ()) if note.startswith(_BLAME)), None)


# -- options ------------------------------------------------------------------------------------------------------
def checked_options(factory: Factory, options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the options as the factory takes them; raises `ConfigError` for an unknown, missing or wrong one.

    Types are checked where the factory has annotated an option as bool, int, float or str, or a union of these.
    """
    known = _Options(factory, name)
    known.check_names(options)
    for option, value in options.items():
        kinds = known.kinds(option)
        if kinds and not any(_is(kind, value) for kind in kinds):
            raise ConfigError(f"{name}: {option}: {value!r} does not fit; give {_wanted(kinds)}")
    return dict(options)


def read_options(factory: Factory, texts: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return options written as texts, each as what the factory annotates it as, or as its default is."""
    known = _Options(factory, name)
    known.check_names(texts)
    return {option: known.read(option, text) for option, text in texts.items()}


class _Options:
    """The options of a factory: the parameters behind its slot."""

    def __init__(self, factory: Factory, name: str) -> None:
        from inspect import Parameter, signature

        self._name = name
        try:
            parameters = list(signature(factory).parameters.values())
        except (TypeError, ValueError):  # something of C's that does not say
            parameters = [Parameter("anything", Parameter.VAR_KEYWORD)]
        self._open = any(one.kind is Parameter.VAR_KEYWORD for one in parameters)
        named = (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        first = 0 if parameters and parameters[0].kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_POSITIONAL) else 1
        self._parameters = {one.name: one for one in parameters[first:] if one.kind in named}
        self._needed = [option for option, one in self._parameters.items() if one.default is Parameter.empty]
        self._hints = _hints(factory)

    def check_names(self, given: Mapping[str, object]) -> None:
        """Refuse an option that the factory does not know, and the lack of one that it needs."""
        for option in given:
            if option not in self._parameters and not self._open:
                raise ConfigError(f"{self._name}: {self._no_such(option)}")
        for option in self._needed:
            if option not in given:
                raise ConfigError(f"{self._name}: needs the option {option}")

    def _no_such(self, option: str) -> str:
        from difflib import get_close_matches

        close = get_close_matches(option, list(self._parameters), 1)
        known = f"it takes {', '.join(self._parameters)}" if self._parameters else "it takes none"
        return f"has no option {option!r}; {f'did you mean {close[0]}?' if close else known}"

    def kinds(self, option: str) -> tuple[type, ...]:
        """Return the simple types that are annotated, none where anything else may be meant."""
        from typing import get_args

        hint = self._hints.get(option)
        kinds = get_args(hint) or (hint,)
        return kinds if all(kind in _KINDS or kind is type(None) for kind in kinds) and hint is not None else ()

    def read(self, option: str, text: str) -> Any:
        """Return what a text means for `option`."""
        default = self._parameters[option].default if option in self._parameters else None
        kinds = self.kinds(option) or ((type(default),) if type(default) in _KINDS else (int, float, bool, str))
        for kind in sorted(kinds, key=lambda kind: kind is str):  # a text fits anything, so it comes last
            value = _READ.get(kind, _nothing)(text)
            if value is not None:
                return value
        raise ConfigError(f"{self._name}: {option}: {text!r} does not fit; give {_wanted(kinds)}")


def _hints(factory: Factory) -> dict[str, Any]:
    from typing import get_type_hints

    try:
        return get_type_hints(getattr(factory, "__init__") if isinstance(factory, type) else factory)  # noqa: B009
    except (NameError, TypeError, AttributeError):  # names that exist for a type checker only
        return {}


def _is(kind: type, value: object) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _wanted(kinds: Iterable[type]) -> str:
    return " or ".join(_KINDS[kind] for kind in kinds if kind in _KINDS)


def _read_bool(text: str) -> bool | None:
    return {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}.get(text.lower())


def read_int(text: str) -> int | None:
    """Return the number that "0x500", "500h" or "1280" stands for, None for what is none."""
    number = text.strip().lower()
    try:
        if number.endswith("h") and not number.startswith(("0x", "-")):
            return int(number[:-1], 16)
        return int(number, 0)
    except ValueError:
        return None


def _read_float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _nothing(text: str) -> None:
    """Read nothing."""


_READ: dict[type, Any] = {bool: _read_bool, int: read_int, float: _read_float, str: str}
