from __future__ import annotations

import pytest

from thalweg.operators.endpoints.mask import Mask


@pytest.mark.parametrize(
    "text",
    ['pa"ss/w\\ö rd', r"pa\"ss/w\\ö rd", r"pa\"ss\/w\\ö rd", "pa%22ss%2Fw%5C%C3%B6+rd",
     "pa%22ss%2Fw%5C%C3%B6%20rd"],
)  # fmt: skip
def test_a_secret_is_hidden_in_every_form_in_which_it_may_come_back(text: str) -> None:
    mask = Mask()
    mask.hide('pa"ss/w\\ö rd')
    assert mask(f"<{text}>") == "<[secret]>"


def test_a_secret_that_begins_with_another_is_hidden_whole() -> None:
    mask = Mask()
    mask.hide("open", "open-sesame")
    assert mask("open-sesame open") == "[secret] [secret]"


def test_as_many_secrets_are_remembered_as_an_answer_may_come_late_for_and_no_more() -> None:
    mask = Mask()
    for number in range(1000, 1100):
        mask.hide(f"token-{number}", f"token-{number}")
    assert mask("token-1099 token-1084") == "[secret] [secret]"
    assert mask("token-1000") == "token-1000"


def test_a_secret_that_is_used_again_is_not_forgotten_for_the_others() -> None:
    mask = Mask()
    for number in range(100):
        mask.hide("open-sesame")
        mask.hide(f"token-{number}")
        assert mask("open-sesame") == "[secret]"


def test_a_standing_secret_is_never_forgotten() -> None:
    mask = Mask()
    mask.hide("open-sesame", standing=True)
    mask.hide(*(f"token-{number}" for number in range(100)))
    assert mask("open-sesame") == "[secret]"


def test_nothing_hides_nothing() -> None:
    mask = Mask()
    mask.hide("")
    assert mask("as it is") == "as it is"
