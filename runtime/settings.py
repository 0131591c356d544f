"""Settings: what a graph file lets its user choose, typed by its default."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, TypeVar, Union, cast

from .dataclass import dataclass, replace
from .errors import SettingError
from .nodes import declared_at, nearest

__all__ = ["Setting", "Settings", "setting", "settings_from"]

if TYPE_CHECKING:
    from pathlib import Path  # loading it takes a tenth of the time that the whole package takes

T = TypeVar("T", bool, int, float, str, "Path")
Value = Union[bool, int, float, str, "Path"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_TYPES = {bool: "bool", int: "int", float: "float", str: "str", os.PathLike: "Path"}
_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_CONFIDENTIAL = re.compile(
    r"(^|_)(token|password|passphrase|secret|credentials?|(api|private)_?key)(_|$)"
)
_IN_URL = re.compile(r"(?<=://)[^/?#\s]+@")
_IN_QUERY = re.compile(
    r"([?&][^=&#\s]*(?:key|token|secret|password|passphrase|credential|auth|sig)[^=&#\s]*=)[^&#\s]+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One declared setting with the value it has; `origin` tells where the value came from."""

    name: str
    type: str
    value: Value
    default: Value
    origin: Literal["--set", "environment", "default"]
    help: str = ""
    choices: tuple[object, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    where: str | None = None

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"THALWEG_{self.name.upper()}"

    @property
    def wanted(self) -> str:
        """The type and the limits, in words."""
        if self.choices:
            return self.limits
        if self.type == "bool":
            return "true or false"
        kinds = {"int": "a whole number", "float": "a number", "str": "a text", "Path": "a path"}
        between = " " if self.limits.startswith("from") else ", "
        return kinds[self.type] + (between + self.limits if self.limits else "")

    @property
    def limits(self) -> str:
        """What the value must keep to beside its type, in words; empty where there is nothing."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        if self.minimum is not None and self.maximum is not None:
            return f"from {_number(self.minimum)} to {_number(self.maximum)}"
        if self.minimum is not None:
            return f"{_number(self.minimum)} or more"
        return "" if self.maximum is None else f"{_number(self.maximum)} or less"

    def shown(self, value: object) -> str:
        """A value of this setting as text for people, without what should stay secret."""
        if _CONFIDENTIAL.search(self.name):
            return "***" if str(value) else ""
        if isinstance(value, bool):
            return str(value).lower()
        return _IN_QUERY.sub(r"\1***", _IN_URL.sub("***@", str(value)))

    def as_dict(self) -> dict[str, object]:
        """The same as plain data, ready for JSON, without what should stay secret."""
        number = (bool, int, float)
        return {
            "name": self.name,
            "type": self.type,
            "value": self.value if isinstance(self.value, number) else self.shown(self.value),
            "default": self.default
            if isinstance(self.default, number)
            else self.shown(self.default),
            "origin": self.origin,
            "variable": self.variable,
            "help": self.help,
            "choices": [str(choice) for choice in self.choices],
            "minimum": self.minimum,
            "maximum": self.maximum,
            "where": self.where,
        }


class Settings:
    """The values given for one load of a graph file, and the settings that the file declares."""

    def __init__(
        self, given: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.given = dict(given or {})
        self.environment = os.environ if environment is None else environment
        self._declared: dict[str, Setting] = {}

    @property
    def declared(self) -> tuple[Setting, ...]:
        """What has been declared so far, in order."""
        return tuple(self._declared.values())

    def declare(self, found: Setting) -> None:
        """Note a declaration. Raises SettingError when the name is declared elsewhere too."""
        other = self._declared.get(found.name)
        if other is not None and other.where != found.where:
            raise SettingError(
                f"the setting {found.name!r} is declared at {other.where} already: "
                "declare it once and import it",
                where=found.where,
            )
        self._declared[found.name] = found

    def check(self) -> None:
        """Raise SettingError for a given name that nobody declared."""
        for name in self.given:
            if name not in self._declared:
                known = ", ".join(self._declared)
                raise SettingError(
                    f"there is no setting {name!r} (from --set {name}=…)."
                    f"{nearest(name, self._declared)} "
                    + (f"The settings are: {known}" if known else "The graph has no settings")
                )


_current: ContextVar[Settings | None] = ContextVar("thalweg_settings", default=None)


@contextmanager
def settings_from(
    given: Mapping[str, str] | None = None, *, environment: Mapping[str, str] | None = None
) -> Generator[Settings]:
    """Within this block `setting` takes its values from `given` first, and is listed.

    >>> with settings_from({"repeat": "3"}) as settings:
    ...     repeat = setting("repeat", 1000)
    >>> repeat, settings.declared[0].origin
    (3, '--set')

    Leaving it without an exception raises SettingError for a given name that nobody declared.
    `environment` stands in for the process's own, for tests.
    """
    settings = Settings(given, environment)
    token = _current.set(settings)
    try:
        yield settings
    finally:
        _current.reset(token)
    settings.check()


def setting(
    name: str,
    default: T,
    help: str = "",  # noqa: A002
    *,
    choices: Sequence[T] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> T:
    """Declare a setting of a graph file and return its value, typed by its default.

    >>> setting("max_in_flight", 8, "requests at a time", minimum=1)
    8

    The value is the one given by `--set name=value`, else the environment variable
    `THALWEG_NAME`, else `default`. A whole number may be written `150_000`; true, yes, on, 1 and
    false, no, off, 0 are truth values. `choices` lists all values allowed; `minimum` and `maximum`
    bound a number. Raises SettingError, with file and line, for a value that does not fit.
    """
    where = declared_at()
    kind = _kind(name, default, where)
    if kind not in ("int", "float") and (minimum is not None or maximum is not None):
        raise SettingError(
            f"setting {name!r}: minimum and maximum are for numbers, not {kind}", where=where
        )
    settings = _current.get() or Settings()
    declared = Setting(
        name, kind, default, default, "default", help, tuple(choices or ()), minimum, maximum, where
    )
    text = settings.given.get(name)
    value: Value
    if text is not None:
        value = _parse(declared, text, f"--set {name}={declared.shown(text)[:100]}")
        declared = replace(declared, value=value, origin="--set")
    elif (text := settings.environment.get(declared.variable)) is not None:
        value = _parse(declared, text, f"the environment variable {declared.variable}")
        declared = replace(declared, value=value, origin="environment")
    else:
        value = _fitting(declared, default, str(default), "the default")
    settings.declare(declared)
    return cast(T, value)


def _kind(name: str, default: object, where: str | None) -> str:
    if not _NAME.match(name):
        raise SettingError(
            f"{name!r} is no name for a setting: use a-z, 0-9 and '_', beginning with a letter",
            where=where,
        )
    for kind, word in _TYPES.items():
        if isinstance(default, kind):
            return word
    raise SettingError(
        f"setting {name!r}: the default gives the type, so it is a bool, int, float, str or Path, "
        f"not {type(default).__name__}",
        where=where,
    )


def _parse(declared: Setting, text: str, origin: str) -> Value:
    word = text.strip()
    value: Value
    try:
        if declared.type == "bool":
            value = _WORDS[word.lower()]
        elif declared.type == "int":
            value = int(word)
        elif declared.type == "float":
            value = float(word)
        elif declared.type == "Path":
            value = cast("type[Path]", type(declared.default))(text)
        else:
            value = text
    except (ValueError, KeyError):
        raise _wrong(declared, text, origin) from None
    return _fitting(declared, value, text, origin)


def _fitting(declared: Setting, value: Value, text: str, origin: str) -> Value:
    fits = not declared.choices or value in declared.choices
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        fits = fits and math.isfinite(value)
        fits = fits and (declared.minimum is None or value >= declared.minimum)
        fits = fits and (declared.maximum is None or value <= declared.maximum)
    if not fits:
        raise _wrong(declared, text, origin)
    return value


def _wrong(declared: Setting, text: str, origin: str) -> SettingError:
    hint = nearest(text, map(str, declared.choices)) if declared.choices else ""
    return SettingError(
        f"the setting {declared.name!r} is {declared.wanted}, "
        f"not {declared.shown(text)[:100]!r} (from {origin}).{hint}",
        where=declared.where,
    )


def _number(value: float) -> str:
    return f"{value:,}" if value != int(value) else f"{int(value):,}"
