from __future__ import annotations

import math

import pytest

from thalweg.operators.endpoints.json_answer import decoded


def test_words_for_numbers_that_json_has_not_are_floats_where_they_may_be() -> None:
    said = decoded(b'{"p": [NaN, Infinity, -Infinity, 1.5, "\xc3\xa9"]}', not_finite=True)["p"]
    assert math.isnan(said[0])
    assert said[1:] == [math.inf, -math.inf, 1.5, "é"]


@pytest.mark.parametrize("not_finite", [False, True])
def test_the_same_words_in_text_are_text(not_finite: bool) -> None:
    assert decoded(b'["NaN", "Infinity"]', not_finite=not_finite) == ["NaN", "Infinity"]


@pytest.mark.parametrize("body", [b"[NaN]", b"[-Infinity]"])
def test_elsewhere_they_are_no_json(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decoded(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>NaN</html>",
        b"[NaN",
        b"[-NaN]",
        b"[nan]",
        b"[NaN, '']",
        b'[NaN, "\xff"]',
        b'[NaN, "\\ud800"]',
        b"[NaN, 340282366920938463463374607431768211456]",
        b"[NaN" + b"[" * 100_000,
        "[NaN]".encode("utf-16"),
    ],
)
def test_whatever_else_is_not_json_stays_so(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decoded(body, not_finite=True)
