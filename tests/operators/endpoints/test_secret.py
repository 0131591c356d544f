from __future__ import annotations

from pathlib import Path

import pytest

from thalweg.operators.endpoints.secret import Secret
from thalweg.runtime.errors import MisconfiguredError


@pytest.mark.parametrize(
    "text",
    ["open-sesame", "", "env:", "env:open sesame", "env:A-B", "file:", "file: ", "file:a\0b"],
)
def test_what_names_no_place_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"bearer\(\) takes a secret as 'env:NAME'") as caught:
        Secret(text, "bearer()")
    assert "does not belong into a graph file" in str(caught.value)
    assert "sesame" not in str(caught.value)
    assert "A-B" not in str(caught.value)


def test_what_is_no_text_is_refused_and_not_shown() -> None:
    with pytest.raises(TypeError, match=r"not a bytes") as caught:
        Secret(b"open-sesame", "bearer()")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert "sesame" not in str(caught.value)


def test_a_variable_is_read_without_the_white_space_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCORING_TOKEN", " open-sesame\n")
    secret = Secret("env:SCORING_TOKEN", "bearer()")
    assert (secret.read(), repr(secret)) == ("open-sesame", "'env:SCORING_TOKEN'")
    assert not secret.can_change


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    secret = Secret(f"file:{path}", "bearer()")
    assert secret.can_change
    for held in ("open-sesame", "abracadabra"):
        path.write_text(held + "\r\n")
        assert secret.read() == held


@pytest.mark.parametrize("held", [None, "", " \n"])
def test_a_variable_that_holds_nothing_is_named(
    monkeypatch: pytest.MonkeyPatch, held: str | None
) -> None:
    monkeypatch.delenv("SCORING_TOKEN", raising=False)
    if held is not None:
        monkeypatch.setenv("SCORING_TOKEN", held)
    with pytest.raises(MisconfiguredError, match=r"variable SCORING_TOKEN holds no secret: set it"):
        Secret("env:SCORING_TOKEN", "bearer()").read()


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (b"", "holds no secret"),
        (b"open\nsesame", "holds more than one line, or control characters"),
        (b"open\0sesame", "holds more than one line, or control characters"),
        (b"sesame\xff\xfe", "holds what is not UTF-8 text"),
        (b"sesame" * 20_000, "holds more than 65536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_its_content_is_not(
    tmp_path: Path, held: bytes, told: str
) -> None:
    path = tmp_path / "token"
    path.write_bytes(held)
    with pytest.raises(MisconfiguredError, match=rf"secret file .*token {told}") as caught:
        Secret(f"file:{path}", "bearer()").read()
    assert "sesame" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    missing = Secret(f"file:{tmp_path}/missing", "bearer()")
    with pytest.raises(MisconfiguredError, match=r"/missing cannot be read: No such file"):
        missing.read()
    with pytest.raises(MisconfiguredError, match=r"cannot be read: Is a directory"):
        Secret(f"file:{tmp_path}", "bearer()").read()
