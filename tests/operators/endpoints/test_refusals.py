"""What is made of each error that the protocols are known to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from thalweg.operators.endpoints.mask import Mask
from thalweg.operators.endpoints.refusals import UnauthorizedError, reason, refusal
from thalweg.runtime.errors import (
    BusyError,
    DataError,
    MisconfiguredError,
    UnavailableError,
)

Refusal = BusyError | DataError | MisconfiguredError | UnavailableError


def refused(status: int, body: Any = b"", headers: Mapping[str, str] | None = None) -> Refusal:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return refusal("POST http://h/x", status, headers or {}, data, mask=Mask())


def wml(status: str) -> dict[str, object]:
    """Services of the same protocol do not agree on how they call the status."""
    errors = [{"code": "invalid_input", "message": "wrong width"}]
    return {"trace": "a1", "errors": errors, status: 400}


VERTEX = {"error": {"code": 400, "message": "wrong width", "status": "INVALID_ARGUMENT"}}
OPENAI = {"error": {"message": "wrong width", "type": "x", "param": None, "code": None}}


@pytest.mark.parametrize(
    ("status", "body", "error", "told"),
    [
        # Watson Machine Learning
        (400, wml("status_code"), DataError, "wrong width"),
        (400, wml("statusCode"), DataError, "wrong width"),
        (400, wml("status"), DataError, "wrong width"),
        (401, {"errors": [{"message": "no token"}]}, UnauthorizedError, "no token"),
        (404, {"errors": [{"message": "no such"}]}, MisconfiguredError, "no such"),
        # Open Inference Protocol: Triton, MLServer, KServe
        (400, {"error": "wrong width"}, DataError, "wrong width"),
        (404, {"error": "no such"}, MisconfiguredError, "no such"),
        (422, {"error": "bad model URI"}, DataError, "bad model URI"),
        (500, {"error": "ValueError: X has 3"}, UnavailableError, "ValueError: X has 3"),
        (501, {"error": "unsupported"}, MisconfiguredError, "unsupported"),
        (503, {"error": "not ready"}, BusyError, "not ready"),
        # TensorFlow Serving, KServe v1, Vertex AI
        (400, {"error": "Failed to process element: 0"}, DataError, "Failed to process element"),
        (404, {"error": "Servable not found"}, MisconfiguredError, "Servable not found"),
        (400, VERTEX, DataError, "wrong width"),
        (400, [VERTEX], DataError, "wrong width"),
        # MLflow
        (400, {"error_code": "BAD_REQUEST", "message": "a crash"}, DataError, "a crash"),
        (415, b"Unsupported media type", DataError, "Unsupported media type"),
        (429, {"error_code": "RESOURCE_EXHAUSTED", "message": "full"}, BusyError, "full"),
        (500, {"error_code": "INTERNAL_ERROR", "message": "broken"}, UnavailableError, "broken"),
        (504, b"Scoring request timed out", UnavailableError, "Scoring request timed out"),
        # SageMaker
        (400, {"Message": "larger than 6291456"}, DataError, "larger than 6291456"),
        (429, {"Message": "not ready"}, BusyError, "not ready"),
        (500, {"Message": "internal"}, UnavailableError, "internal"),
        (503, {"Message": "unavailable"}, BusyError, "unavailable"),
        (530, {"Message": "dependency"}, UnavailableError, "dependency"),
        # BentoML
        (400, {"error": "1 validation error", "detail": [{"msg": "x"}]}, DataError, "1 validation"),
        (400, [{"error": "wrong width"}], DataError, "wrong width"),
        (401, {"error": "Authorization error"}, UnauthorizedError, "Authorization error"),
        (429, {"error": "Too many requests"}, BusyError, "Too many requests"),
        (503, {"error": "shed"}, BusyError, "shed"),
        # LitServe, FastAPI
        (413, {"detail": "Payload too large"}, DataError, "Payload too large"),
        (422, {"detail": [{"loc": ["body"], "msg": "missing"}]}, DataError, "missing"),
        (500, {"detail": "Internal server error"}, UnavailableError, "Internal server error"),
        # OpenAI
        (400, OPENAI, DataError, "wrong width"),
        (408, OPENAI, BusyError, "wrong width"),
        (409, OPENAI, UnavailableError, "wrong width"),
        (500, OPENAI, UnavailableError, "wrong width"),
        # What no protocol says, and a proxy before a server may
        (402, b"", MisconfiguredError, ""),
        (405, b"", MisconfiguredError, ""),
        (418, b"", MisconfiguredError, ""),
        (502, b"<html>Bad Gateway</html>", UnavailableError, "<html>Bad Gateway</html>"),
    ],
)
def test_each_known_error_has_its_class_and_its_reason(
    status: int, body: Any, error: type[Exception], told: str
) -> None:
    found = refused(status, body)
    assert type(found) is error
    assert f"POST http://h/x answered {status}{': ' if told else ''}{told}" in str(found)
    if isinstance(found, UnavailableError):
        assert found.answered


@pytest.mark.parametrize(
    ("behind", "error", "told"),
    [
        (400, DataError, " (the model: 400): no float"),
        (404, DataError, " (the model: 404): no float"),
        (415, DataError, " (the model: 415): no float"),
        (429, BusyError, " (the model: 429): no float"),
        (500, UnavailableError, " (the model: 500): no float"),
        (503, UnavailableError, " (the model: 503): no float"),
        (None, UnavailableError, ": no float"),
        ("400", UnavailableError, ": no float"),
    ],
)
def test_of_a_model_that_failed_behind_a_gateway_its_own_status_counts(
    behind: object, error: type[Exception], told: str
) -> None:
    body = {"OriginalStatusCode": behind, "OriginalMessage": "no float", "Message": "from model"}
    found = refused(424, body)
    assert type(found) is error
    assert str(found) == f"POST http://h/x answered 424{told}"
    if isinstance(found, UnavailableError):
        assert found.answered


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b'"text"'])
def test_a_gateway_that_does_not_tell_the_status_behind_it_is_a_broken_server(body: bytes) -> None:
    assert type(refused(424, body)) is UnavailableError


@pytest.mark.parametrize(
    ("status", "advice", "error"),
    [
        (400, "true", UnavailableError),
        (404, "true", UnavailableError),
        (409, "true", UnavailableError),
        (409, "True ", UnavailableError),
        (401, "true", UnauthorizedError),
        (403, "true", MisconfiguredError),
        (302, "true", MisconfiguredError),
        (429, "true", BusyError),
        (500, "true", UnavailableError),
        (409, "false", MisconfiguredError),
        (400, "false", DataError),
        (429, "false", BusyError),
        (503, "false", BusyError),
        (500, "false", DataError),
        (501, "false", MisconfiguredError),
        (500, "perhaps", UnavailableError),
        (429, "", BusyError),
    ],
)
def test_advice_whether_to_ask_again_is_taken(
    status: int, advice: str, error: type[Exception]
) -> None:
    assert type(refused(status, b"", {"x-should-retry": advice})) is error


@pytest.mark.parametrize(
    ("headers", "after", "at"),
    [
        ({"retry-after": "7"}, 7.0, None),
        ({"retry-after": "0"}, 0.0, None),
        ({"retry-after-ms": "250"}, 0.25, None),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25, None),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None, 1445412480.0),
        ({"retry-after": "tomorrow"}, None, None),
        ({"retry-after": "-7"}, None, None),
        ({}, None, None),
    ],
)
@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_advice_how_long_to_wait_is_read_in_all_its_forms(
    status: int, headers: dict[str, str], after: float | None, at: float | None
) -> None:
    found = refused(status, b"", headers)
    assert isinstance(found, BusyError)
    assert (found.retry_after, found.retry_at) == (after, at)


@pytest.mark.parametrize(
    ("headers", "after", "at"),
    [
        ({}, 60.0, None),
        ({"retry-after": "7"}, 7.0, None),
        ({"retry-after-ms": "250"}, 0.25, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None, 1445412480.0),
        ({"retry-after": "never"}, 60.0, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_what_will_be_busy_for_long_is_waited_for_and_asked_each_minute(
    status: int, headers: dict[str, str], after: float | None, at: float | None
) -> None:
    found = refused(status, {"error": "quota used up"}, {**headers, "x-should-retry": "false"})
    assert isinstance(found, BusyError)
    assert (found.retry_after, found.retry_at) == (after, at)
    assert str(found) == (
        f"POST http://h/x answered {status}: quota used up; and that to ask again soon will not "
        "help"
    )


TRACE = """Traceback (most recent call last):
  File "/server/scoring_server/__init__.py", line 470, in invocations
    raw_predictions = model.predict(data)
                      ^^^^^^^^^^^^^^^^^^^
  File "/server/sklearn/base.py", line 380, in _check_n_features
    raise ValueError(
"""


@pytest.mark.parametrize(
    ("trace", "told"),
    [
        (TRACE + "ValueError: X has 3 features\n", "ValueError: X has 3 features (Failed)"),
        (TRACE + "KeyError: 'a\n  b'\n", "KeyError: 'a   b' (Failed)"),
        ("ValueError: on its own", "ValueError: on its own (Failed)"),
        ("", "Failed"),
        (TRACE, "Failed"),
        (["no text"], "Failed"),
        (None, "Failed"),
    ],
)
def test_of_a_traceback_the_exception_is_told_before_the_message_for_all_cases(
    trace: object, told: str
) -> None:
    body = {"error_code": "BAD_REQUEST", "message": "Failed", "stack_trace": trace}
    told = " ".join(told.split())
    assert str(refused(400, body)) == f"POST http://h/x answered 400: {told}"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "Failed to predict data '   a\n0  1'. \nError: Failed to enforce schema of data '   a\n"
            "0  1' with schema '['b': double (required)]'. Error: Model is missing inputs ['b'].",
            "Failed to predict data: Model is missing inputs ['b'].",
        ),
        ("Failed to predict data 'a'. It ends", "Failed to predict data 'a'. It ends"),
        ("Something. Error: else", "Something. Error: else"),
    ],
)
def test_a_data_frame_in_a_message_does_not_hide_the_reason(message: str, told: str) -> None:
    body = {"error_code": "INVALID_PARAMETER_VALUE", "message": message}
    assert str(refused(400, body)) == f"POST http://h/x answered 400: {told}"


def test_lists_without_end_in_an_error_do_no_harm() -> None:
    assert reason(b"[" * 1000 + b"]" * 1000, Mask()) == "[" * 200 + "…"
