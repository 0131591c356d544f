"""`dataclass` as the standard library has it, of which the methods are made when one is first used.

The standard library compiles half a dozen methods for each class as it is defined, which takes
longer than all the rest of the class: of what a short job waited for, a tenth was that. Type
checkers see the original. Everything that asks for `dataclasses.fields`, such as `asdict` and
orjson, gets them from the original too, made when it is asked for. `replace` needs none of it.
"""

# ruff: noqa: N807 - the methods of other classes are made here

from __future__ import annotations

import dataclasses
import reprlib
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import attrgetter, ge, gt, le, lt
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import replace as replace

__all__ = ["dataclass", "replace"]

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
        for name, kind in self.annotations.items():
            if "InitVar" in str(kind) or "KW_ONLY" in str(kind):
                raise TypeError(f"{cls.__name__}.{name}: {kind} is not offered here")
        self._check_order()

    def _check_order(self) -> None:
        """Raise what the standard library does for fields that nobody could give in order."""
        before = ""
        for name in self.names if not self.options["kw_only"] else ():
            field = self.field(name)
            if field.kw_only is True:
                raise TypeError(f"{self.cls.__name__}.{name} alone is kw_only")
            if not field.init:
                continue
            if field.default is not _MISSING or field.default_factory is not _MISSING:
                before = name
            elif before:
                raise TypeError(
                    f"non-default argument {name!r} follows default argument {before!r}"
                )

    def compared(self) -> tuple[str, ...]:
        """The fields that objects are compared by."""
        return self._without(lambda field: not field.compare)

    def hashed(self) -> tuple[str, ...]:
        """The fields that the hash is made of."""
        return self._without(
            lambda field: not (field.compare if field.hash is None else field.hash)
        )

    def shown(self) -> tuple[str, ...]:
        """The fields that an object is told by."""
        return self._without(lambda field: not field.repr)

    def positional(self) -> tuple[str, ...]:
        """The fields that `__init__` asks for."""
        return self._without(lambda field: not field.init)

    def _without(self, is_out: Callable[[dataclasses.Field[Any]], bool]) -> tuple[str, ...]:
        left_out = {
            name
            for name, given in self.given.items()
            if isinstance(given, dataclasses.Field) and is_out(self.field(name))
        }
        return tuple(name for name in self.names if name not in left_out)

    def field(self, name: str) -> dataclasses.Field[Any]:
        """What stands behind the name in the class."""
        given = self.given.get(name, _MISSING)
        if not isinstance(given, dataclasses.Field):
            given = dataclasses.field(default=given)
        return cast("dataclasses.Field[Any]", given)

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
        known: dict[str, Any] = {"_data_set": object.__setattr__, "_data_made": _Factory()}
        asked = ["self", *(["*"] if self.options["kw_only"] and self.names else [])]
        lines: list[str] = []
        for at, name in enumerate(self.names):
            field, value = self.field(name), name
            asking = name
            if field.default_factory is not _MISSING:
                known[f"_data_make{at}"] = field.default_factory
                asking = f"{name}=_data_made"
                value = f"_data_make{at}() if {name} is _data_made else {name}"
            elif field.default is not _MISSING:
                known[f"_data_default{at}"] = field.default
                asking = f"{name}=_data_default{at}"
            if field.init:
                asked.append(asking)
            elif asking == name:
                continue  # What runs after `__init__` gives it a value.
            else:
                value = asking.partition("=")[2].replace("_data_made", f"_data_make{at}()")
            if frozen and slots:
                known[f"_data_set{at}"] = self.cls.__dict__[name].__set__
                lines.append(f"_data_set{at}(self, {value})")
            elif frozen:
                lines.append(f"_data_set(self, {name!r}, {value})")
            else:
                lines.append(f"self.{name} = {value}")
        if hasattr(self.cls, "__post_init__"):
            lines.append("self.__post_init__()")
        body = "\n  ".join(lines or ["pass"])
        code = f"def __init__({', '.join(asked)}):\n  {body}\n return __init__"
        # Its globals are those of the module, for who asks what its annotations mean.
        module, found = sys.modules.get(self.cls.__module__), dict[str, Any]()
        around: dict[str, Any] = {} if module is None else vars(module)
        exec(f"def _made({', '.join(known)}):\n {code}", around, found)
        made: Callable[..., None] = found["_made"](**known)
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


class _Init:
    """Stands for `__init__` until it is asked for, or the first object is made."""

    def __init__(self, definition: _Definition) -> None:
        self._definition = definition

    def __get__(self, one: object, owner: type) -> Callable[..., None]:
        definition = self._definition
        made = definition.init()
        type.__setattr__(definition.cls, "__init__", made)
        return made if one is None else MethodType(made, one)


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
    _check_own(cls, options)
    fresh: dict[str, Any] = {
        "__init__": _Init(definition),
        "__dataclass_fields__": _FromOriginal(definition, "__dataclass_fields__"),
        "__dataclass_params__": _FromOriginal(definition, "__dataclass_params__"),
        "__match_args__": () if options["kw_only"] else definition.positional(),
        "__repr__": _repr(definition),
        "__replace__": _replacing(definition),
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
        values = definition.values(definition.compared())
        fresh |= {f"__{how.__name__}__": _compared(how, values) for how in (lt, le, gt, ge)}
    if options["frozen"]:
        fresh |= {name: one for name, one in _unchanging(definition).items() if name not in own}
    for name, given in definition.given.items():
        if options["slots"] or isinstance(given, dataclasses.Field):
            default = definition.field(name).default
            fresh[name] = _MISSING if options["slots"] else default
    definition.cls = _with(cls, fresh, names if options["slots"] else None)
    return definition.cls


def _check_own(cls: type, options: Mapping[str, bool]) -> None:
    """Raise what the standard library does for methods that would be lost."""
    lost = [
        *(["__lt__", "__le__", "__gt__", "__ge__"] if options["order"] else []),
        *(["__setattr__", "__delattr__"] if options["frozen"] else []),
    ]
    if options["unsafe_hash"] and cls.__dict__.get("__hash__") is not None:
        lost.append("__hash__")
    for name in lost:
        if name in cls.__dict__:
            raise TypeError(f"Cannot overwrite attribute {name} in class {cls.__name__}")


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


def _repr(definition: _Definition) -> Callable[[Any], str]:
    shown = definition.shown()

    def __repr__(self: Any) -> str:
        told = ", ".join([f"{name}={getattr(self, name)!r}" for name in shown])
        return f"{type(self).__qualname__}({told})"

    __repr__.__qualname__ = "__create_fn__.<locals>.__repr__"  # pprint looks for that.
    made = reprlib.recursive_repr()(__repr__)
    made.__wrapped__ = __repr__  # type: ignore[attr-defined]  # Python 3.11 does not say it.
    return made


def _eq(definition: _Definition) -> Callable[[Any, object], bool]:
    values = definition.values(definition.compared())

    def __eq__(self: Any, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    return __eq__


def _hash(definition: _Definition) -> Callable[[Any], int]:
    values = definition.values(definition.hashed())

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
        above = cast("Any", super(cast("type[Any]", definition.cls), self))
        above.__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is definition.cls or name in definition.names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        above = cast("Any", super(cast("type[Any]", definition.cls), self))
        above.__delattr__(name)

    found: dict[str, Any] = {"__setattr__": __setattr__, "__delattr__": __delattr__}
    if definition.options["slots"]:

        def names(one: Any) -> Iterable[str]:
            if type(one) is definition.cls:
                return definition.names
            # One that inherits may have more.
            return [field.name for field in dataclasses.fields(one)]

        def __getstate__(self: Any) -> list[Any]:
            return [getattr(self, name) for name in names(self)]

        def __setstate__(self: Any, state: list[Any]) -> None:
            for name, value in zip(names(self), state, strict=True):
                object.__setattr__(self, name, value)

        found |= {"__getstate__": __getstate__, "__setstate__": __setstate__}
    return found


def _replacing(definition: _Definition) -> Callable[..., Any]:
    asked = definition.positional()

    def __replace__(self: Any, /, **changes: Any) -> Any:
        if type(self) is not definition.cls or not changes.keys() <= {*asked}:
            return dataclasses.replace(self, **changes)  # Which knows more, and says what is wrong.
        kept = {name: getattr(self, name) for name in asked if name not in changes}
        return definition.cls(**kept, **changes)

    return __replace__


def _replace(one: Any, /, **changes: Any) -> Any:
    how: Callable[..., Any] | None = getattr(cast("type[object]", type(one)), "__replace__", None)
    return dataclasses.replace(one, **changes) if how is None else how(one, **changes)


if not TYPE_CHECKING:
    dataclass, replace = _lazily, _replace
