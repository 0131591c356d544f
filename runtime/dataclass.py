"""`dataclass` as the standard library has it, of which the methods are made when one is first used.

The standard library compiles half a dozen methods for each class as it is defined, which takes
longer than all the rest of the class: of what a short job waited for, a tenth was that. Type
checkers see the original. Everything that asks for `dataclasses.fields`, such as `replace`,
`asdict` and orjson, gets them from the original too, made when it is asked for.
"""

# ruff: noqa: N807 - the methods of other classes are made here

from __future__ import annotations

import dataclasses
import inspect
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter, ge, gt, le, lt
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass

__all__ = ["dataclass"]

_MISSING: Any = dataclasses.MISSING


class _Factory:
    """Stands in a signature for what a factory makes."""

    def __repr__(self) -> str:
        return "<factory>"


class _Definition:
    """What a class says of its fields, and the methods that come of it."""

    def __init__(self, cls: type, **options: bool) -> None:
        self.cls = cls
        self.options = options
        self.annotations = {
            name: kind
            for name, kind in cls.__annotations__.items()
            if not str(kind).startswith(("ClassVar", "typing.ClassVar"))
        }
        self.names = tuple(self.annotations)
        self.given = {name: cls.__dict__[name] for name in self.names if name in cls.__dict__}
        for name, given in self.given.items():
            if not isinstance(given, dataclasses.Field) and type(given).__hash__ is None:
                raise ValueError(f"the default of {name} can change: give a default_factory")
        if any(hasattr(base, "__dataclass_fields__") for base in cls.__bases__):
            raise TypeError(f"{cls.__name__} inherits from another dataclass")

    def field(self, name: str) -> dataclasses.Field[Any]:
        """What stands behind the name in the class."""
        given = self.given.get(name, _MISSING)
        if not isinstance(given, dataclasses.Field):
            given = dataclasses.field(default=given)
        return cast("dataclasses.Field[Any]", given)

    def positional(self) -> tuple[str, ...]:
        """The fields that `__init__` asks for."""
        left_out = {
            name
            for name, given in self.given.items()
            if isinstance(given, dataclasses.Field) and not given.init
        }
        return tuple(name for name in self.names if name not in left_out)

    def original(self) -> Any:
        """The same fields in a class of the standard library's making."""
        body = {
            "__annotations__": self.annotations,
            "__module__": self.cls.__module__,
            "__doc__": self.cls.__doc__ or "",
            **self.given,
        }
        options = self.options | {"slots": False}
        return dataclasses.dataclass(**options)(type(self.cls.__name__, (), body))

    def init(self) -> Callable[..., None]:
        """`__init__`, compiled: it is called for each object."""
        frozen, slots = self.options["frozen"], self.options["slots"]
        known: dict[str, Any] = {"_set": object.__setattr__, "_made": _Factory()}
        asked = ["self", *(["*"] if self.options["kw_only"] and self.names else [])]
        lines: list[str] = []
        for at, name in enumerate(self.names):
            field, value = self.field(name), name
            asking = name
            if field.default_factory is not _MISSING:
                known[f"_make{at}"] = field.default_factory
                asking = f"{name}=_made"
                value = f"_make{at}() if {name} is _made else {name}"
            elif field.default is not _MISSING:
                known[f"_default{at}"] = field.default
                asking = f"{name}=_default{at}"
            if field.init:
                asked.append(asking)
            elif asking == name:
                continue  # What runs after `__init__` gives it a value.
            else:
                value = asking.partition("=")[2].replace("_made", f"_make{at}()")
            if frozen and slots:
                known[f"_set{at}"] = self.cls.__dict__[name].__set__
                lines.append(f"_set{at}(self, {value})")
            elif frozen:
                lines.append(f"_set(self, {name!r}, {value})")
            else:
                lines.append(f"self.{name} = {value}")
        if hasattr(self.cls, "__post_init__"):
            lines.append("self.__post_init__()")
        body = "\n ".join(lines or ["pass"])
        exec(f"def __init__({', '.join(asked)}):\n {body}", known)
        made: Callable[..., None] = known["__init__"]
        made.__qualname__ = f"{self.cls.__qualname__}.__init__"
        made.__module__ = self.cls.__module__
        made.__annotations__ = self.annotations | {"return": None}
        return made

    def values(self, names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
        """What reads these fields of an object."""
        if len(names) > 1:
            return attrgetter(*names)
        return lambda one: tuple(getattr(one, name) for name in names)


class _FromOriginal:
    """What only the original knows, made when it is asked for."""

    def __init__(self, definition: _Definition, name: str) -> None:
        self._definition = definition
        self._name = name

    def __get__(self, one: object, owner: type) -> Any:
        definition = self._definition
        found = getattr(definition.original(), self._name)
        setattr(definition.cls, self._name, found)
        return found


class _Signature:
    """That of `__init__`, for `help` and for who checks calls; an object has none."""

    def __init__(self, definition: _Definition) -> None:
        self._definition = definition

    def __get__(self, one: object, owner: type) -> inspect.Signature:
        if one is not None or owner is not self._definition.cls:
            raise AttributeError("__signature__")
        signature = inspect.signature(self._definition.init())
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def _lazily(
    cls: type | None = None,
    /,
    *,
    frozen: bool = False,
    slots: bool = False,
    eq: bool = True,
    order: bool = False,
    unsafe_hash: bool = False,
    kw_only: bool = False,
) -> Any:
    options = {
        "frozen": frozen, "slots": slots, "eq": eq, "order": order, "unsafe_hash": unsafe_hash,
        "kw_only": kw_only,
    }  # fmt: skip
    return partial(_made, options=options) if cls is None else _made(cls, options)


def _made(cls: type, options: Mapping[str, bool]) -> type:
    definition = _Definition(cls, **options)
    own, names = cls.__dict__, definition.names
    fresh: dict[str, Any] = {
        "__init__": _init(definition),
        "__dataclass_fields__": _FromOriginal(definition, "__dataclass_fields__"),
        "__dataclass_params__": _FromOriginal(definition, "__dataclass_params__"),
        "__signature__": _Signature(definition),
        "__match_args__": () if options["kw_only"] else definition.positional(),
        "__repr__": _repr(definition),
        "__replace__": _replaced,
    }
    if options["eq"]:
        fresh["__eq__"] = _eq(definition)
    fresh = {name: one for name, one in fresh.items() if name not in own}
    unhashed = own.get("__hash__") is None
    if options["unsafe_hash"] or (options["eq"] and options["frozen"] and unhashed):
        fresh["__hash__"] = _hash(definition)
    elif options["eq"] and unhashed:
        fresh["__hash__"] = None
    if options["order"]:
        values = definition.values(names)
        fresh |= {f"__{how.__name__}__": _compared(how, values) for how in (lt, le, gt, ge)}
    if options["frozen"]:
        fresh |= _unchanging(definition)
    for name, given in definition.given.items():
        if options["slots"] or isinstance(given, dataclasses.Field):
            default = definition.field(name).default
            fresh[name] = _MISSING if options["slots"] else default
    definition.cls = _with(cls, fresh, names if options["slots"] else None)
    return definition.cls


def _with(cls: type, fresh: Mapping[str, Any], slots: tuple[str, ...] | None) -> type:
    """The class with these attributes; with slots it has to be made anew."""
    if slots is None:
        for name, one in fresh.items():
            if one is not _MISSING:
                setattr(cls, name, one)
            elif name in cls.__dict__:
                delattr(cls, name)
        return cls
    body = {
        name: one
        for name, one in {**cls.__dict__, **fresh}.items()
        if one is not _MISSING and name not in ("__dict__", "__weakref__")
    }
    made: type = type(cls)(cls.__name__, cls.__bases__, body | {"__slots__": slots})
    made.__qualname__ = cls.__qualname__
    return made


def _init(definition: _Definition) -> Callable[..., None]:
    def __init__(self: Any, *given: Any, **named: Any) -> None:
        made = definition.init()
        type.__setattr__(definition.cls, "__init__", made)
        made(self, *given, **named)

    return __init__


def _repr(definition: _Definition) -> Callable[[Any], str]:
    @reprlib.recursive_repr()
    def __repr__(self: Any) -> str:
        shown = [name for name in definition.names if definition.field(name).repr]
        told = ", ".join([f"{name}={getattr(self, name)!r}" for name in shown])
        return f"{type(self).__qualname__}({told})"

    return __repr__


def _eq(definition: _Definition) -> Callable[[Any, object], bool]:
    values = definition.values(definition.names)

    def __eq__(self: Any, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    return __eq__


def _hash(definition: _Definition) -> Callable[[Any], int]:
    values = definition.values(definition.names)

    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


def _compared(
    how: Callable[[Any, Any], bool], values: Callable[[Any], tuple[Any, ...]]
) -> Callable[[Any, object], bool]:
    def compared(self: Any, other: object) -> bool:
        return how(values(self), values(other)) if type(other) is type(self) else NotImplemented

    return compared


def _unchanging(definition: _Definition) -> dict[str, Any]:
    """What refuses changes; and, as there are no others, how a copy or a pickle is filled."""

    def __setattr__(self: Any, name: str, value: object) -> None:
        if type(self) is definition.cls or name in definition.names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is definition.cls or name in definition.names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        object.__delattr__(self, name)

    found: dict[str, Any] = {"__setattr__": __setattr__, "__delattr__": __delattr__}
    if definition.options["slots"]:

        def __getstate__(self: Any) -> list[Any]:
            return [getattr(self, name) for name in definition.names]

        def __setstate__(self: Any, state: list[Any]) -> None:
            for name, value in zip(definition.names, state, strict=True):
                object.__setattr__(self, name, value)

        found |= {"__getstate__": __getstate__, "__setstate__": __setstate__}
    return found


def _replaced(self: Any, /, **changes: Any) -> Any:
    return dataclasses.replace(self, **changes)


if not TYPE_CHECKING:
    dataclass = _lazily
