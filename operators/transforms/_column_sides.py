"""The two sides of a join of columns: how they are told apart, and what their rows become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...runtime.contracts import ColumnOperator, Columns, MisconfiguredError, arrow
from ._joined import LEFT

if TYPE_CHECKING:
    from ...runtime.contracts import Stream

__all__ = ["Beside", "ColumnSide", "one_of_both", "side_of"]

_SIDE, _NAMES = b"side", {LEFT: b"left", 1 - LEFT: b"right"}


class ColumnSide(ColumnOperator):
    """Says of columns from which side of a join they come; the rows stay as they are."""

    row_by_row = True

    def __init__(self, side: int) -> None:
        self._side = side

    def __repr__(self) -> str:
        return f"{_NAMES[self._side].decode()} side"

    def asks_for(self, below: frozenset[str] | None) -> frozenset[str] | None:
        """What is asked for below."""
        return below

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        """The same columns; it is their schema that is told more of."""
        told: dict[bytes, bytes] = dict(columns.table.schema.metadata or {})
        told[_SIDE] = _NAMES[self._side]
        return [Columns(columns.table.replace_schema_metadata(told))]


def side_of(table: Any) -> int:
    """From which side these columns come."""
    return LEFT if table.schema.metadata[_SIDE] == _NAMES[LEFT] else 1 - LEFT


def one_of_both(name: str, left: Stream[Any], right: Stream[Any]) -> Stream[Any]:
    """The columns of both streams in one, each with its side."""
    one: Stream[Any] = left.via(f"{name}.left", ColumnSide(LEFT))
    other: Stream[Any] = right.via(f"{name}.right", ColumnSide(1 - LEFT))
    return one.union(other)


class Beside:
    """Puts rows of both sides beside each other: the left columns, then the right without keys.

    Which columns a side has is remembered, since rows that nothing matched have NULL in those of
    the other side. The columns of a side of which nothing has come yet are not there.
    """

    def __init__(self, on: Mapping[str, str], prefix: str) -> None:
        self._on, self._prefix = dict(on), prefix
        self._schemas: dict[int, Any] = {}

    def note(self, side: int, table: Any) -> None:
        """The columns of a side. Raises MisconfiguredError where one of the keys is not among them,
        or where the names of both sides would meet.
        """
        pa, schema = arrow(), table.schema
        if self._schemas.get(side) == schema:
            return
        for key in self._on if side == LEFT else self._on.values():
            if key not in schema.names:
                raise MisconfiguredError(
                    f"the join asks for the column {key!r} on its {_NAMES[side].decode()} side, "
                    f"which has {schema.names}"
                )
            kind = schema.field(key).type
            if pa.types.is_nested(kind):
                raise MisconfiguredError(
                    f"the {_NAMES[side].decode()} side of the join has {kind} in {key!r}, and "
                    "plain values are joined by: take a part of it out above, as by derive"
                )
        known = self._schemas.get(side)
        if known is not None:
            schema = pa.unify_schemas([known, schema], promote_options="permissive")
        self._schemas = self._checked({**self._schemas, side: schema})

    def _checked(self, schemas: dict[int, Any]) -> dict[int, Any]:
        if len(schemas) < 2:
            return schemas
        left, right = schemas[LEFT], schemas[1 - LEFT]
        for name, _ in self._told(right):
            if name in left.names:
                raise MisconfiguredError(
                    f"the left side of the join has a column {name!r}, and one of the right side "
                    f"becomes that: say another prefix= than {self._prefix!r}"
                )
        for one, other in self._on.items():
            kinds = left.field(one).type, right.field(other).type
            families = {_family(kind) for kind in kinds} - {"null"}
            if len(families) > 1:
                raise MisconfiguredError(
                    f"the left side of the join has {kinds[0]} in {one!r}, and the right one "
                    f"{kinds[1]} in {other!r}, which are never equal: make them alike above it"
                )
        return schemas

    def _told(self, right: Any) -> list[tuple[str, Any]]:
        """The columns of the right side that are told, and of which types they are."""
        keys = set(self._on.values())
        return [(f"{self._prefix}{one.name}", one.type) for one in right if one.name not in keys]

    def table(self, left: Any, right: Any) -> Any:
        """One table of two of as many rows; None is a side of which no row is there.

        The keys are those of the left, or of the right where it is alone.
        """
        pa = arrow()
        one: Any = right if left is None else left
        count = one.num_rows
        found: dict[str, Any] = {}
        if left is not None:
            found = dict(zip(left.schema.names, left.columns, strict=True))
        else:
            for field in self._schemas.get(LEFT, ()):
                found[field.name] = pa.nulls(count, field.type)
            for key, other in self._on.items():
                found[key] = one.column(other)
        if 1 - LEFT in self._schemas:
            for name, kind in self._told(self._schemas[1 - LEFT]):
                own = name[len(self._prefix) :]
                if right is not None and own in right.schema.names:
                    found[name] = right.column(own)
                else:
                    found[name] = pa.nulls(count, kind)
        return pa.table(found)

    def snapshot(self) -> dict[int, bytes]:
        """The columns of each side, as bytes."""
        return {side: schema.serialize().to_pybytes() for side, schema in self._schemas.items()}

    def restore(self, saved: Mapping[int, bytes]) -> None:
        """Remember these."""
        pa = arrow()
        self._schemas = {
            side: pa.ipc.read_schema(pa.py_buffer(data)) for side, data in saved.items()
        }


def _family(kind: Any) -> str:
    """What a type can be equal to."""
    types = arrow().types
    if types.is_dictionary(kind):
        return _family(kind.value_type)
    if types.is_integer(kind) or types.is_floating(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    if types.is_binary(kind) or types.is_large_binary(kind):
        return "bytes"
    return "time" if types.is_timestamp(kind) else str(kind)
