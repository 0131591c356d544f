"""Which store a location means, and how it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from thalweg.runtime.stores.local import LocalStore
from thalweg.runtime.stores.locate import store_at
from thalweg.runtime.stores.masking import masked, secrets_of
from thalweg.runtime.stores.postgres import PostgresStore


def test_a_directory_is_a_local_store(tmp_path: Path) -> None:
    for location in ("state", "./a:b", tmp_path, str(tmp_path)):
        store = store_at(location)
        assert isinstance(store, LocalStore)
        assert store.describe() == f"the directory {str(Path(location))!r}"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_url_of_postgresql_is_one(scheme: str) -> None:
    store = store_at(f"{scheme}://flow:secret@h/d")
    assert isinstance(store, PostgresStore)
    assert store.describe() == f"schema 'thalweg' of {scheme}://flow:***@h/d"


@pytest.mark.parametrize(
    "location", ["memory:", "mysql://u:secret@h/d", "sqlite:///x", "file:///x", "s3://b"]
)
def test_another_kind_is_refused_with_the_valid_ones(location: str) -> None:
    with pytest.raises(ValueError, match=r"a store is a directory, .* 'postgresql://") as caught:
        store_at(location)
    assert "secret" not in str(caught.value)


def test_an_empty_location_is_refused() -> None:
    with pytest.raises(ValueError, match="directory is empty"):
        store_at("")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p@h:1/d", "postgresql://u:***@h:1/d"),
        ("postgresql://u:p%40q@h1:1,h2:2/d", "postgresql://u:***@h1:1,h2:2/d"),
        ("postgresql://u:p@q@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:a:b@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?password=p&a=b", "postgresql://u@h/d?password=***&a=b"),
        ("postgresql://h/d?a=b&Pass%77ord=p", "postgresql://h/d?a=b&Pass%77ord=***"),
        ("postgresql://h/d?sslpassword=p", "postgresql://h/d?sslpassword=***"),
    ],
)
def test_a_password_is_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize("password", ["a/b", "a?b", "a#b", "[a", "12/b", "1?b", "a]b"])
def test_a_url_that_hides_where_its_password_ends_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="write '@' as %40") as caught:
        store_at(f"postgresql://user:{password}@host/database")
    assert password not in str(caught.value).replace("%5D", "")
    assert caught.value.__cause__ is None


def test_secrets_are_known_in_each_form() -> None:
    assert secrets_of("postgresql://u:a%2Fb@h/d?password=x%20y") == {"a%2Fb", "a/b", "x y", "x%20y"}
    assert secrets_of("postgresql://u:@h/d") == frozenset()
