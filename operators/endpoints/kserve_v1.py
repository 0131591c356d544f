"""Version 1 of KServe's protocol, which TensorFlow Serving and Vertex AI speak too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, Unpack, cast, get_args
from urllib.parse import urlunsplit

from ...runtime.contracts import MisconfiguredError
from .address import shown
from .endpoint import Answer
from .http_endpoint import HttpEndpoint
from .http_options import HttpOptions
from .predictions import answer_of_columns, answer_of_rows, without_base64

__all__ = ["KserveV1", "RowShape", "kserve_v1"]

RowShape = Literal["rows", "lists", "values", "columns"]
"""How rows travel: each as an object of named values (`rows`), as a list of its values in the
order of the mapping (`lists`), as the value of its only field (`values`), or all of them together
as one list for each field (`columns`)."""

_EXAMPLE = "http://HOST/v1/models/NAME"
_MODEL = re.compile(r".*/v1/models/[^/:]+(?:/versions/(?P<version>[^/:]+)|/labels/[^/:]+)?\Z")


class KserveV1(HttpEndpoint):
    """See `kserve_v1`."""

    checks_values = True
    reads_not_finite = True

    def __init__(
        self,
        url: str,
        *,
        shape: RowShape,
        nested: bool,
        signature: str | None,
        **options: Unpack[HttpOptions],
    ) -> None:
        super().__init__(url, example=_EXAMPLE, **options)
        parts = self._parts
        path = parts.path.rstrip("/")
        model = path.removesuffix(":predict")
        named = _MODEL.match(model)
        # With the verb in it, the path may be another: Vertex AI has endpoints, and no models.
        if named is None and (model == path or ":" in model.rpartition("/")[2]):
            raise ValueError(
                f"{shown(url)!r} is no model of version 1 of KServe's protocol; one looks like "
                f"{_EXAMPLE}, with /versions/VERSION or /labels/LABEL after it where one is "
                "meant, or ends with :predict"
            )
        if shape not in get_args(RowShape):
            raise ValueError(f"shape is one of {get_args(RowShape)}, not {shape!r}")
        if nested and shape not in ("rows", "columns"):
            raise ValueError(f"nested=True is for values with names, and shape={shape!r} has none")
        if signature is not None and not signature:
            raise ValueError("signature is the name of one of the model's signatures, or None")
        self._url = urlunsplit(parts._replace(path=model + ":predict", fragment=""))
        self._version = named["version"] if named else None
        self._shape: RowShape = shape
        self._nested = nested
        self._signature = signature

    def __repr__(self) -> str:
        return f"kserve_v1({shown(self._url)!r})"

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        count = len(rows)
        asked = self._post(self._url, self._request(fields, rows))
        del rows  # Written now, and many requests are under way at once.
        said = await asked
        try:
            answer = _read(said, count)
            answer.model_version = _version(said) or self._version
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise self._garbage(
                "POST", self._url, f"without usable predictions for {count} rows ({error})", said
            ) from None
        return answer

    def _request(
        self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]
    ) -> dict[str, object]:
        """The body for these rows, before it is JSON."""
        said: dict[str, object] = {}
        if self._signature is not None:
            said["signature_name"] = self._signature
        if self._shape == "columns":
            columns: list[Sequence[object]] = list(zip(*rows, strict=True))
            if self._nested:
                columns = [list(zip(column)) for column in columns]
            said["inputs"] = dict(zip(fields, columns, strict=True))
            return said
        if self._shape == "values":
            if len(fields) != 1:
                raise MisconfiguredError(
                    f"{self!r} sends one value a row, and {len(fields)} fields are mapped: "
                    "choose another shape than 'values'"
                )
            said["instances"] = [row[0] for row in rows]
        elif self._shape == "lists":
            said["instances"] = rows
        elif self._nested:
            said["instances"] = [dict(zip(fields, zip(row), strict=True)) for row in rows]
        else:
            said["instances"] = [dict(zip(fields, row, strict=True)) for row in rows]
        return said


def _read(said: Any, count: int) -> Answer:
    """The predictions of an answer, in either of its forms; ValueError where there are none."""
    if not isinstance(said, dict):
        raise ValueError(f"a {type(cast(object, said)).__name__}, and no object")
    named = cast("dict[str, Any]", said)
    if ("predictions" in named) is ("outputs" in named):
        raise ValueError("predictions or outputs, and not both, are what is read")
    if "outputs" in named:
        return answer_of_columns(without_base64(named["outputs"]), count)
    return answer_of_rows(without_base64(named["predictions"]), count)


def _version(said: dict[str, Any]) -> str | None:
    """The version that Vertex AI tells, or what it has deployed."""
    version = said.get("modelVersionId") or said.get("deployedModelId")
    return str(version) if version else None


def kserve_v1(
    url: str,
    *,
    shape: RowShape = "rows",
    nested: bool = False,
    signature: str | None = None,
    **options: Unpack[HttpOptions],
) -> KserveV1:
    """A model behind version 1 of KServe's protocol: KServe, TensorFlow Serving, Vertex AI.

    >>> kserve_v1("http://127.0.0.1:8501/v1/models/iris")
    kserve_v1('http://127.0.0.1:8501/v1/models/iris:predict')

    What the protocol does not tell is what the model takes, so `shape` has to:

    | shape | the body for two records of two fields | for |
    |---|---|---|
    | `rows` | `{"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}` | inputs with names |
    | `lists` | `{"instances": [[1, 2], [3, 4]]}` | one input that takes all fields |
    | `values` | `{"instances": [1, 3]}` (one field) | one input of one value a row |
    | `columns` | `{"inputs": {"a": [1, 3], "b": [2, 4]}}` | TensorFlow Serving, with less to send |

    Each prediction that is an object gives its names to the answer; any other is the field
    `prediction`. Columns (`outputs`) are read as well, whatever was sent. `{"b64": …}` becomes the
    text that it stands for, or bytes where it is no UTF-8. NaN and Infinity, which TensorFlow
    Serving writes though JSON has none, are read as the floats that they are: the record is scored.
    The version is the one that the answer tells (Vertex AI), or else the one in the URL.

    Parameters: `url`, the address of the model, with `/versions/VERSION` or `/labels/LABEL` after
    it where one is meant, with or without `:predict`, or any that ends with `:predict`; `shape`
    (`rows`); `nested`, whether each named value travels as a list of one, for inputs of the shape
    [-1, 1] (False); `signature`, the signature of the model that is asked for (its own default);
    `options`, see `HttpOptions`. Raises ValueError where the URL is not that of a model, or for a
    wrong option.
    """
    return KserveV1(url, shape=shape, nested=nested, signature=signature, **options)
