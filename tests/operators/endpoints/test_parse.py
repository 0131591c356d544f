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
        ("v1+http://h/v1/models/i", "kserve_v1('http://h/v1/models/i:predict')"),
        ("v1+https://h/e/7:predict", "kserve_v1('https://h/e/7:predict')"),
        ("mlflow+http://h:5000", "mlflow('http://h:5000/invocations')"),
        ("mlflow+https://h/s/invocations", "mlflow('https://h/s/invocations')"),
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
        ("http://h/v1/models/iris:predict", "(did you mean v1+http://?)"),
        ("https://h/v1/models/iris?x=1", "(did you mean v1+https://?)"),
        ("https://h/projects/p/endpoints/7:predict", "(did you mean v1+https://?)"),
        ("http://h:5000/invocations", "(did you mean mlflow+http://?)"),
        ("https://h/s/invocations/?x=1", "(did you mean mlflow+https://?)"),
        ("http://h/predict", "(did you mean http_json() in the graph file"),
        ("mlfow+http://h", "(did you mean mlflow+http://?)"),
        ("wlm+https://h/ml", "(did you mean wml+https://?)"),
        ("", "'' starts no endpoint; an endpoint starts with one of"),
        ("quite:wrong", "'quite' starts no endpoint; an endpoint"),
    ],
)
def test_another_prefix_lists_the_valid_ones_and_the_nearest(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        parse_endpoint(text)
    assert "onnx:" in str(caught.value)
    for protocol in ("wml", "oip", "v1", "mlflow"):
        assert f"{protocol}+http://, {protocol}+https://" in str(caught.value)


def test_a_wrong_endpoint_does_not_show_what_may_be_a_password() -> None:
    with pytest.raises(ValueError, match="starts no endpoint") as caught:
        parse_endpoint("wmx+https://user:sesame@h/ml")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("m/churn.skops", "sklearn:m/churn.skops"),
        ("m/churn.skops?trusted=a.B", "sklearn:m/churn.skops?trusted=a.B"),
        ("m/iris.PMML", "pmml:m/iris.PMML"),
        ("skops:m/churn.skops", "sklearn:"),
        ("scikit-learn:m/churn.skops", "sklearn:"),
        ("sklern:m/churn.skops", "sklearn:"),
        ("pmlm:m/iris.pmml", "pmml:"),
        ("kserve+http://h/v1/models/i", "v1+https://"),
        ("triton+http://h/v2/models/i", "oip+https://"),
        ("tensorflow://h/v1/models/i", "v1+https://"),
        ("watsonx+https://h/ml", "wml+https://"),
        ("oip+htp://h/v2/models/i", "oip+http://"),
        ("v1://h/v1/models/i", "v1+http://"),
    ],
)
def test_what_it_is_called_elsewhere_and_what_files_end_with_are_known(
    text: str, near: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(f"(did you mean {near}?)")):
        parse_endpoint(text)
