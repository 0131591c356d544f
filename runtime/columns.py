"""Columns: many rows at once, as Apache Arrow holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from threading import Lock
from time import thread_time
from typing import Any, TypeVar, cast, overload

from .errors import MisconfiguredError, MissingExtra

__all__ = ["Columns", "Late", "Row", "Unread", "arrow", "values_in"]

T = TypeVar("T")

Row = dict[str, object]
"""A record that was a row of columns: its values by name."""


def arrow() -> Any:
    """The module pyarrow, which carries no types. Raises MissingExtra without it."""
    try:
        import pyarrow
    except ImportError:
        raise MissingExtra("a stream of columns", "sql") from None
    return pyarrow


class Columns(Sequence[Row]):
    """Rows that stand in columns, around a `pyarrow.Table` or `RecordBatch`.

    The runtime asks only for the number of rows, for stretches of them, and for their size; none
    of it copies a value. Whoever wants single rows gets a dict for each, which is what columns
    avoid.

    >>> import pyarrow
    >>> three = Columns(pyarrow.table({"word": ["a", "b", "c"], "n": [1, 2, None]}))
    >>> len(three), three[1:].rows()
    (3, [{'word': 'b', 'n': 2}, {'word': 'c', 'n': None}])
    """

    __slots__ = ("_count", "_made", "_size", "_table", "took")

    def __init__(self, table: Any) -> None:
        self._table = table
        self._count: int = table.num_rows
        self._size = -1
        self._made: dict[object, _Once] | None = None
        self.took = 0.0
        """The seconds that a processor worked for what `once` made, whoever asked first."""

    def __len__(self) -> int:
        return self._count

    def __reduce__(self) -> tuple[type[Columns], tuple[Any]]:
        """What was made of them stays behind."""
        return type(self), (self.table,)

    def __repr__(self) -> str:
        return f"<Columns of {self._count:,} rows: {', '.join(self.names)}>"

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Columns: ...
    def __getitem__(self, index: int | slice) -> Row | Columns:
        """A row, or a stretch of rows that shares their memory."""
        if isinstance(index, slice):
            start, stop, step = index.indices(self._count)
            if step != 1:
                raise ValueError("columns are cut in stretches: use take for anything else")
            return Columns(self.table.slice(start, max(0, stop - start)))
        if not -self._count <= index < self._count:
            raise IndexError("no row of the columns stands there")
        return self[index % self._count : index % self._count + 1].rows()[0]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows())

    @property
    def table(self) -> Any:
        """The `pyarrow.Table` or `RecordBatch` that holds them."""
        return self._table

    @property
    def schema(self) -> Any:
        """The names and types of the columns, as a `pyarrow.Schema`."""
        return self._table.schema

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.schema.names)

    @property
    def size(self) -> int:
        """How many bytes the values take."""
        if self._size < 0:
            self._size = int(self.table.nbytes)
        return self._size

    def take(self, indices: Sequence[int]) -> Columns:
        """The rows at `indices`, copied."""
        return Columns(self.table.take(arrow().array(indices, type=arrow().int64())))

    def rows(self) -> list[Row]:
        """A dict for each row: slow, compared with anything that is done to columns."""
        names = self.names
        values = [values_in(self.table.column(at)) for at in range(len(names))]
        if not names:
            return [{} for _ in range(self._count)]
        return list(map(dict, map(zip, repeat(names), zip(*values, strict=True))))

    def once(self, key: object, make: Callable[[], T]) -> T:
        """What `make` makes of these columns, made once for all who are given them and say `key`.

        Columns that several operators read are the same for each. One that asks while another, in
        its thread, still makes it, waits. What `make` raises is raised here, and made again.
        """
        if self._made is None:
            self._made = {}  # Two may do so at once: then it is made twice.
        held = self._made.setdefault(key, _Once())
        with held.lock:
            if not held.made:
                began = thread_time()
                held.value, held.made = make(), True
                self.took += thread_time() - began
        return cast("T", held.value)

    def has(self, key: object) -> bool:
        """Whether what `once` would make for `key` is there."""
        held = None if self._made is None else self._made.get(key)
        return held is not None and held.made

    def put(self, key: object, value: object) -> None:
        """Say beforehand what `once` would make for `key`, before anybody else has the columns."""
        if self._made is None:
            self._made = {}
        held = self._made[key] = _Once()
        held.value, held.made = value, True

    @staticmethod
    def join(several: Sequence[Columns]) -> Columns:
        """One after the other, nothing copied; what one of them lacks is null there."""
        if len(several) == 1:
            return several[0]
        pa = arrow()
        tables = [
            pa.Table.from_batches([one.table])
            if isinstance(one.table, pa.RecordBatch)
            else one.table
            for one in several
        ]
        return Columns(pa.concat_tables(tables, promote_options="permissive"))


class Late(Columns):
    """Rows that came too late to be counted: an operator hands them over among its results.

    They go to its `late` port, or are counted and dropped where that goes nowhere.

    >>> import pyarrow
    >>> len(Late(pyarrow.table({"at": [1, 2]})))
    2
    """

    __slots__ = ()


class Unread(Columns):
    """Rows that are counted and known to fit, and are read when somebody looks at one.

    A source hands them over where all who read it make the same of its columns, and it has made
    that itself (`Source.digest`): then nobody looks. `read` gives the table, of `count` rows in
    the columns of `schema`.

    >>> import pyarrow
    >>> table = pyarrow.table({"n": [3, 4]})
    >>> unread = Unread(2, table.schema, lambda: print("reading") or table)
    >>> len(unread), unread.names
    (2, ('n',))
    >>> unread[1]
    reading
    {'n': 4}
    """

    __slots__ = ("_lock", "_read", "_schema")

    def __init__(self, count: int, schema: Any, read: Callable[[], Any]) -> None:
        self._table = None
        self._count = count
        self._size = 0  # Nothing of them is in memory.
        self._made = None
        self.took = 0.0
        self._schema = schema
        self._read = read
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Columns], tuple[Any]]:
        """Who gets them elsewhere cannot read them there."""
        return Columns, (self.table,)

    @property
    def table(self) -> Any:
        """The rows, read by whoever asks first."""
        with self._lock:
            if self._table is None:
                self._table = self._read()
        return self._table

    @property
    def schema(self) -> Any:
        """The names and types of the columns, for which no row is read."""
        return self._schema


class _Once:
    """Something that is made once."""

    __slots__ = ("lock", "made", "value")

    def __init__(self) -> None:
        self.lock = Lock()
        self.made = False
        self.value: object = None


def values_in(column: Any) -> list[object]:
    """The values of one column; times in microseconds, since Python has none in nanoseconds.

    A date or time that Python does not have, such as one in the year 10000, is text. Numbers
    without a null are read from memory as they stand.
    """
    if "[ns" in str(column.type):
        column = column.cast(_without_nanoseconds(column.type), safe=False)
    chunks = column.chunks if hasattr(column, "chunks") else [column]
    values: list[object] = []
    for chunk in chunks:
        code = _PLAIN.get(str(chunk.type))
        if code is None or chunk.null_count:
            try:
                values += chunk.to_pylist()
            except (OverflowError, ValueError):
                values += map(_value_or_text, chunk)
        elif len(chunk):
            whole: Any = memoryview(chunk.buffers()[1]).cast("B")
            values += whole.cast(code)[chunk.offset : chunk.offset + len(chunk)].tolist()
    return values


def _value_or_text(scalar: Any) -> object:
    """A value, or the text of a date or time that Python does not have."""
    try:
        return scalar.as_py()
    except (OverflowError, ValueError) as error:
        pa, count = arrow(), getattr(scalar, "value", None)
        if not isinstance(count, int):
            raise MisconfiguredError(
                f"a {scalar.type} holds a date or time that Python does not have ({error}): take "
                "it out above as text, as by derive with a cast to varchar"
            ) from None
        most = _INFINITE.get(type(scalar).__name__)
        if most is not None and abs(count) == most:
            return "infinity" if count > 0 else "-infinity"
        kind = scalar.type
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            return f"{pa.scalar(count, pa.timestamp(kind.unit)).cast(pa.string()).as_py()}+00:00"
        return scalar.cast(pa.string()).as_py()


def _without_nanoseconds(kind: Any) -> Any:
    pa = arrow()
    types = pa.types
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if types.is_time64(kind) or types.is_duration(kind):
        return pa.time64("us") if types.is_time64(kind) else pa.duration("us")
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return pa.struct([(one.name, _without_nanoseconds(one.type)) for one in fields])
    if types.is_map(kind):
        return pa.map_(*map(_without_nanoseconds, (kind.key_type, kind.item_type)))
    if types.is_dictionary(kind):
        return _without_nanoseconds(kind.value_type)
    if types.is_fixed_size_list(kind):
        return pa.list_(_without_nanoseconds(kind.value_type), kind.list_size)
    if types.is_list(kind) or types.is_large_list(kind):
        made = pa.list_ if types.is_list(kind) else pa.large_list
        return made(_without_nanoseconds(kind.value_type))
    return kind


_INFINITE = {"Date32Scalar": 2**31 - 1, "TimestampScalar": 2**63 - 1}
"""What DuckDB has for a time that never comes."""

_PLAIN: dict[str, Any] = {
    "int64": "q",
    "int32": "i",
    "int16": "h",
    "int8": "b",
    "uint64": "Q",
    "uint32": "I",
    "uint16": "H",
    "uint8": "B",
    "double": "d",
    "float": "f",
}
"""How Python reads the numbers of each type of Arrow."""
