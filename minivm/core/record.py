"""Frozen records: what `@dataclass(frozen=True)` gives, at a tenth of its price at start-up.

`dataclasses` writes each class's methods as source and compiles them, half a millisecond a class, and imports `inspect`
for it: a third of the time that `minivm run` needs to boot a sector (docs/decisions/records.md). A record's methods are
written once, here. `dataclasses.fields`, `replace` and `asdict` work on records, and so does `match`.
"""

from typing import Any, TypeVar, dataclass_transform

Class = TypeVar("Class", bound=type)
Instance = TypeVar("Instance")


@dataclass_transform(frozen_default=True)
def record(cls: Class) -> Class:
    """Make `cls`, whose annotations name its fields, a frozen record: a decorator.

    A class attribute is a field's default. Fields of a base record come first. `__post_init__` is called when it is
    there; it may use `object.__setattr__`.
    """
    inherited: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited |= getattr(base, "_record_fields", {})
    own = {name: getattr(cls, name, _REQUIRED) for name in cls.__annotations__}
    fields = inherited | own
    members: dict[str, Any] = {
        "_record_fields": fields,
        "__match_args__": tuple(fields),
        "__dataclass_fields__": _DataclassFields(),
    } | _METHODS
    if hasattr(cls, "__post_init__"):
        members["__init__"] = _init_then_post
    for name, member in members.items():
        if name not in cls.__dict__ or name == "__match_args__":
            setattr(cls, name, member)
    return cls


def replace(instance: Instance, **changes: Any) -> Instance:
    """Return a copy of a record with some fields changed."""
    fields = type(instance)._record_fields  # type: ignore[attr-defined]
    return type(instance)(**{name: getattr(instance, name) for name in fields} | changes)


def names(of: object) -> tuple[str, ...]:
    """Return the field names of a record, or of a record's class."""
    return tuple(of._record_fields)  # type: ignore[attr-defined]


class _Required:
    def __repr__(self) -> str:
        return "<required>"


_REQUIRED = _Required()


class _DataclassFields:
    """Stands in for `__dataclass_fields__` until somebody asks; then a real dataclass of the same fields answers."""

    def __get__(self, instance: object, owner: type) -> Any:
        import dataclasses

        specifications = [
            (name, Any, dataclasses.field() if default is _REQUIRED else dataclasses.field(default=default))
            for name, default in owner._record_fields.items()  # type: ignore[attr-defined]
        ]
        twin = dataclasses.make_dataclass(owner.__name__, specifications, frozen=True, kw_only=True)
        return getattr(twin, "__dataclass_fields__")  # noqa: B009


def _init(self: Any, *values: Any, **named: Any) -> None:
    fields = self._record_fields
    if len(values) != len(fields) or named:
        self.__dict__.update(_bind(self, fields, values, named))
    else:
        self.__dict__.update(zip(fields, values, strict=True))


def _init_then_post(self: Any, *values: Any, **named: Any) -> None:
    _init(self, *values, **named)
    self.__post_init__()


def _bind(self: object, fields: dict[str, Any], values: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    """Put arguments and defaults in the fields' order; raises `TypeError` as a function's call would."""
    kind = type(self).__name__
    if len(values) > len(fields):
        raise TypeError(f"{kind} takes {len(fields)} values, not {len(values)}")
    given = dict(zip(fields, values, strict=False))
    for name in named:
        if name not in fields:
            raise TypeError(f"{kind} has no field {name!r}")
        if name in given:
            raise TypeError(f"{kind} got two values for {name!r}")
    bound = fields | given | named
    missing = [name for name, value in bound.items() if value is _REQUIRED]
    if missing:
        raise TypeError(f"{kind} needs {', '.join(missing)}")
    return bound


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self._record_fields)


def _repr(self: Any) -> str:
    inner = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._record_fields)
    return f"{type(self).__qualname__}({inner})"


def _equal(self: object, other: object) -> Any:
    return _values(self) == _values(other) if type(self) is type(other) else NotImplemented


def _hash(self: object) -> int:
    return hash((type(self), _values(self)))


def _refuse(self: object, name: str, value: object = None) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"{type(self).__name__} is frozen; use replace() to get one with another {name}")


_METHODS = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _equal,
    "__hash__": _hash,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}
