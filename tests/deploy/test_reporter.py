"""The reporter: whole lines, a live line that is taken away, and nothing that holds up a job."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading

import pytest

from thalweg.deploy.reporter import Reporter, ReportingHandler, form_for
from thalweg.runtime.progress import JobState, Progress


def progress(state: JobState = "running") -> Progress:
    return Progress("1", "flow", state, "2026-01-01T00:00:00.000+00:00", 1.0, 5, 5, 0, ())


class Terminal(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


def drawn(stream: io.StringIO, form: str = "line") -> str:
    """What a reporter writes that draws twice, says a line and stops."""
    asked = threading.Event()
    count = 0

    def ask() -> Progress:
        nonlocal count
        count += 1
        if count == 2:
            asked.set()
        return progress()

    reporter = Reporter(stream, form_for(stream, form), ask, frozenset(), plain_every=0.0)
    reporter.start()
    assert asked.wait(30)
    reporter.say("hello\nworld")
    reporter.stop()
    return stream.getvalue()


def test_a_live_line_is_redrawn_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    written = drawn(Terminal())
    line = "flow  5 records  0/s  in flight 0"
    assert written.startswith(f"{line}\r\x1b[K{line}")
    assert written.replace(f"{line}\r\x1b[K", "") == "hello\nworld\n"


def test_colour_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32mflow" in drawn(Terminal())
    assert "\x1b[32m" not in drawn(io.StringIO(), "line")


def test_elsewhere_there_are_plain_lines() -> None:
    lines = drawn(io.StringIO(), "auto").splitlines()
    assert lines[0] == "flow  5 records  0/s  in flight 0"
    assert lines[-2:] == ["hello", "world"]
    assert all("\x1b" not in line for line in lines)


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert form_for(Terminal(), "auto") == "plain"
    monkeypatch.setenv("TERM", "xterm")
    assert form_for(Terminal(), "auto") == "line"


def test_without_progress_only_what_is_said_is_printed() -> None:
    stream = io.StringIO()
    reporter = Reporter(stream, "none", pytest.fail, frozenset())
    reporter.start()
    reporter.say("hello")
    reporter.stop()
    assert stream.getvalue() == "hello\n"


def test_a_pipe_that_nobody_reads_holds_up_nothing() -> None:
    read, write = os.pipe()
    with contextlib.suppress(BrokenPipeError), open(write, "w", encoding="utf-8") as stream:
        reporter = Reporter(stream, "none", progress, frozenset())
        reporter.start()
        for _ in range(4):
            reporter.say("x" * 65_536)
        reporter.stop()  # returns although the thread cannot
        assert "thalweg-reporter" in {thread.name for thread in threading.enumerate()}
        os.close(read)  # now it can: the pipe is broken, and that is no error


def test_log_records_go_through_the_reporter() -> None:
    stream = io.StringIO()
    reporter = Reporter(stream, "none", progress, frozenset())
    reporter.start()
    logger = logging.getLogger("test_reporter")
    handler = ReportingHandler(reporter)
    logger.addHandler(handler)
    logger.propagate = False
    logger.warning("%s is slow", "it")
    logger.removeHandler(handler)
    reporter.stop()
    assert stream.getvalue() == "WARNING test_reporter: it is slow\n"
