"""What the lines of a CSV file have in common, and which options make sense."""

from __future__ import annotations

from ...runtime.contracts import dataclass
from ._tables import checked_names

__all__ = ["CsvForm", "checked_columns", "checked_delimiter", "checked_null"]

_DELIMITERS = ",;\t|"
"""What readers of CSV take for a delimiter where they are not told."""

_VALUES = ("true", "false", "nan", "inf", "infinity")


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How the lines of a file are written; it never changes while the file is."""

    columns: tuple[str, ...]
    delimiter: str
    null: str

    @property
    def quoted(self) -> str:
        """The characters for which a text is quoted.

        The header of one column does not tell what separates cells, so nothing that might do.
        """
        more = _DELIMITERS if len(self.columns) == 1 else ""
        return self.delimiter + more + '"\r\n'

    @property
    def empty(self) -> str:
        """The cell for None: a blank line would be no record."""
        return self.null or ('""' if len(self.columns) == 1 else "")


def checked_columns(columns: object) -> tuple[str, ...]:
    """The names of the columns. Raises ValueError or TypeError for what is none."""
    names = checked_names("columns", columns)
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"columns names {name!r}, which no file can hold") from None
    return names


def checked_delimiter(delimiter: object) -> str:
    """The delimiter. Raises ValueError for one that may stand in a number or a time."""
    if (
        not isinstance(delimiter, str)
        or len(delimiter) != 1
        or not delimiter.isascii()
        or delimiter.isalnum()
        or delimiter in '"\r\n\0+-.:'
    ):
        raise ValueError(
            "delimiter is one ASCII character, no letter, digit, quote or line end and none of "
            f"+-.: since they stand in numbers and times, not {delimiter!r}"
        )
    return delimiter


def checked_null(null: object, delimiter: str) -> str:
    """The text for None. Raises ValueError or TypeError for one that another value may have."""
    if not isinstance(null, str):
        raise TypeError(f"null is the text that stands for None, not {null!r}")
    if any(one in null for one in (delimiter, *'"\r\n\0')) or not null.isascii():
        raise ValueError(
            f"null is ASCII text without the delimiter, quotes and line ends, not {null!r}"
        )
    if null[:1].isdigit() or null[:1] in tuple("+-.") or null.lower() in _VALUES:
        raise ValueError(f"null is a text that no number, time or bool is written as, not {null!r}")
    return null
