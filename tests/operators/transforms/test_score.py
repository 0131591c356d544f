from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

import pytest

from thalweg.operators.endpoints import Answer, Endpoint
from thalweg.operators.endpoints.http import encoded
from thalweg.operators.transforms.score import Field, Prediction, score
from thalweg.runtime.context import Context
from thalweg.runtime.contracts import BatchFunction, Outcome, Retry
from thalweg.runtime.counters import Counters
from thalweg.runtime.errors import DataError, UnavailableError

T = TypeVar("T")
Record = dict[str, object]


def thread(function: Callable[[], T], /) -> Awaitable[T]:
    raise AssertionError("no thread is needed here")


CONTEXT = Context("graph", "score", thread=thread, counters=Counters())


class Sums(Endpoint):
    """Answers the sum of each row and how many rows came together."""

    def __init__(self, version: str | None = None) -> None:
        self.version = version
        self.log: list[object] = []

    async def open(self, context: Context) -> None:
        self.log.append(("open", context.node, self.max_in_flight))

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        self.log.append((fields, list(rows)))
        answers = [(sum(v for v in row if isinstance(v, int | float)), len(rows)) for row in rows]
        return Answer(("total", "rows"), answers, self.version)

    async def close(self) -> None:
        self.log.append("close")


class Writes(Sums):
    """Refuses what JSON has no form for, as the protocols that write rows as they are do."""

    checks_values = True

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        encoded(rows)
        return await super().predict(fields, rows)


class Says(Endpoint):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        return self.answer


async def run(operator: BatchFunction[Record, T], records: list[Record]) -> Outcome[T]:
    await operator.open(CONTEXT)
    try:
        made = await operator.call(records)
    finally:
        await operator.close()
    return made if isinstance(made, Outcome) else Outcome(made)


def kept(_: Record, prediction: Prediction) -> object:
    return prediction


FIELDS: Mapping[str, str | Field] = {"a": "A", "b": "B"}


@pytest.mark.asyncio
async def test_the_answer_is_added_to_the_record_and_the_record_is_left_alone() -> None:
    endpoint = Sums()
    records: list[Record] = [{"n": 0, "a": 1, "b": 2}, {"n": 1, "a": 3.5, "b": 4, "total": "old"}]
    outcome = await run(score(endpoint, fields=FIELDS), records)
    assert outcome == Outcome(
        [
            {"n": 0, "a": 1, "b": 2, "total": 3, "rows": 2},
            {"n": 1, "a": 3.5, "b": 4, "total": 7.5, "rows": 2},
        ]
    )
    assert records[1]["total"] == "old"
    assert "total" not in records[0]
    assert endpoint.log[1] == (("A", "B"), [(1, 2), (3.5, 4)])


@pytest.mark.asyncio
@pytest.mark.parametrize("bad", [{}, {"a": None}, {"a": math.nan}, {"a": 2**64}, {"a": []}])
@pytest.mark.parametrize("index", [0, 1, 2])
async def test_a_bad_record_is_rejected_alone_and_the_others_go_in_one_request(
    bad: Record, index: int
) -> None:
    endpoint = Sums()
    records: list[Record] = [{"n": n, "a": n, "b": 1} for n in range(3)]
    records[index] = {"n": index, "b": 1, **bad}
    outcome = await run(score(endpoint, fields=FIELDS), records)
    good = [n for n in range(3) if n != index]
    assert list(outcome.records) == [
        {"n": n, "a": n, "b": 1, "total": n + 1, "rows": 2} for n in good
    ]
    assert list(outcome.rejected) == [index]
    assert "field 'a' (model field 'A')" in str(outcome.rejected[index])
    assert isinstance(outcome.rejected[index], DataError)
    assert [entry for entry in endpoint.log if isinstance(entry, tuple)][1:] == [
        (("A", "B"), [(n, 1) for n in good])
    ]


@pytest.mark.asyncio
async def test_what_only_the_writer_finds_is_looked_for_and_rejected_alone() -> None:
    """A look at the sum does not see them: a Fraction adds up, and these integers cancel out."""
    endpoint = Writes()
    values = [0.5, 2**70, -(2**70), Fraction(1, 2), 1.5]
    records: list[Record] = [{"n": n, "a": 0.5, "b": value} for n, value in enumerate(values)]
    outcome = await run(score(endpoint, fields=FIELDS), records)
    assert sorted(outcome.rejected) == [1, 2]
    assert "field 'b' (model field 'B') is an integer beyond 64 bits" in str(outcome.rejected[1])
    assert [record["n"] for record in outcome.records] == [0, 3, 4]
    assert endpoint.log[1:-1] == [(("A", "B"), [(0.5, 0.5), (0.5, 0.5), (0.5, 1.5)])]


@pytest.mark.asyncio
async def test_where_no_record_is_good_there_is_no_request() -> None:
    endpoint = Sums()
    outcome = await run(score(endpoint, fields=FIELDS), [{}, {"a": 1, "b": math.inf}])
    assert (list(outcome.records), sorted(outcome.rejected)) == ([], [0, 1])
    assert endpoint.log == [("open", "score", 8), "close"]


@pytest.mark.asyncio
async def test_an_optional_field_may_be_missing() -> None:
    endpoint = Sums()
    fields: dict[str, str | Field] = {"a": "A", "b": Field("B", mandatory=False, default=10)}
    outcome = await run(score(endpoint, fields=fields), [{"a": 1}, {"a": 1, "b": 2}])
    assert list(outcome.records) == [
        {"a": 1, "total": 11, "rows": 2},
        {"a": 1, "b": 2, "total": 3, "rows": 2},
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [0, 1, 3])
async def test_no_answer_is_used_when_their_number_is_wrong(count: int) -> None:
    endpoint = Says(Answer(("p",), [(n,) for n in range(count)]))
    records: list[Record] = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    with pytest.raises(UnavailableError, match=f"answered {count} rows for 2") as caught:
        await run(score(endpoint, fields=FIELDS), records)
    assert caught.value.answered


@pytest.mark.asyncio
@pytest.mark.parametrize("rows", [[(1, 2), (1,)], [(1,), (1,)], [(1, 2, 3), (1, 2, 3)], [5, 6]])
@pytest.mark.parametrize("join", [None, kept])
async def test_no_answer_is_used_when_a_row_has_other_fields(
    rows: list[tuple[object, ...]], join: Callable[[Record, Prediction], object]
) -> None:
    endpoint = Says(Answer(("p", "q"), rows))
    records: list[Record] = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]

    with pytest.raises(UnavailableError, match="the 2 values of p, q") as caught:
        await run(score(endpoint, fields=FIELDS, join=join), records)
    assert caught.value.answered


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("version", "field", "added"),
    [
        ("7", "model_version", {"model_version": "7"}),
        ("7", "scored_by", {"scored_by": "7"}),
        ("7", None, {}),
        (None, "model_version", {}),
    ],
)
async def test_the_version_of_the_model_is_kept_where_it_is_told(
    version: str | None, field: str | None, added: Record
) -> None:
    operator: BatchFunction[Record, Record] = score(
        Sums(version), fields=FIELDS, version_field=field
    )
    outcome = await run(operator, [{"a": 1, "b": 2}])
    assert list(outcome.records) == [{"a": 1, "b": 2, "total": 3, "rows": 1, **added}]


@pytest.mark.asyncio
async def test_join_makes_the_result_and_its_exception_rejects_its_record_alone() -> None:
    def join(record: Record, prediction: Prediction) -> tuple[object, object, str | None]:
        if record["n"] == 1:
            raise KeyError("no such thing")
        return record["n"], prediction["total"], prediction.model_version

    records: list[Record] = [{"n": n, "a": n, "b": 1} for n in range(4)]
    records[2]["a"] = None
    outcome = await run(score(Sums("7"), fields=FIELDS, join=join), records)
    assert list(outcome.records) == [(0, 1, "7"), (3, 4, "7")]
    assert {index: type(error) for index, error in outcome.rejected.items()} == {
        1: KeyError,
        2: DataError,
    }


@pytest.mark.asyncio
async def test_each_job_opens_an_endpoint_of_its_own() -> None:
    class Opened(Sums):
        async def open(self, context: Context) -> None:
            assert not hasattr(self, "mine")
            self.mine = self.max_in_flight

    endpoint = Opened()
    for _ in range(2):
        await run(score(endpoint, fields=FIELDS, max_in_flight=3), [{"a": 1, "b": 2}])
    assert not hasattr(endpoint, "mine")
    assert endpoint.max_in_flight == 8


def test_the_runtime_is_told_how_to_call() -> None:
    retry = Retry(attempts=2)
    operator: BatchFunction[Record, Record] = score(
        "onnx:model.onnx", fields=FIELDS, max_in_flight=3, timeout=2.5, retry=retry, ordered=False
    )
    assert operator.repeatable
    assert (operator.max_in_flight, operator.timeout, operator.retry, operator.ordered) == (
        3,
        2.5,
        retry,
        False,
    )
    assert repr(operator) == "score(onnx('model.onnx'))"


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"endpoint": 5}, TypeError, "not 5"),
        ({"endpoint": "grpc:x"}, ValueError, "'grpc' starts no endpoint"),
        ({"fields": {}}, ValueError, "at least one record field"),
        ({"max_in_flight": 0}, ValueError, "max_in_flight must be 1 or more, not 0"),
        ({"timeout": 0}, ValueError, "timeout must be a number of seconds above 0, not 0"),
        ({"timeout": math.inf}, ValueError, "not inf"),
        ({"timeout": "10"}, ValueError, "timeout must be a number of seconds above 0, not '10'"),
        ({"max_in_flight": "8"}, ValueError, "max_in_flight must be 1 or more, not '8'"),
        ({"retry": 3}, TypeError, "retry is a Retry, not 3"),
        ({"join": "left"}, TypeError, "join is a callable .*, not 'left'"),
    ],
)
def test_a_wrong_option_is_told_when_the_graph_is_built(
    options: dict[str, object], error: type[Exception], told: str
) -> None:
    given: dict[str, object] = {"endpoint": "onnx:model.onnx", "fields": FIELDS, **options}
    with pytest.raises(error, match=told):
        score(**given)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = """
import sys
from thalweg.operators.endpoints.http import encoded
from thalweg.operators.transforms.score import score
score("onnx:no/such/model.onnx", fields={"a": "A"})
score("oip+https://example.org/v2/models/m", fields={"a": "A"})
score("wml+https://example.org/v4/deployments/m/predictions", fields={"a": "A"})
print([name for name in ("aiohttp", "onnxruntime", "numpy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.asyncio
async def test_a_list_of_endpoints_is_one_of_several() -> None:
    operator = score([Sums("1"), Sums("2")], fields=FIELDS)
    await operator.open(CONTEXT)
    versions: list[object] = []
    for _ in range(4):
        made = await operator.call([{"a": 1, "b": 2}])
        assert isinstance(made, list)
        versions += [one["model_version"] for one in made]
    await operator.close()
    assert versions == ["1", "2", "1", "2"]


def test_a_list_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one endpoint"):
        score([], fields=FIELDS)
