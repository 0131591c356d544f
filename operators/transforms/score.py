"""`score`: a model's answer for each record, in mini-batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Generic, Literal, TypeVar, cast, get_args, overload

from ...runtime.contracts import (
    BatchFunction,
    Context,
    EndpointStatistics,
    Outcome,
    Retry,
    Throughput,
    UnavailableError,
)
from ..endpoints.array_field import ArrayField
from ..endpoints.auth import Auth
from ..endpoints.endpoint import Answer, Endpoint, UnwritableError
from ..endpoints.fields import Field, FieldMap
from ..endpoints.tls import Tls
from .merging import Merge, merging

__all__ = ["Field", "Prediction", "score"]

Divide = Literal["halves", "singly"]
"""How a refused batch is taken apart, to find the bad record in it."""

R = TypeVar("R", bound=Mapping[str, object])
S = TypeVar("S")


class Prediction(dict[str, object]):
    """What the model answered for one record: its fields by name, and `model_version`.

    >>> prediction = Prediction({"prediction": "setosa"}, model_version="1")
    >>> prediction["prediction"], prediction.model_version
    ('setosa', '1')
    """

    __slots__ = ("model_version",)

    def __init__(self, fields: Mapping[str, object], *, model_version: str | None = None) -> None:
        super().__init__(fields)
        self.model_version = model_version


class Score(BatchFunction[R, S], Generic[R, S]):
    """See `score`."""

    repeatable = True

    def __init__(
        self,
        endpoint: str | Endpoint | Sequence[str | Endpoint],
        *,
        fields: Mapping[str, str | Field] | ArrayField,
        join: Callable[[R, Prediction], S] | None,
        version_field: str | None,
        max_in_flight: int,
        timeout: float,
        retry: Retry,
        ordered: bool,
        divide: Divide,
        tune: Throughput | None,
        auth: Auth | None,
        tls: Tls | None,
    ) -> None:
        if isinstance(endpoint, str):
            from ..endpoints.parse import parse_endpoint

            endpoint = parse_endpoint(endpoint, auth=auth, tls=tls)
        elif isinstance(endpoint, Sequence):
            from ..endpoints.several import several

            endpoint = several(endpoint, auth=auth, tls=tls)
        elif isinstance(cast(object, endpoint), Endpoint) and (auth or tls):
            raise ValueError(
                f"{'auth' if auth else 'tls'} belongs to the endpoint: give it to {endpoint!r}, "
                "where that is made"
            )
        if not isinstance(cast(object, endpoint), Endpoint):
            raise TypeError(
                "endpoint is text such as 'onnx:model.onnx' or an Endpoint such as "
                f"onnx('model.onnx'), or a list of these, not {endpoint!r}"
            )
        if not isinstance(cast(object, max_in_flight), int) or max_in_flight < 1:
            raise ValueError(f"max_in_flight must be 1 or more, not {max_in_flight!r}")
        if not isinstance(cast(object, timeout), int | float) or not 0 < timeout < inf:
            raise ValueError(f"timeout must be a number of seconds above 0, not {timeout!r}")
        if not isinstance(cast(object, retry), Retry):
            raise TypeError(f"retry is a Retry, not {retry!r}")
        if divide not in get_args(Divide):
            raise ValueError(f"divide is one of {get_args(Divide)}, not {divide!r}")
        if tune is not None and not isinstance(cast(object, tune), Throughput):
            raise TypeError(f"tune is what to reach, such as Throughput(p99=0.2), not {tune!r}")
        if join is not None and not callable(join):
            raise TypeError(f"join is a callable of a record and a Prediction, not {join!r}")
        self.endpoint = endpoint
        self.max_in_flight = max_in_flight
        self.timeout = timeout
        self.retry = retry
        self.ordered = ordered
        self.divide = divide
        self.tune = tune
        self._map = fields if isinstance(fields, ArrayField) else FieldMap(fields)
        self._join = join
        self._version_field = version_field
        self._merge_shape: tuple[Sequence[str], str | None] = ((), None)
        self._merge: Merge = merging((), None)

    def __repr__(self) -> str:
        return f"score({self.endpoint!r})"

    async def open(self, context: Context) -> None:
        # The graph's endpoint is shared by all jobs, and by all that use it: open a copy.
        self.endpoint = copy.copy(self.endpoint)
        most = self.max_in_flight if self.tune is None else self.tune.max_in_flight
        self.endpoint.max_in_flight = max(self.max_in_flight, most)
        await self.endpoint.open(context)

    async def call(
        self, records: Sequence[R], *, closely: bool = False
    ) -> Sequence[S] | Outcome[S]:
        given, closely = records, closely or not self.endpoint.checks_values
        rows, rejected = self._map.rows(records, closely=closely)
        good: Sequence[int] = range(len(records))
        if rejected:
            if not rows:
                return Outcome([], rejected)
            good = [index for index in good if index not in rejected]
            records = [records[index] for index in good]
        count = len(rows)
        asked = self.endpoint.predict(self._map.names, rows)
        del rows  # Many requests are under way at once: what was written need not be kept as well.
        try:
            answer = await asked
        except UnwritableError:
            if closely:
                raise
            return await self.call(given, closely=True)
        if len(answer.rows) != count:
            raise UnavailableError(
                f"{self.endpoint!r} answered {len(answer.rows)} rows for {count}: "
                "no row can be told from another, so none is used",
                answered=True,
            )
        if self._join is not None:
            return self._joined(self._join, records, answer, good, rejected)
        scored = cast("list[S]", self._merged(records, answer))
        return Outcome(scored, rejected) if rejected else scored

    def _merged(self, records: Sequence[R], answer: Answer) -> list[dict[str, object]]:
        version_field = self._version_field if answer.model_version is not None else None
        shape = (answer.fields, version_field)
        if shape != self._merge_shape:
            self._merge, self._merge_shape = merging(*shape), shape
        try:
            return self._merge(records, answer.rows, answer.model_version)
        except (TypeError, ValueError):
            raise self._uneven(answer) from None

    def _fill(self, into: Sequence[dict[str, object]], answer: Answer) -> None:
        """Put each row's values into its dict, by column: twice as fast as a `|` for each row."""
        for name, column in zip(answer.fields, self._columns(answer), strict=True):
            for values, value in zip(into, column, strict=True):
                values[name] = value

    def _columns(self, answer: Answer) -> list[tuple[object, ...]]:
        try:
            columns = list(zip(*answer.rows, strict=True))
            if len(columns) == len(answer.fields):
                return columns
        except (TypeError, ValueError):
            pass
        raise self._uneven(answer)

    def _uneven(self, answer: Answer) -> UnavailableError:
        return UnavailableError(
            f"{self.endpoint!r} answered rows that do not all have the "
            f"{len(answer.fields)} values of {', '.join(answer.fields)}",
            answered=True,
        )

    def _joined(
        self,
        join: Callable[[R, Prediction], S],
        records: Sequence[R],
        answer: Answer,
        good: Sequence[int],
        rejected: dict[int, Exception],
    ) -> Sequence[S] | Outcome[S]:
        # Not by its constructor: twice as fast, and this is done for every record.
        predictions = [dict.__new__(Prediction) for _ in records]
        self._fill(predictions, answer)
        scored: list[S] = []
        for index, record, prediction in zip(good, records, predictions, strict=True):
            prediction.model_version = answer.model_version
            try:
                scored.append(join(record, prediction))
            except Exception as error:
                rejected[index] = error
        return Outcome(scored, rejected) if rejected else scored

    def told_seconds(self) -> float | None:
        return self.endpoint.told_seconds()

    def endpoints(self) -> tuple[EndpointStatistics, ...]:
        return self.endpoint.statistics()

    async def close(self) -> None:
        await self.endpoint.close()


@overload
def score(
    endpoint: str | Endpoint | Sequence[str | Endpoint],
    *,
    fields: Mapping[str, str | Field],
    join: None = None,
    version_field: str | None = "model_version",
    max_in_flight: int = 8,
    timeout: float = 10.0,
    retry: Retry = ...,
    ordered: bool = True,
    divide: Divide = "halves",
    tune: Throughput | None = None,
    auth: Auth | None = None,
    tls: Tls | None = None,
) -> BatchFunction[Mapping[str, object], dict[str, object]]: ...


@overload
def score(
    endpoint: str | Endpoint | Sequence[str | Endpoint],
    *,
    fields: Mapping[str, str | Field],
    join: Callable[[R, Prediction], S],
    max_in_flight: int = 8,
    timeout: float = 10.0,
    retry: Retry = ...,
    ordered: bool = True,
    divide: Divide = "halves",
    tune: Throughput | None = None,
    auth: Auth | None = None,
    tls: Tls | None = None,
) -> BatchFunction[R, S]: ...


def score(
    endpoint: str | Endpoint | Sequence[str | Endpoint],
    *,
    fields: Mapping[str, str | Field],
    join: Callable[[R, Prediction], S] | None = None,
    version_field: str | None = "model_version",
    max_in_flight: int = 8,
    timeout: float = 10.0,
    retry: Retry = Retry(),  # noqa: B008  (frozen)
    ordered: bool = True,
    divide: Divide = "halves",
    tune: Throughput | None = None,
    auth: Auth | None = None,
    tls: Tls | None = None,
) -> BatchFunction[R, S] | BatchFunction[R, dict[str, object]]:
    """Add a model's answer to each record, asking in mini-batches.

    >>> from thalweg.operators.endpoints import function
    >>> def species(flowers):
    ...     return ["setosa" if flower["Petal.Length"] < 2.5 else "other" for flower in flowers]
    >>> score(function(species), fields={"petal_length": "Petal.Length"})
    score(function(species))

    Records are mappings. One that lacks a mandatory field, or holds None, NaN, an infinity, an
    integer beyond 64 bits or a value that is no number, text or boolean, is rejected alone before
    any request; the others of the batch are sent. What the model has no field for stays in the
    record and does not travel. Results are joined by position, after their number is checked.

    Parameters: `endpoint`, where the model answers: text such as `onnx:model.onnx`,
    `wml+https://...`, `oip+https://...`, `v1+https://...` or `mlflow+https://...`, an `Endpoint`,
    or a list of these (see `endpoints.several`); `fields`, for each record field the model field
    that it feeds, by name (mandatory) or as a `Field`; `join`, what makes the result
    of a record and its `Prediction` (the record with the answer's fields, which win over its own);
    `version_field`, where the default join puts the version of the model if the protocol tells one
    (`model_version`; None: nowhere); `max_in_flight`, batches asked for at once (8); `timeout`,
    seconds for one request (10); `retry`, how a request is repeated; `ordered`, whether results
    leave in input order (True); `divide`, how a refused batch is taken apart: in "halves", or
    "singly", one by one; `tune`, what to reach, such as `Throughput(p99=0.2)`: then the node finds
    `max_in_flight` and the size and linger of the `.batch` right before it, beginning with what is
    given (None); `auth`, how requests prove who sends them, such as
    `bearer("env:TOKEN")`, and `tls`, whom they trust, where `endpoint` is the text of one over HTTP
    (None; an `Endpoint` has its own). Raises ValueError or TypeError for a wrong option.

    Emits when: the batch is answered.
    Waits when: `max_in_flight` batches are asked for, or the other side is busy or down.
    Ends when: its input ends.
    Order: that of the input, unless `ordered` is False.
    State: none.
    On error: a bad record goes to the failed port alone: a refused batch is halved until it stands
    alone. An exception in `join` rejects its record. A wrong address or model fails the job; one
    that goes away later pauses it.
    """
    return Score[R, S](
        endpoint,
        fields=fields,
        join=join,
        version_field=version_field,
        max_in_flight=max_in_flight,
        timeout=timeout,
        retry=retry,
        ordered=ordered,
        divide=divide,
        tune=tune,
        auth=auth,
        tls=tls,
    )
