"""Patterns of names, written out and folded again."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.operators.fleet import expanded, folded


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("lab", "lab"),
        ("lab[01-03]", "lab01 lab02 lab03"),
        ("lab[1-3,7]", "lab1 lab2 lab3 lab7"),
        ("lab[1-2, 9].example.org", "lab1.example.org lab2.example.org lab9.example.org"),
        ("r[1-2]n[08-10]", "r1n08 r1n09 r1n10 r2n08 r2n09 r2n10"),
        ("n[0-9/4]", "n0 n4 n8"),
        ("n[00:06:3]", "n00 n03 n06"),
        ("web[a:c]", "weba webb webc"),
        ("[1-2]", "1 2"),
        ("x[5]", "x5"),
    ],
)
def test_a_pattern_is_written_out_in_order(pattern: str, names: str) -> None:
    assert expanded(pattern) == names.split()


@pytest.mark.parametrize(
    "pattern",
    ["a[", "a]", "a[]", "a[1-]", "a[-1]", "a[x-z]", "a[3-1]", "a[1-9/0]", "a[[1-2]]", "a[1,]",
     "a[1-2]]", "a[¹-²]", "a[1--2]"],
)  # fmt: skip
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"bracket too many|numbers are meant|counts nothing up"):
        expanded(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["a[1-100001]", "a[1-999999999]", "a[1-1000]b[1-1000]", "a[1-99999,1-99999]",
     "a[0-9]" * 40, "[1-300][1-300][1-2]"],
)  # fmt: skip
def test_a_pattern_that_explodes_is_refused_before_it_does(pattern: str) -> None:
    with pytest.raises(ValueError, match="more than 100,000 names"):
        expanded(pattern)


def test_a_range_of_ten_digits_is_none() -> None:
    with pytest.raises(ValueError, match="numbers are meant"):
        expanded("lab[1-1000000000]")


def test_the_largest_that_is_allowed_is_written_out() -> None:
    assert len(expanded("n[1-100000]")) == 100_000


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("", ""),
        ("a", "a"),
        ("lab1", "lab1"),
        ("lab3 lab1 lab2", "lab[1-3]"),
        ("lab01 lab02 lab1", "lab[01-02],lab1"),
        ("lab08 lab09 lab10 lab11", "lab[08-11]"),
        ("lab8 lab9 lab10", "lab[8-10]"),
        ("n1.x n2.x n1.y", "n[1-2].x,n1.y"),
        ("10.0.0.1 10.0.0.2 10.0.0.9", "10.0.0.[1-2,9]"),
        ("a a b", "a,b"),
    ],
)
def test_names_are_folded(names: str, text: str) -> None:
    assert folded(names.split()) == text


NUMBERS = st.one_of(st.integers(0, 1200).map(str), st.integers(0, 99).map("{:03d}".format))


@given(
    st.sets(st.tuples(st.sampled_from(["", "lab", "r1n"]), NUMBERS, st.sampled_from(["", ".x"])))
)
def test_what_is_folded_is_written_out_again(parts: set[tuple[str, str, str]]) -> None:
    names = {"".join(part) for part in parts}
    text = folded(names)
    words = [word for word in re.split(r",(?![^\[]*\])", text) if word]
    again = [name for word in words for name in expanded(word)]
    assert len(again) == len(set(again))
    assert set(again) == names
