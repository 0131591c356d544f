"""What `score` asks of the other side: a protocol is one small class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from ...runtime.contracts import Context, DataError, EndpointStatistics, dataclass

__all__ = ["Answer", "Endpoint", "UnwritableError"]


class UnwritableError(DataError):
    """Rows hold a value that the protocol has no form for: it is looked for, and not sent."""


@dataclass(slots=True)
class Answer:
    """What a model answered: one row of `rows` for each row that it was sent, in their order.

    >>> Answer(("prediction", "probability"), [("setosa", 0.98), ("virginica", 0.75)])
    Answer(fields=('prediction', 'probability'), rows=[('setosa', 0.98), ('virginica', 0.75)], model_version=None)

    Each row holds one value for each of `fields`, at the same place. `model_version` is what the
    other side calls the version of the model, or None where it does not say.
    """  # noqa: E501

    fields: tuple[str, ...]
    rows: Sequence[Sequence[object]]
    model_version: str | None = None


class Endpoint(ABC):
    """Where a model answers. Implement `predict` to teach `score` a protocol of your own.

    >>> class Sums(Endpoint):
    ...     async def predict(self, fields, rows):
    ...         return Answer(("prediction",), [(sum(row),) for row in rows])

    An endpoint in a graph is a prototype: `score` works on a shallow copy, so create what changes
    in `open`. `max_in_flight` is set on that copy before `open`, and is how many calls of
    `predict` run at once at most. `predict` raises typed errors and repeats nothing itself:

    - `DataError`: the rows were refused (they are halved until the bad one stands alone);
    - `BusyError`: the other side asks for patience;
    - `UnavailableError`: it is out of reach, or (`answered=True`) it answered, but not usefully;
    - `MisconfiguredError`: no call can ever succeed, and the job fails.
    """

    max_in_flight: int = 8

    checks_values: bool = False
    """Whether `predict` raises `UnwritableError` where a value is no text, number, boolean or None.
    Then `score` looks at numbers as a whole first, which is cheaper, and closely only after that.
    """

    async def open(self, context: Context) -> None:
        """Get ready for calls. A server that is not up yet is no error here: `predict` tells."""

    @abstractmethod
    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        """Score the rows; each holds one value for each of `fields`, the model's field names.

        The values are text, finite numbers, booleans, or None where an optional field has no
        default. The same fields come with every call; there is always at least one row.
        """

    async def fields(self) -> Mapping[str, str] | None:
        """The model's fields and the datatype of each, or None where the protocol tells none.

        Datatypes are named as in the Open Inference Protocol. `FP64[4]` is one input that takes
        four values of a row, whatever the fields are called; `FP64[?]` takes any number of them.
        Called between `open` and `close`, for who asks by hand; raises as `predict` does.
        """
        return None

    def told_seconds(self) -> float | None:
        """The seconds that a call took by the other side's own clock, of late; None if unknown."""
        return None

    def statistics(self) -> tuple[EndpointStatistics, ...]:
        """How each of the endpoints stands that are behind this one; () where it is one alone."""
        return ()

    async def close(self) -> None:
        """Let go of everything."""
