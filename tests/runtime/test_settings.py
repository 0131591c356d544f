"""Settings: typed by their default, taken from --set, the environment or the default."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from thalweg import SettingError
from thalweg.runtime.settings import Setting, Settings, setting, settings_from


def here(offset: int = 0) -> str:
    """`file:line` of the caller."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return f"{__file__}:{frame.f_back.f_lineno + offset}"


def declare(default: bool | int | float | str | Path) -> None:
    match default:
        case bool():
            setting("name", default)
        case int():
            setting("name", default)
        case float():
            setting("name", default)
        case str():
            setting("name", default)
        case Path():
            setting("name", default)


def test_without_a_launcher_a_setting_has_its_default() -> None:
    assert setting("repeat", 1000) == 1000
    assert setting("out", Path("out")) == Path("out")


def test_the_environment_goes_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_REPEAT", "7")
    assert setting("repeat", 1000) == 7


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_REPEAT", "7")
    with settings_from({"repeat": "8"}) as settings:
        assert setting("repeat", 1000) == 8
    assert [(found.value, found.origin) for found in settings.declared] == [(8, "--set")]


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("150_000", 1, 150_000),
        (" -3 ", 1, -3),
        ("1_000.5", 1.0, 1000.5),
        ("2", 1.0, 2.0),
        ("Yes", False, True),
        ("on", False, True),
        ("1", False, True),
        ("no", True, False),
        ("OFF", True, False),
        ("0", True, False),
        (" a b ", "x", " a b "),
        ("a/b", Path("x"), Path("a/b")),
    ],
)
def test_a_value_has_the_type_of_the_default(
    text: str, default: int | float | bool | str | Path, value: object
) -> None:
    with settings_from({"name": text}, environment={}) as settings:
        declare(default)
    found = settings.declared[0].value
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["many", "1.5", "", "0x10", "9" * 5000])
def test_a_whole_number_is_asked_for(text: str) -> None:
    match = "'repeat' is a whole number, not "
    with pytest.raises(SettingError, match=match), settings_from({"repeat": text}):
        setting("repeat", 1000)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "fast"])
def test_a_number_is_finite(text: str) -> None:
    match = "'rate' is a number, not "
    with pytest.raises(SettingError, match=match), settings_from({"rate": text}):
        setting("rate", 0.0)


def test_a_wrong_value_is_told_with_limits_origin_and_line() -> None:
    where = here(2)
    with pytest.raises(SettingError) as caught, settings_from({"size": "257"}):
        setting("size", 64, minimum=1, maximum=256)
    assert str(caught.value) == (
        f"{where}: the setting 'size' is a whole number from 1 to 256, not '257' "
        "(from --set size=257)."
    )
    assert caught.value.where == where


def test_a_wrong_environment_variable_is_named() -> None:
    with pytest.raises(SettingError) as caught, settings_from(environment={"THALWEG_DRY": "maybe"}):
        setting("dry", False)
    assert str(caught.value).endswith(
        "the setting 'dry' is true or false, not 'maybe' (from the environment variable "
        "THALWEG_DRY)."
    )


def test_a_default_keeps_to_the_limits_too() -> None:
    with pytest.raises(SettingError, match=r"1 or more, not '0' \(from the default\)"):
        setting("size", 0, minimum=1)


def test_choices_are_listed_and_the_nearest_is_offered() -> None:
    with pytest.raises(SettingError) as caught, settings_from({"mode": "apend"}):
        setting("mode", "append", choices=["append", "update"])
    assert str(caught.value).endswith(
        "the setting 'mode' is one of append, update, not 'apend' (from --set mode=apend). "
        "Did you mean 'append'?"
    )


def test_an_unknown_name_is_told_with_the_nearest_and_all() -> None:
    settings = Settings({"repat": "1"})
    settings.declare(Setting("repeat", "int", 1, 1, "default"))
    settings.declare(Setting("out", "str", "out", "out", "default"))
    with pytest.raises(SettingError) as caught:
        settings.check()
    assert str(caught.value) == (
        "there is no setting 'repat' (from --set repat=…). Did you mean 'repeat'? "
        "The settings are: repeat, out"
    )


def test_a_graph_without_settings_says_so() -> None:
    with pytest.raises(SettingError, match="The graph has no settings"), settings_from({"a": "1"}):
        pass


def test_an_exception_inside_goes_before_an_unknown_name() -> None:
    with pytest.raises(ZeroDivisionError), settings_from({"unknown": "1"}):
        _ = 1 / 0


def test_a_name_declared_in_two_places_is_refused() -> None:
    with settings_from() as settings:
        first = here(1)
        setting("out", "a")
        with pytest.raises(SettingError, match="declared at") as caught:
            setting("out", "b")
    assert first in str(caught.value)
    assert len(settings.declared) == 1


def test_the_same_line_may_declare_again() -> None:
    with settings_from() as settings:
        for _ in range(2):
            setting("out", "a")
    assert len(settings.declared) == 1


@pytest.mark.parametrize("name", ["", "Out", "max-size", "9lives", "a b", "x" * 65])
def test_a_name_is_a_plain_word(name: str) -> None:
    with pytest.raises(SettingError, match="no name for a setting"):
        setting(name, 1)


def test_none_is_no_default() -> None:
    with pytest.raises(SettingError, match="the default gives the type"):
        setting("rate", None)  # type: ignore[type-var] # pyright: ignore[reportArgumentType]


def test_limits_are_for_numbers() -> None:
    with pytest.raises(SettingError, match="minimum and maximum are for numbers, not str"):
        setting("out", "a", minimum=1)


def test_what_is_secret_is_not_shown() -> None:
    with settings_from({"api_key": "hunter2", "url": "http://me:hunter2@host/x"}) as settings:
        assert setting("api_key", "") == "hunter2"
        assert setting("url", "") == "http://me:hunter2@host/x"
    shown = [found.shown(found.value) for found in settings.declared]
    assert shown == ["***", "http://***@host/x"]
    assert "hunter2" not in str([found.as_dict() for found in settings.declared])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "oip+http://u:hunter2@h/m oip+http://u:hunter2@g/m",
            "oip+http://***@h/m oip+http://***@g/m",
        ),
        ("http://me:hun@hunter2@host/x", "http://***@host/x"),
        ("http://h/x?version=1&apikey=hunter2&a=b", "http://h/x?version=1&apikey=***&a=b"),
        ("http://h/x?Access_Token=hunter2#top", "http://h/x?Access_Token=***#top"),
        (
            "http://h/x?X-Sig=hunter2 http://g/?key=hunter2",
            "http://h/x?X-Sig=*** http://g/?key=***",
        ),
        ("http://h/x?mail=me@example.org", "http://h/x?mail=me@example.org"),
        ("http://h/x?key=&a=b", "http://h/x?key=&a=b"),
    ],
)
def test_of_a_url_all_but_its_secrets_is_shown(url: str, shown: str) -> None:
    with settings_from({"url": url}) as settings:
        assert setting("url", "") == url
    (found,) = settings.declared
    assert found.shown(found.value) == shown


def test_a_wrong_secret_is_not_shown_either() -> None:
    with pytest.raises(SettingError) as caught, settings_from({"api_key": "hunter2"}):
        setting("api_key", 5)
    assert "hunter2" not in str(caught.value)


def test_settings_do_not_leak_out_of_their_block() -> None:
    with settings_from({"repeat": "3"}):
        assert setting("repeat", 1) == 3
    assert setting("repeat", 1) == 1
