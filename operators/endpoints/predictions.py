"""One prediction a row, as models and servers give them, and the answer that this is."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, cast

from .endpoint import Answer

__all__ = ["answer_of_columns", "answer_of_rows", "without_base64"]

_ALONE = "prediction"
"""The answer field of a prediction that has no name of its own."""


def answer_of_rows(predictions: Any, count: int) -> Answer:
    """The answer that a list of `count` predictions is: dicts of fields, or values.

    >>> answer_of_rows([{"p": 0.5, "q": "a"}, {"p": 1.5, "q": "b"}], 2)
    Answer(fields=('p', 'q'), rows=[(0.5, 'a'), (1.5, 'b')], model_version=None)
    >>> answer_of_rows([3, [1, 2]], 2)
    Answer(fields=('prediction',), rows=[(3,), ([1, 2],)], model_version=None)

    A field that only some of the dicts have is None in the others, and so is `prediction` beside
    dicts. Raises ValueError for what is no list, or has another length.
    """
    if not isinstance(predictions, Sequence) or isinstance(predictions, str | bytes):
        kind = type(cast(object, predictions)).__name__
        raise ValueError(f"a {kind}, not a list of one result for each row")
    predictions = cast("Sequence[object]", predictions)
    if len(predictions) != count:
        raise ValueError(f"{len(predictions)} results for {count} rows")
    if not any(isinstance(one, Mapping) for one in predictions):
        return Answer((_ALONE,), list(zip(predictions)))
    named = [
        cast("Mapping[str, object]", one) if isinstance(one, Mapping) else {_ALONE: one}
        for one in predictions
    ]
    fields = tuple(named[0])
    keys = named[0].keys()
    if fields and all(one.keys() == keys for one in named):
        pick = cast("Callable[[Mapping[str, object]], Any]", itemgetter(*fields))
        rows = list(map(pick, named))
        return Answer(fields, list(zip(rows)) if len(fields) == 1 else rows)
    fields = tuple(dict.fromkeys(field for one in named for field in one))
    return Answer(fields, [tuple(one.get(field) for field in fields) for one in named])


def answer_of_columns(outputs: Any, count: int) -> Answer:
    """The answer that columns of `count` values are: by name, or a single one without.

    >>> answer_of_columns({"p": [0.5, 1.5], "q": [["a"], ["b"]]}, 2)
    Answer(fields=('p', 'q'), rows=[(0.5, ['a']), (1.5, ['b'])], model_version=None)
    >>> answer_of_columns([3, 4], 2)
    Answer(fields=('prediction',), rows=[(3,), (4,)], model_version=None)

    Raises ValueError where a column is no list, or has another length.
    """
    columns = cast("dict[str, Any]", outputs) if isinstance(outputs, dict) else {_ALONE: outputs}
    if not columns:
        raise ValueError("no column")
    for name, column in columns.items():
        if not isinstance(column, list):
            kind = type(column).__name__
            raise ValueError(f"a {kind} as {name!r}, not a list of one value for each row")
        if len(cast("list[object]", column)) != count:
            raise ValueError(
                f"{len(cast('list[object]', column))} values of {name!r} for {count} rows"
            )
    return Answer(tuple(columns), list(zip(*columns.values(), strict=True)))


def without_base64(said: Any) -> Any:
    """The same with each `{"b64": text}` in it as what that stands for: text, if it is UTF-8.

    >>> without_base64([{"label_bytes": [{"b64": "c2V0b3Nh"}]}, {"label_bytes": [{"b64": "/w=="}]}])
    [{'label_bytes': ['setosa']}, {'label_bytes': [b'\\xff']}]

    Lists hold values of one kind: where the first of one holds none, the others are not looked at.
    Raises ValueError for text that is no base64.
    """
    if not _holds_base64(said):
        return said
    if isinstance(said, list):
        return [without_base64(one) for one in cast("list[object]", said)]
    named: dict[str, Any] = said
    if not _is_base64(named):
        return {name: without_base64(one) for name, one in named.items()}
    data = b64decode(named["b64"], validate=True)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _holds_base64(said: Any) -> bool:
    if isinstance(said, list):
        ones = cast("list[object]", said)
        return bool(ones) and _holds_base64(ones[0])
    if not isinstance(said, dict):
        return False
    named = cast("dict[str, Any]", said)
    return _is_base64(named) or any(map(_holds_base64, named.values()))


def _is_base64(named: dict[str, Any]) -> bool:
    return len(named) == 1 and isinstance(named.get("b64"), str)
