"""The columns of files and their types: given, or seen in a sample, and then held."""

from __future__ import annotations

import datetime as dt
import decimal
import glob
import os
import re
from collections.abc import Mapping
from typing import Literal, cast

from ...runtime.contracts import MisconfiguredError
from ._engine import Broken, Link

__all__ = [
    "FORMATS",
    "PLAIN",
    "Format",
    "Schema",
    "checked_schema",
    "described",
    "in_python",
    "is_known",
    "known_types",
    "lacking",
    "narrowed",
    "quoted",
    "reader",
    "schema_text",
    "text",
]

Format = Literal["ndjson", "csv", "parquet"]
"""What the files are."""

FORMATS = ("ndjson", "csv", "parquet")

Schema = dict[str, str]
"""The type of each column by name, as DuckDB writes types."""

_TYPE = re.compile(
    r"[A-Za-z][A-Za-z0-9_ ]*(\((?:[\w\s,()\[\]]|\"(?:[^\"]|\"\")+\")+\))?(\[\d*\])*\Z"
)
_OF_PYTHON: dict[type, str] = {
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    str: "VARCHAR",
    bytes: "BLOB",
    dt.datetime: "TIMESTAMP WITH TIME ZONE",
    dt.date: "DATE",
    dt.time: "TIME",
    decimal.Decimal: "DECIMAL(38,9)",
}
PLAIN = frozenset(
    {
        *_OF_PYTHON.values(),
        *("TINYINT", "SMALLINT", "INTEGER", "HUGEINT", "FLOAT", "TIMESTAMP", "UUID"),
        *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
    }
)
"""Types that DuckDB calls by these very names."""

_OBJECT = 4 << 20
"""Bytes that one row of NDJSON may take."""

_HUGE = re.compile(r"(?<![\w\"'])HUGEINT(?=[\[\],)]|\Z)")


def checked_schema(schema: Mapping[str, str | type] | None) -> Schema | None:
    """The schema with types as text. Raises ValueError and TypeError for what is none."""
    if schema is None:
        return None
    if not isinstance(cast("object", schema), Mapping) or not schema:
        raise TypeError(
            f"schema is a dict of types by column, such as {{'n': int}}, not {schema!r}"
        )
    found: Schema = {}
    alike: dict[str, str] = {}
    for name, kind in schema.items():
        if alike.setdefault(str(name).lower(), name) != name:
            raise ValueError(
                f"the columns {alike[name.lower()]!r} and {name!r} differ only in case: "
                "names of columns do not, so leave one out"
            )
        if "\0" in str(name):
            raise ValueError(f"the name of a column has no NUL in it, as {name!r} has")
        text = _OF_PYTHON.get(kind, "") if isinstance(kind, type) else kind
        if not isinstance(cast("object", text), str) or not _TYPE.match(text):
            known = ", ".join(one.__name__ for one in _OF_PYTHON)
            raise ValueError(
                f"the type of column {name!r} is one of {known}, or what DuckDB calls a type, "
                f"such as 'BIGINT' or 'DOUBLE[]', not {kind!r}"
            )
        found[name] = text
    return found


def schema_text(schema: Schema) -> str:
    """The schema in a form to paste into a graph.

    >>> print(schema_text({"n": "BIGINT", "word": "VARCHAR"}))
    schema={
        "n": "BIGINT",
        "word": "VARCHAR",
    }
    """
    lines = [f"    {in_python(name)}: {in_python(kind)}," for name, kind in schema.items()]
    return "\n".join(["schema={", *lines, "}"])


def in_python(text: str) -> str:
    """Text as Python reads it back, in double quotes where that is simple."""
    plain = '"' not in text and "\\" not in text and text.isprintable()
    return f'"{text}"' if plain else repr(text)


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def reader(
    path: str, kind: Literal["ndjson", "parquet"], schema: Schema | None, *, bad: bool = False,
    sample: int = 1,
) -> str:  # fmt: skip
    """What reads such a file, in SQL: by a schema, with `bad` rows as nulls, or to see a schema."""
    name = text(glob.escape(os.path.abspath(path)))
    if kind == "parquet":
        return f"read_parquet([{name}])"
    pairs = ", ".join(f"{text(n)}: {text(t)}" for n, t in (schema or {}).items())
    # Many columns of one type are columns all the same, and no map.
    # A line that is no object would otherwise make each line of the file the value of one column.
    held = f", columns={{{pairs}}}, records=true" if schema else f", sample_size={sample}"
    held += "" if schema else ", map_inference_threshold=-1, field_appearance_threshold=0"
    held += ", ignore_errors=true" if bad else ""
    held += ", format='newline_delimited', compression='uncompressed'"
    held += f", maximum_object_size={_OBJECT}"
    return f"read_json([{name}]{held})"


def described(link: Link, reading: str) -> Schema:
    """The columns that are read, as DuckDB sees them; whole numbers in 64 bits where they fit."""
    rows = link.rows(f"describe select * from {reading}")
    found = {str(row[0]): "VARCHAR" if row[1] == '"NULL"' else str(row[1]) for row in rows}
    return found | _narrower(link, reading, found)


def narrowed(kind: str) -> str:
    """The type with 64 bits in the place of 128.

    >>> narrowed("HUGEINT[]"), narrowed("BIGINT")
    ('BIGINT[]', 'BIGINT')
    """
    return _HUGE.sub("BIGINT", kind)


def _narrower(link: Link, reading: str, schema: Schema) -> Schema:
    """The columns of 128 bits that need but 64.

    To DuckDB 1 has no sign and -1 has one, and what holds both is HUGEINT, however small they are.
    """
    narrow = {name: narrowed(kind) for name, kind in schema.items()}
    narrow = {name: kind for name, kind in narrow.items() if kind != schema[name]}
    found: Schema = {}
    for name, kind in narrow.items():
        column = quoted(name)
        try:
            ((values, _),) = link.rows(
                f"select count({column}), max(hash(cast({column} as {kind}))) from {reading}"
            )
        except Broken:
            continue  # It holds numbers that are as large.
        if values:
            found[name] = kind
    return found


def lacking(asked: frozenset[str], schema: Schema) -> str | None:
    """What to say of columns that a graph asks for and files do not have.

    >>> lacking(frozenset({"n"}), {"n": "BIGINT"})
    >>> lacking(frozenset({"nn"}), {"n": "BIGINT"})
    "the graph asks for the columns ['nn'], and the files have ['n']."
    """
    missing = sorted(asked - schema.keys())
    if not missing:
        return None
    told = f"the graph asks for the columns {missing}, and the files have {list(schema)}."
    for name in missing:
        whole, _, part = name.partition(".")
        if part and whole in schema:
            told += f" {name!r} is a part of {whole!r}: take it out above, as by "
            told += f"derive({part.rpartition('.')[2]}={name!r})."
    return told


def is_known(schema: Schema) -> bool:
    """Whether all types are already called as DuckDB calls them, and most often it is so.

    >>> is_known({"n": "BIGINT", "word": "VARCHAR"}), is_known({"n": "int8"})
    (True, False)
    """
    return PLAIN.issuperset(schema.values())


def known_types(link: Link, schema: Schema) -> Schema:
    """The schema with types as DuckDB calls them: of `int` or `text`, BIGINT and VARCHAR.

    Raises MisconfiguredError for a type that there is not.
    """
    try:
        # All at once, and each of them alone only to say which of them there is not.
        kinds = list(dict.fromkeys(schema.values()))
        casts = ", ".join(f"cast(null as {kind}) as c{at}" for at, kind in enumerate(kinds))
        known = dict(zip(kinds, described(link, f"(select {casts})").values(), strict=True))
        found = {name: known[kind] for name, kind in schema.items()}
    except Broken:
        for name, kind in schema.items():
            try:
                described(link, f"(select cast(null as {kind}) as one)")
            except Broken as error:
                raise MisconfiguredError(f"the type of column {name!r}: {error}") from None
        raise
    for name, kind in found.items():
        if "UHUGEINT" in kind:
            raise MisconfiguredError(
                f"the type of column {name!r}: Arrow has none as wide as UHUGEINT, so say HUGEINT "
                "for whole numbers of up to 128 bits with their sign, or VARCHAR"
            )
    return found
