"""The options that the protocols over HTTP share: each of them takes each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from thalweg.operators.endpoints import Endpoint, Tls, bearer, function, oip, parse_endpoint, wml
from thalweg.operators.endpoints.http_options import checked_options
from thalweg.operators.transforms.score import score
from thalweg.runtime.context import Context
from thalweg.runtime.errors import DataError

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script

WML = "/ml/v4/deployments/iris/predictions?version=2020-09-01"
GOOD = {"predictions": [{"fields": ["prediction"], "values": [["setosa"]]}]}


def make_wml(**options: Any) -> Endpoint:
    return wml("https://example.org" + WML, **options)


def make_oip(**options: Any) -> Endpoint:
    return oip("https://example.org/v2/models/iris", **options)


def make_text(**options: Any) -> Endpoint:
    return parse_endpoint("oip+https://example.org/v2/models/iris", **options)


@pytest.mark.parametrize("make", [make_wml, make_oip, make_text])
@pytest.mark.parametrize(
    ("option", "error", "told"),
    [
        ({"tken": 1}, TypeError, "'tken' is no option of an endpoint over HTTP; the options are"),
        (
            {"aut": bearer("env:T")},
            TypeError,
            "(did you mean 'auth'?); the options are auth, tls, max_answer_",
        ),
        ({"auth": "sesame"}, TypeError, "auth is an Auth, such as bearer('env:TOKEN'), and not a"),
        ({"tls": "ca.pem"}, TypeError, "tls is a Tls, such as Tls(ca='ca.pem'), not 'ca.pem'"),
        ({"max_answer_bytes": 0}, ValueError, "max_answer_bytes is a number of bytes, 1 or more"),
        ({"max_answer_bytes": "1"}, ValueError, "1 or more, not '1'"),
        ({"max_request_bytes": -1}, ValueError, "max_request_bytes is a number of bytes"),
        ({"max_request_bytes": 1.5}, ValueError, "1 or more, not 1.5"),
        ({"max_request_bytes": True}, ValueError, "1 or more, not True"),
    ],
)
def test_an_unknown_or_wrong_option_is_told_when_the_graph_is_built(
    make: Callable[..., Endpoint], option: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=re.escape(told)) as caught:
        make(**option)
    assert "sesame" not in str(caught.value)


def test_what_is_left_out_has_its_default() -> None:
    assert checked_options({}) == {
        "auth": None,
        "tls": None,
        "max_answer_bytes": 64 * 1024 * 1024,
        "max_request_bytes": None,
    }


@pytest.mark.parametrize("make", [make_wml, make_oip, make_text])
def test_each_protocol_takes_each_option(make: Callable[..., Endpoint]) -> None:
    make(auth=bearer("env:T"), tls=Tls(ca="ca.pem"), max_answer_bytes=1, max_request_bytes=None)
    make(auth=None, tls=None, max_request_bytes=7)


@pytest.mark.parametrize(
    "option", [{"auth": bearer("env:T")}, {"tls": Tls(ca="x")}, {"max_request_bytes": 1}]
)
def test_what_runs_in_this_process_takes_none_of_them(option: dict[str, Any]) -> None:
    told = f"'onnx:' runs in this process and sends nothing, so it takes no {next(iter(option))}"
    with pytest.raises(ValueError, match=told):
        parse_endpoint("onnx:model.onnx", **option)


def test_score_hands_on_what_a_text_needs_and_refuses_what_belongs_to_an_endpoint() -> None:
    fields = {"a": "A"}
    text = "oip+http://example.org/v2/models/iris"
    # That they arrive shows where the endpoint refuses them.
    with pytest.raises(ValueError, match=r"auth would send a secret unencrypted to example\.org"):
        score(text, fields=fields, auth=bearer("env:T"))
    with pytest.raises(ValueError, match=r"tls is given, and the URL of example\.org is not"):
        score(text, fields=fields, tls=Tls(ca="ca.pem"))
    made = score(
        text.replace("http:", "https:"), fields=fields, auth=bearer("env:T"), tls=Tls(ca="c")
    )
    assert repr(made) == "score(oip('https://example.org/v2/models/iris'))"
    with pytest.raises(ValueError, match=r"auth belongs to the endpoint: give it to oip\("):
        score(make_oip(), fields=fields, auth=bearer("env:T"))
    with pytest.raises(ValueError, match=r"tls belongs to the endpoint: give it to function\(len"):
        score(function(len), fields=fields, tls=Tls(ca="c"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.asyncio
async def test_a_request_beyond_the_limit_is_not_sent_and_both_sizes_are_named(
    script: Script, context: Context
) -> None:
    script.answer(200, GOOD)
    row = b'{"input_data":[{"fields":["a"],"values":[["xxxx"]]}]}'
    endpoint = wml(script.url + WML, max_request_bytes=len(row))
    await endpoint.open(context)
    await endpoint.predict(("a",), [("xxxx",)])
    with pytest.raises(
        DataError,
        match=rf"would send {len(row) + 1} bytes, and max_request_bytes allows {len(row)}",
    ):
        await endpoint.predict(("a",), [("xxxxx",)])
    await endpoint.close()
    assert [request.body for request in script.requests] == [row]
