"""The Java machine that PMML models run in: one for all of this process, while any needs it."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import subprocess
from pathlib import Path
from threading import Lock
from typing import IO, Any, cast

from ...runtime.contracts import MisconfiguredError, MissingExtra

__all__ = ["JavaMachine"]

_PATIENCE = 5.0
"""Seconds that the machine has to end by itself, before it is killed."""

_lock = Lock()
_current: JavaMachine | None = None


class JavaMachine:
    """A Java process, spoken to over a loopback port with a token that only this process knows.

    It ends when the last who holds it lets go, and when this process ends in whatever way: then
    its standard input closes. Starting and ending take a thread's time, not the loop's.
    """

    def __init__(self) -> None:
        self._users = 1
        self._gateway, self._process = _started()

    @staticmethod
    def held() -> JavaMachine:
        """The machine that runs, or a new one. Call `release` once for each call of this.

        Raises MissingExtra without pypmml, MisconfiguredError where there is no Java.
        """
        global _current
        with _lock:
            if _current is not None and _current.runs:
                _current._users += 1
            else:
                _current = JavaMachine()
            return _current

    @property
    def runs(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def models(self) -> Any:
        """The class of Java that loads models."""
        return self._gateway.jvm.org.pmml4s.model.Model

    def release(self) -> None:
        """Let go: the last one ends the process."""
        global _current
        with _lock:
            self._users -= 1
            if self._users:
                return
            if _current is self:
                _current = None
        # Else objects that are collected later would tell Java so: over a new connection, with the
        # token, to a port that may be somebody else's by then.
        self._gateway._gateway_client.is_connected = False
        with contextlib.suppress(Exception):  # of one that is dead already
            self._gateway.close()
        _end(self._process)


def _started() -> tuple[Any, subprocess.Popen[bytes]]:
    try:
        from py4j import java_gateway
    except ModuleNotFoundError as error:
        raise MissingExtra("a PMML model", "pmml") from error
    py4j = cast(Any, java_gateway)  # it carries no types
    # Its Python side would load a second bridge to Java, and keep one machine for ever.
    package = importlib.util.find_spec("pypmml")
    if package is None or not package.submodule_search_locations:
        raise MissingExtra("a PMML model", "pmml")
    # What it logs is raised as well, and a machine that was killed is no news at each attempt.
    log = logging.getLogger("py4j")
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL)
    jars = Path(package.submodule_search_locations[0], "jars")
    command = [
        _java(),
        *os.environ.get("JAVA_OPTS", "").split(),
        "-classpath",
        os.pathsep.join((py4j.find_jar_path(), f"{jars}{os.sep}*")),
        "py4j.GatewayServer",
        "--die-on-broken-pipe",
        "--enable-auth",
        "0",
    ]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,  # a ^C is for the job, which may still want to score what it has
        )
    except OSError as error:
        raise _no_java(f"{command[0]} cannot be run: {error.strerror}") from None
    assert process.stdout is not None
    assert process.stderr is not None
    port, token = process.stdout.readline().strip(), process.stdout.readline().strip()
    if not port.isdigit() or not token:
        said = _first_lines(process.stderr)
        _end(process)
        raise _no_java(f"{command[0]} did not start: {said}")
    # Nobody reads on: without readers Java drops what it prints, and never waits for room.
    process.stdout.close()
    process.stderr.close()
    address = py4j.GatewayParameters(port=int(port), auth_token=token.decode(), auto_convert=True)
    return py4j.JavaGateway(gateway_parameters=address), process


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return os.path.join(home, "bin", "java") if home else "java"


def _no_java(what: str) -> MisconfiguredError:
    return MisconfiguredError(
        f"a PMML model needs Java 8 or later, and {what}. Install one, such as the package "
        "default-jre-headless, or let JAVA_HOME name its folder"
    )


def _first_lines(stderr: IO[bytes]) -> str:
    lines = stderr.read(65536).decode(errors="replace").strip().splitlines()
    return "; ".join(lines[:2]).removesuffix(".") if lines else "it said nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
