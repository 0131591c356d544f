"""Tables: names, columns and the statements that write to them, in the SQL that all speak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from ...runtime.contracts import dataclass
from ._rows import Kind, is_name

__all__ = ["EPOCHS", "TableOptions", "checked_names", "insert", "quoted"]

EPOCHS = "thalweg_epochs"
"""The table that tells which epoch of which node is committed, and which copy of the job wrote."""


def quoted(*names: str) -> str:
    """An identifier as SQL, whatever is in it; several are joined by dots."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What a user says of a table: checked, and the same for every database."""

    table: tuple[str, ...]
    columns: tuple[str, ...] | None
    kinds: Mapping[str, Kind]
    key: tuple[str, ...]

    @classmethod
    def checked(
        cls,
        table: object,
        columns: object,
        key: object,
        *,
        schemas: bool = False,
    ) -> TableOptions:
        """Raises ValueError or TypeError for what makes no sense. With `schemas`, a dot in the
        name of the table separates its schema.
        """
        parts = tuple(str(table).split(".", 1)) if schemas else (str(table),)
        if not isinstance(table, str) or not all(map(is_name, parts)):
            raise ValueError(f"table is the name of a table, not {table!r}")
        kinds: dict[str, Kind] = {}
        names: tuple[str, ...] | None = None
        if isinstance(columns, Mapping):
            from ._rows import kind_of_type

            types = cast("Mapping[object, object]", columns)
            names = checked_names("columns", list(types))
            kinds = {str(name): kind_of_type(str(name), each) for name, each in types.items()}
        elif columns is not None:
            names = checked_names("columns", columns)
        keys = () if key is None else checked_names("key", key)
        for name in keys:
            if names is not None and name not in names:
                raise ValueError(f"key names {name!r}, which is none of the columns {list(names)}")
        return cls(parts, names, kinds, keys)


def checked_names(option: str, given: object) -> tuple[str, ...]:
    """Names of columns. Raises ValueError or TypeError for what is none."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"{option} takes a list of names, not {given!r}")
    names = tuple(cast("Sequence[object]", given))
    wrong = [name for name in names if not is_name(name)]
    if not names or wrong or len(set(names)) < len(names):
        raise ValueError(f"{option} takes names of columns, each once, not {given!r}")
    return cast("tuple[str, ...]", names)


def insert(table: str, columns: Sequence[str], key: Sequence[str], source: str) -> str:
    """A statement that inserts what `source` gives; with a key it replaces the row that has it."""
    names = ", ".join(map(quoted, columns))
    statement = f"INSERT INTO {table} ({names}) {source}"
    if not key:
        return statement
    rest = [quoted(name) for name in columns if name not in key]
    target = ", ".join(map(quoted, key))
    if not rest:
        return f"{statement} ON CONFLICT ({target}) DO NOTHING"
    changes = ", ".join(f"{name} = excluded.{name}" for name in rest)
    return f"{statement} ON CONFLICT ({target}) DO UPDATE SET {changes}"
