"""Expressions in SQL over the columns of a stream: checked where they are written, and harmless."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from ...runtime.contracts import Columns, DataError, MisconfiguredError, MissingExtra

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Evaluation", "columns_of"]

_ROWS = "rows"
_TOLD = 250
"""Bad rows, of different values, that are found in one go: that takes up to a second."""

_PLAIN = {"where_clause", "having", "qualify", "sample"}


def columns_of(expression: str, what: str) -> frozenset[str]:
    """The columns that an expression asks for. Raises ValueError for what is no expression.

    >>> sorted(columns_of("x * x + y > 3 and word like 'a%'", "the condition"))
    ['word', 'x', 'y']
    """
    if not isinstance(cast("object", expression), str) or not expression.strip():
        raise TypeError(f"{what} is an expression in SQL, as text, not {expression!r}")
    link = _database()
    try:
        statement = f"select {expression}\n from {_ROWS}"
        (answer,) = cast(
            "tuple[str]", link.execute("select json_serialize_sql(?)", [statement]).fetchone()
        )
    finally:
        link.close()
    parsed: Any = json.loads(answer)
    if parsed.get("error"):
        told = parsed.get("error_message")
        raise ValueError(f"{what} is no expression in SQL: {told}: {expression!r}")
    statements: list[Any] = parsed["statements"]
    node = statements[0]["node"]
    single = (
        len(statements) == 1
        and node["type"] == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["from_table"].get("table_name") == _ROWS
        and not node["modifiers"]
        and not node["group_expressions"]
        and not any(node.get(part) for part in _PLAIN)
    )
    if not single:
        raise ValueError(f"{what} is one expression, without a query around it: {expression!r}")
    names = set[str]()
    for part in _parts(node["select_list"][0]):
        kind = part.get("class")
        if kind == "POSITIONAL_REFERENCE":
            raise ValueError(
                f"{what} calls columns by their names, not by a number: {expression!r}"
            )
        if kind in ("SUBQUERY", "STAR", "WINDOW"):
            raise ValueError(
                f"{what} is worked out for each row alone, so it has no "
                f"{str(kind).lower()} in it: {expression!r}"
            )
        if kind == "FUNCTION" and part["function_name"] in _of_many_rows():
            raise ValueError(
                f"{what} is worked out for each row alone, and {part['function_name']} takes or "
                f"makes several: {expression!r}. Of several rows group_by tells sums and the like"
            )
        if kind == "COLUMN_REF":
            path: list[str] = part["column_names"]
            names.add(path[1] if path[0] == _ROWS and len(path) > 1 else path[0])
    return frozenset(names)


def _parts(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every part of a parsed expression."""
    left = [tree]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            found = cast("dict[str, Any]", one)
            yield found
            left += found.values()
        elif isinstance(one, list):
            left += one


@cache
def _of_many_rows() -> frozenset[str]:
    """The functions that make one value of many rows, or many rows of one."""
    link = _database()
    try:
        found = link.execute(
            "select function_name from duckdb_functions() group by all "
            "having bool_and(function_type = 'aggregate')"
        ).fetchall()
    finally:
        link.close()
    return frozenset(str(name) for (name,) in found) | {"unnest"}


class Evaluation:
    """Works out one query over columns, in a database that reaches no file and no network.

    `expressions` are what may fail in it for a row, and `asked` the columns that they look at.
    """

    def __init__(self, query: str, expressions: Collection[str], asked: Collection[str]) -> None:
        self._query = query
        null = " or ".join(f"try({one}\n) is null" for one in expressions)
        self._doubtful = f"select {null} from {_ROWS}"
        self._looked_at = {name.lower() for name in asked}
        self._link = _database()

    def of(self, columns: Columns) -> Columns:
        """What the query makes of these rows, in their order. Raises DataError, naming bad rows."""
        try:
            return Columns(self._answer(self._query, columns.table))
        except DataError as error:
            raise DataError(*error.args, rows=self._bad(columns.table)) from None

    def close(self) -> None:
        """Let the database go."""
        self._link.close()

    def _bad(self, table: Any) -> dict[int, Exception]:
        """Bad rows and why they are, as many as a job that is cancelled can wait for.

        The database says why of a single row, which takes it as long as thousands of good ones: so
        only those are asked of which nothing comes, and the same values once. They are asked by the
        query itself: of `a and b` a condition leaves out b where a is false, and a column does not.
        """
        alike = self._alike(table)
        several = list(alike.values())
        found: dict[int, Exception] = {}
        left, refused = [several], 0
        while left and refused < _TOLD:
            some = left.pop()
            rows = table.take([places[0] for places in some])
            try:
                self._answer(self._query, rows)
            except DataError as error:
                if len(some) == 1:
                    found |= dict.fromkeys(some[0], error)
                    refused += 1
                else:
                    middle = len(some) // 2
                    left += [some[middle:], some[:middle]]
        return found

    def _alike(self, table: Any) -> dict[str, list[int]]:
        """Where rows stand that may be bad, by what the expressions look at in them."""
        doubtful = list(range(table.num_rows))
        try:
            (null,) = self._answer(self._doubtful, table).columns
            doubtful = [at for at, one in enumerate(null.to_pylist()) if one]
        except MisconfiguredError:
            # As with random(), which cannot be tried, and says another thing of the same values.
            return {str(at): [at] for at in doubtful}
        except DataError:
            pass
        names = list(table.schema.names)
        if self._looked_at.issubset(map(str.lower, names)):  # Else something stands for a column.
            names = [name for name in names if name.lower() in self._looked_at]
        if not names:
            return {"": doubtful} if doubtful else {}
        alike: dict[str, list[int]] = {}
        for at, row in zip(doubtful, Columns(table.select(names)).take(doubtful), strict=True):
            alike.setdefault(repr(row), []).append(at)
        return alike

    def _answer(self, query: str, table: Any) -> Any:
        import duckdb

        link = self._link
        link.register(_ROWS, table)
        try:
            return link.sql(query).to_arrow_table()
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise MisconfiguredError(
                f"{str(error).splitlines()[0]}; there are the columns {table.schema.names}"
            ) from None
        except (duckdb.DataError, duckdb.InvalidInputException) as error:
            raise DataError(str(error).splitlines()[0]) from None
        except duckdb.NotImplementedException as error:
            raise DataError(
                f"SQL does not know one of the types {table.schema.types}: "
                f"{str(error).splitlines()[0]}"
            ) from None
        finally:
            link.unregister(_ROWS)


def _database() -> DuckDBPyConnection:
    try:
        import duckdb
    except ImportError:
        raise MissingExtra("an expression in SQL", "sql") from None
    link = duckdb.connect(
        config={
            "threads": 1,
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        }
    )
    link.execute("set lock_configuration = true")
    return link
