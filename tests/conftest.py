"""What every test may ask for: a service that runs outside the test."""

from __future__ import annotations

import os
import shutil
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from .missing import found, missing

# How long one example takes says how busy the machine is; the limit on a test stands.
settings.register_profile("thalweg", deadline=None)
settings.load_profile("thalweg")


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A PostgreSQL to test against: THALWEG_TEST_POSTGRES, or the one that `make services` starts.

    Where none answers the test is skipped, but with CI set it fails. Use a schema, a table or a
    job of a name of your own, and delete it.
    """
    url = os.environ.get("THALWEG_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 5432
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        missing(f"no PostgreSQL at {host}:{port} ({error}): run `make services`")
    return url


@pytest.fixture(scope="session")
def java() -> None:
    """Java, for PMML models. Where there is none the test is skipped, but with CI set it fails."""
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        missing("no Java: install default-jre-headless, or let JAVA_HOME name one")


@pytest.fixture(scope="session")
def sshd() -> None:
    """An sshd to start. Where there is none the test is skipped, but with CI set it fails."""
    found("sshd", os.defpath + ":/usr/sbin:/sbin:/usr/local/sbin")
