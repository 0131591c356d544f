from __future__ import annotations

import re

import pytest

from thalweg.operators.endpoints import parse_endpoint


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("onnx:models/iris.onnx", "onnx('models/iris.onnx')"),
        ("onnx:/m/a:b.onnx", "onnx('/m/a:b.onnx')"),
        ("sklearn:models/iris.skops", "sklearn('models/iris.skops')"),
        ("pmml:models/iris.pmml", "pmml('models/iris.pmml')"),
        ("oip+https://h/v2/models/iris", "oip('https://h/v2/models/iris')"),
        (
            "wml+http://h:1/ml/v4/deployments/i/predictions?version=2020-09-01",
            "wml('http://h:1/ml/v4/deployments/i/predictions?version=2020-09-01')",
        ),
    ],
)
def test_the_prefix_names_the_protocol(text: str, shown: str) -> None:
    assert repr(parse_endpoint(text)) == shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("oonx:iris.onnx", "'oonx' starts no endpoint (did you mean onnx:?)"),
        ("models/iris.onnx", "(did you mean onnx:models/iris.onnx?)"),
        ("http://h/v2/models/iris", "(did you mean oip+http://?)"),
        ("https://h/ml/v4/deployments/i/predictions", "(did you mean wml+https://?)"),
        ("wlm+https://h/ml", "(did you mean wml+https://?)"),
        ("", "'' starts no endpoint; an endpoint starts with one of"),
        ("quite:wrong", "'quite' starts no endpoint; an endpoint"),
    ],
)
def test_another_prefix_lists_the_valid_ones_and_the_nearest(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        parse_endpoint(text)
    for prefix in ("onnx:", "wml+http://", "wml+https://", "oip+http://", "oip+https://"):
        assert prefix in str(caught.value)


def test_a_wrong_endpoint_does_not_show_what_may_be_a_password() -> None:
    with pytest.raises(ValueError, match="starts no endpoint") as caught:
        parse_endpoint("wmx+https://user:sesame@h/ml")
    assert "sesame" not in str(caught.value)
