"""Rows for a table of a job, whose columns are held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...runtime.contracts import Columns, DataError, MisconfiguredError, arrow
from ._arrow_rows import ArrowRows, schema_of_kinds, schema_of_records
from ._rows import why_no_row
from ._tables import TableOptions

__all__ = ["TableRows"]


class TableRows:
    """Makes rows of records and of columns fit a table.

    With `held`, columns that come later are added to those that are known, and their types made
    wide enough for both where Arrow can do that without loss; else each result has its own.
    """

    def __init__(self, options: TableOptions, *, held: bool) -> None:
        self._options = options
        self._held = held
        self._schema: Any = None
        self._records: ArrowRows | None = None
        self._shown: Any = None
        self._unknown = False
        """Whether there are columns that only ever were NULL."""
        if options.kinds:
            self._schema = self._shown = schema_of_kinds(options.kinds)
            self._records = ArrowRows(self._schema, named=True, option="columns")

    @property
    def empty(self) -> Columns | None:
        """The columns without a row, where they are known before anything comes."""
        return None if self._schema is None else Columns(self._schema.empty_table())

    def of(self, records: Sequence[object]) -> tuple[Columns, dict[int, Exception]]:
        """The rows of the good records, and the errors of the others."""
        if self._records is None or self._unknown:
            schema = self._schema_for(records)
            if schema is None:
                return Columns(arrow().table({})), dict(enumerate(map(why_no_row, records)))
            self._records = ArrowRows(schema, named=False, option="columns")
        table, rejected = self._records.of(records)
        columns = Columns(table)
        return (self.fitted(columns) if len(columns) else columns), rejected

    def _schema_for(self, records: Sequence[object]) -> Any:
        """What is held, with the types that these records tell of columns that only were NULL."""
        pa, held = arrow(), self._schema
        found = schema_of_records(records, unknown=pa.null())
        if held is None or found is None:
            return found if held is None else held
        told = {one.name: one.type for one in found}
        kinds = {one.name: one.type for one in held}
        if self._records is None:
            kinds = told | kinds  # After a restart: what only was NULL is in no file.
        return pa.schema(
            [
                (name, told.get(name, kind) if pa.types.is_null(kind) else kind)
                for name, kind in kinds.items()
            ]
        )

    def fitted(self, columns: Columns) -> Columns:
        """Columns as the table has them. Raises DataError where they do not go together."""
        names = columns.names
        for name in self._options.key:
            if name not in names:
                raise MisconfiguredError(
                    f"the stream has no column {name!r}, which is part of the key of the table "
                    f"{self._options.table[0]!r}; it has {', '.join(names) or 'none'}"
                )
        columns = self._narrowed(columns)
        schema = columns.table.schema
        if not self._held or (self._shown is not None and schema.equals(self._shown)):
            return columns
        self.learn(columns)
        return self._as_held(columns)

    def _narrowed(self, columns: Columns) -> Columns:
        """Without decimals of 256 bits, which the database does not know. Raises DataError."""
        pa, table = arrow(), columns.table
        for at, one in enumerate(table.schema):
            if "decimal256" in str(one.type):  # Also inside of lists and objects.
                try:
                    if pa.types.is_nested(one.type):
                        raise pa.ArrowInvalid(one.type)
                    narrow = table.column(at).cast(pa.decimal128(38, one.type.scale))
                except pa.ArrowInvalid:
                    raise DataError(
                        f"the table {self._options.table[0]!r} does not take it: in the column "
                        f"{one.name!r} there is a number of more than 38 digits, and SQL knows "
                        "none; make it a fraction above, as by derive with a cast to double"
                    ) from None
                table = table.set_column(at, one.name, narrow)
        return columns if table is columns.table else Columns(table)

    def learn(self, columns: Columns) -> None:
        """These columns stand in the table. Raises DataError where they cannot."""
        pa = arrow()
        schema = columns.table.schema.remove_metadata()
        schema = pa.schema([(one.name, _plain(one.type)) for one in schema])
        if self._schema is None:
            self._hold(schema)
            return
        if self._options.kinds:
            return
        try:
            found = pa.unify_schemas([self._schema, schema], promote_options="permissive")
        except pa.ArrowException as error:
            raise DataError(
                f"the table {self._options.table[0]!r} does not take it: {error}"
            ) from None
        if self._records is not None and not found.equals(self._schema):
            self._records = ArrowRows(found, named=False, option="columns")
        self._hold(found)

    def _hold(self, schema: Any) -> None:
        """A column that only ever was NULL is none of the table yet: its type is not known."""
        pa = arrow()
        self._schema = schema
        null = [one.name for one in schema if pa.types.is_null(one.type)]
        self._unknown = bool(null)
        left = [one for one in schema if one.name not in null or one.name in self._options.key]
        left = left or list(schema)[:1]  # A row has a column, though all that came was NULL.
        kinds = [(one.name, pa.string() if one.name in null else one.type) for one in left]
        self._shown = pa.schema(kinds)

    def _as_held(self, columns: Columns) -> Columns:
        pa, table = arrow(), columns.table
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        if table.schema.equals(self._shown):
            return Columns(table)
        found: list[Any] = []
        try:
            for one in self._shown:
                if one.name in table.schema.names:
                    found.append(table.column(one.name).cast(one.type))
                else:
                    found.append(pa.nulls(table.num_rows, one.type))
        except pa.ArrowException as error:
            raise DataError(
                f"the table {self._options.table[0]!r} does not take it: {error}"
            ) from None
        return Columns(pa.Table.from_arrays(found, schema=self._shown))


def _plain(kind: Any) -> Any:
    """The type of a column of the table: a dictionary is what it is of."""
    types = arrow().types
    return kind.value_type if types.is_dictionary(kind) else kind
