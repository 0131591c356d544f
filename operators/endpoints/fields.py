"""Which record field feeds which model field, and what a value must be to travel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from math import isfinite
from numbers import Integral, Real
from operator import itemgetter
from typing import cast

from ...runtime.contracts import DataError, dataclass

__all__ = ["Field", "FieldMap"]

Row = tuple[object, ...]

_MOST = 2**63
_NUMBERS = frozenset((float, int, bool))
_TEXTS = frozenset((str,))


@dataclass(frozen=True, slots=True)
class Field:
    """The model field that a record field feeds, and whether the record must have it.

    >>> Field("age", mandatory=False, default=40)
    Field(name='age', mandatory=False, default=40)

    Parameters: `name`, the model's name of the field; `mandatory`, whether a record without it is
    rejected (True); `default`, what an optional field holds where the record has nothing or None
    (None, which travels as null). Raises ValueError for a default that cannot travel, or beside
    `mandatory=True`.
    """

    name: str
    mandatory: bool = True
    default: object = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a model field needs a name that is not empty")
        if self.default is None:
            return
        if self.mandatory:
            raise ValueError(
                f"model field {self.name!r} is mandatory, so its default "
                f"{self.default!r} would never be used: say mandatory=False"
            )
        try:
            carried(self.default)
        except ValueError as error:
            raise ValueError(f"the default of model field {self.name!r} {error}") from None


class FieldMap:
    """Makes the rows that travel out of records, and finds the records that cannot.

    Raises TypeError or ValueError for a mapping that names nothing, or a model field twice.
    """

    __slots__ = ("_fields", "_pick", "names")

    def __init__(self, fields: Mapping[str, str | Field]) -> None:
        if not isinstance(cast(object, fields), Mapping):
            raise TypeError(
                "fields maps record fields to model fields, as in "
                f"{{'petal_length': 'Petal.Length'}}, and is not a {type(fields).__name__}"
            )
        if not fields:
            raise ValueError("fields maps at least one record field to a model field")
        chosen: dict[str, Field] = {}
        for ours, theirs in fields.items():
            if not isinstance(cast(object, theirs), str | Field):
                raise TypeError(
                    f"fields[{ours!r}] is a model field's name or a Field, not {theirs!r}"
                )
            chosen[ours] = Field(theirs) if isinstance(theirs, str) else theirs
        self._fields = chosen
        self.names = tuple(field.name for field in chosen.values())
        """The model's field names, in the order of the values of a row."""
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"two record fields feed the model field {twice[0]!r}")
        self._pick = itemgetter(*chosen)

    def rows(
        self, records: Sequence[Mapping[str, object]], *, closely: bool = True
    ) -> tuple[list[Row], dict[int, Exception]]:
        """One row for each good record, and why each other one, by its index, cannot travel.

        Not `closely`, what adds up to a finite float passes: whoever writes it has to refuse what
        is no number.
        """
        try:
            picked = map(self._pick, records)
            rows: list[Row] = list(zip(picked)) if len(self.names) == 1 else list(picked)
            if (not closely and _adds_up(rows)) or _sound(rows):
                return rows, {}
        except Exception:
            pass  # a record may raise anything: told one by one
        return self._one_by_one(records)

    def _one_by_one(
        self, records: Sequence[Mapping[str, object]]
    ) -> tuple[list[Row], dict[int, Exception]]:
        picked: list[Row | None] = []
        for record in records:
            try:
                row = self._pick(record)
                picked.append((row,) if len(self.names) == 1 else row)
            except Exception:
                picked.append(None)
        # Most often a field is missing here and there: then only those need a closer look.
        whole = [row for row in picked if row is not None]
        if not _sound(whole):
            picked = [None] * len(records)
        rows: list[Row] = []
        rejected: dict[int, Exception] = {}
        for index, row in enumerate(picked):
            try:
                rows.append(self._row(records[index]) if row is None else row)
            except Exception as error:
                rejected[index] = error
        return rows, rejected

    def _row(self, record: Mapping[str, object]) -> Row:
        row: list[object] = []
        if not isinstance(cast(object, record), Mapping):
            raise DataError(f"a record to score is a mapping, not a {type(record).__name__}")
        for ours, field in self._fields.items():
            value = record.get(ours)
            if value is None:
                if field.mandatory:
                    what = "is None" if ours in record else "is missing"
                    raise DataError(f"field {ours!r} (model field {field.name!r}) {what}")
                row.append(field.default)
                continue
            try:
                row.append(value if type(value) is str and value.isascii() else carried(value))
            except ValueError as error:
                raise DataError(f"field {ours!r} (model field {field.name!r}) {error}") from None
        return tuple(row)


def _adds_up(rows: Sequence[Row]) -> bool:
    """Whether the sum of all values is a finite float: told in a third of the time of `_sound`.

    No text, None, NaN, infinity, complex or Decimal passes, nor an integer that no float holds;
    a Fraction does, or integers beyond 64 bits that cancel out.
    """
    try:
        total = sum(cast("Iterable[float]", chain.from_iterable(rows)))
    except Exception:  # text and None by themselves, and whatever an object's own addition raises
        return False
    return type(total) is float and isfinite(total) and abs(total) < _MOST


def _sound(rows: Sequence[Row]) -> bool:
    """Whether all values may travel, by column, since that is nearly free for good rows.

    A NaN or an infinity spoils the sum of its column, and a long integer that of its magnitudes.
    """
    for column in zip(*rows, strict=True):
        types = list(map(type, column))
        if types.count(float) == len(types):
            if not isfinite(sum(cast("tuple[float, ...]", column))):
                return False
            continue
        kinds = set(types)
        if kinds <= _NUMBERS:
            try:
                # Not the sum: long integers cancel out.
                if not sum(map(abs, cast("tuple[float, ...]", column))) < _MOST:
                    return False
            except OverflowError:  # an integer that no float holds, beside floats
                return False
        elif not kinds <= _TEXTS:
            return False
    return True


def carried(value: object) -> str | bool | int | float:
    """The value as a JSON text, boolean or number; ValueError says why it cannot be one."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("is text that is not valid Unicode") from None
        return str.__str__(value)
    if isinstance(value, Integral):
        whole = int(value)
        if not -_MOST <= whole < _MOST:
            raise ValueError("is an integer beyond 64 bits")
        return whole
    if isinstance(value, Real | Decimal):
        number = float(value)
        if not isfinite(number):
            raise ValueError(f"is {number}, which is no number to send")
        return number
    raise ValueError(f"is a {type(value).__name__}, which is neither number, text nor boolean")
