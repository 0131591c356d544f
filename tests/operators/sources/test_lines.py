"""Text files line by line: what is a line, what is none, and files of all shapes."""

from __future__ import annotations

import re
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg.operators import sources
from thalweg.operators.sources import _line_reader
from thalweg.runtime.contracts import Bookmark, MisconfiguredError
from thalweg.testing import HeldFence, context, run_virtual

from .following import Following


def read(paths: Any, limit: int = 100, **options: Any) -> Following:
    """All that the files hold."""

    async def main() -> Following:
        reading = Following(lambda: sources.lines(paths, **options), limit)
        assert not await reading.read()
        await reading.stop()
        return reading

    return run_virtual(main)


def test_lines_come_without_their_ends_with_their_offsets(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("one\n\ntwö\r\n three \u2028 \x0c x\r\r\nlast".encode())
    reading = read(path)
    assert reading.lanes == {str(path): ["one", "", "twö", " three \u2028 \x0c x\r", "last"]}
    assert reading.positions == {str(path): [0, 4, 5, 11, 28]}


def test_a_file_of_nothing_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch()
    assert read(path).records == []


def test_a_byte_order_mark_is_passed_over_at_the_beginning_only(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")
    reading = read(path)
    assert reading.records == ["one", "\ufefftwo"]
    assert reading.positions[str(path)] == [0, 7]


def test_other_encodings_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("zwölf\nfünf\n".encode("latin-1"))
    assert read(path, encoding="latin-1").records == ["zwölf", "fünf"]


def test_bad_lines_are_rejected_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\nb\xffd\nnu\0l\n" + b"x" * 51 + b"\r\n" + b"y" * 50 + b"\r\nend\xe4")
    reading = read(path, max_line_bytes=50)
    assert reading.records == ["good", "y" * 50]
    assert reading.rejected == [
        f"{path}, line 2: byte 0xff at byte 2 is not utf-8",
        f"{path}, line 3: a NUL at byte 3",
        f"{path}, line 4: the line is 52 bytes long, more than max_line_bytes=50",
        f"{path}, line 6: byte 0xe4 at byte 4 is not utf-8",
    ]


def test_a_long_line_is_rejected_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.write(b"first\n")
        for _ in range(200):
            file.write(b"z" * 1_048_576)
        file.write(b"\nlast\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reading = read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert reading.records == ["first", "last"]
    assert re.search(r"line 2: the line is 209,715,200 bytes long", reading.rejected[0])
    assert reading.positions[str(path)] == [0, 6 + 209_715_201]


def test_a_line_as_long_as_the_limit_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"z" * 1_048_576 + b"\r\n" + b"y" * 1_048_577)
    reading = read(path)
    assert reading.records == ["z" * 1_048_576]
    assert len(reading.rejected) == 1


def test_many_files_are_lanes_and_are_read_one_after_the_other(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.log", "deep/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name} 1\n{name} 2\n")
    lanes = {
        str(tmp_path / name): [f"{name} 1", f"{name} 2"]
        for name in ("a.txt", "b.txt", "c.log", "deep/d.txt")
    }
    reading = read([tmp_path / "c.log", tmp_path / "*.txt", str(tmp_path / "**/d.*")], limit=1)
    assert reading.lanes == lanes
    assert next(iter(reading.lanes)) == str(tmp_path / "c.log")


def test_a_name_with_the_signs_of_a_pattern_is_a_name_where_it_exists(tmp_path: Path) -> None:
    path = tmp_path / "a[1].txt"
    path.write_text("one\n")
    assert read(path).records == ["one"]


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ("none.txt", "no such file"),
        ("*.none", r"no file matches .*\*\.none"),
        ("", "not a regular file"),
    ],
)
def test_what_cannot_be_read_is_told_at_the_start(paths: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "there.txt").write_text("x\n")
    with pytest.raises(MisconfiguredError, match=told) as caught:
        read([tmp_path / "there.txt", tmp_path / paths])
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("paths", "options", "told"),
    [
        ([], {}, "names no file"),
        (["a", ""], {}, "empty name"),
        (["a", "a"], {}, "twice"),
        ("a", {"poll_interval": 0}, "poll_interval is in seconds, above 0, not 0"),
        ("a", {"rotation_wait": 0.1}, r"rotation_wait is in seconds, poll_interval=0.2 or more"),
        ("a", {"encoding": "utf-16"}, "writes ASCII as ASCII"),
        ("a", {"max_line_bytes": 0}, "max_line_bytes is 1 or more, not 0"),
        ("a", {"rate": 0}, "rate is in records a second"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    paths: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        sources.lines(paths, **options)


def test_a_file_that_is_cut_while_it_is_read_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"line {n}\n" for n in range(50_000)))

    async def main() -> None:
        reading = Following(lambda: sources.lines(path), 1_000)
        await reading.read(reads=3)
        path.write_text("other\n")
        try:
            await reading.read()
        finally:
            await reading.stop()

    with pytest.raises(MisconfiguredError, match="shortened or written over while it was read"):
        run_virtual(main)


LINE = st.one_of(
    st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"").replace(b"\0", b"")),
    st.sampled_from([b"", b"\r", b"a" * 40, b"b" * 41, b"c" * 41 + b"\r", b"d" * 200, b"\0"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lines=st.lists(LINE, max_size=20),
    torn=st.booleans(),
    block=st.integers(1, 60),
    limits=st.lists(st.integers(1, 10), min_size=1, max_size=4),
    stops=st.lists(st.integers(0, 6), max_size=5),
)
def test_lines_are_those_of_the_whole_text_however_it_is_cut_and_started_again(
    lines: list[bytes],
    torn: bool,
    block: int,
    limits: list[int],
    stops: list[int],
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.txt"
    content = b"".join(line + b"\n" for line in lines)
    if torn:
        content = content.removesuffix(b"\n")
    path.write_bytes(content)
    expected: list[tuple[int, str]] = []
    bad = at = 0
    for line in content.split(b"\n"):
        if at + len(line) == len(content) and not line:
            break
        text = line.removesuffix(b"\r")
        try:
            assert len(text) <= 40
            text = text if at else text.removeprefix(b"\xef\xbb\xbf")
            assert b"\0" not in text
            expected.append((at, text.decode()))
        except (AssertionError, UnicodeDecodeError):
            bad += 1
        at += len(line) + 1

    async def main() -> Following:
        reading = Following(lambda: sources.lines(path, max_line_bytes=40))
        for number, stop in enumerate([*stops, 1_000]):
            reading.limit = limits[number % len(limits)]
            await reading.read(reads=stop)
            await reading.stop()
        return reading

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_line_reader, "_BLOCK", block)
        reading = run_virtual(main)
    lane = str(path)
    assert list(zip(reading.positions[lane], reading.lanes[lane], strict=True)) == expected
    assert len(reading.rejected) == bad


def test_what_was_read_before_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    whole = [f"line {n}" for n in range(50_000)]
    path.write_text("".join(f"{line}\n" for line in whole))

    async def main() -> Following:
        reading = Following(lambda: sources.lines(path), 1_000)
        await reading.read(reads=40)
        await reading.stop()
        with path.open("r+b") as file:
            file.seek(4_096)
            file.write(b"\xff" * 300_000)
        await reading.read()
        await reading.stop()
        return reading

    assert run_virtual(main).records == whole


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (None, "and now is gone. Put it back"),
        ("line 0\n", "now is only 7 bytes long: it is not the file"),
        ("other\n" * 10_000, "now begins differently: it is not the file"),
    ],
)
def test_another_file_in_its_place_is_refused(other: str | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"line {n}\n" for n in range(5_000)))

    async def main() -> None:
        # With a store the file may be missing until it is known whether it has been read.
        given = context(node="log", fence=HeldFence())
        reading = Following(lambda: sources.lines(path), 1_000, given=given)
        await reading.read(reads=3)
        await reading.stop()
        path.unlink()
        if other is not None:
            path.write_text(other)
        try:
            await reading.read()
        finally:
            await reading.stop()

    with pytest.raises(MisconfiguredError, match=told) as caught:
        run_virtual(main)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("pattern", [True, False])
def test_a_file_that_was_read_to_its_end_need_not_be_there_any_more(
    pattern: bool, tmp_path: Path
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"{name}1\n{name}2\n")
    paths: Any = tmp_path / "*.txt" if pattern else [tmp_path / f"{name}.txt" for name in "abc"]

    async def main() -> list[object]:
        given = context(node="log", fence=HeldFence())
        reading = Following(lambda: sources.lines(paths), 1, given=given)
        await reading.read(reads=4)
        await reading.stop()
        (tmp_path / "a.txt").unlink()
        assert not await reading.read()
        await reading.stop()
        return [record for records in reading.lanes.values() for record in records]

    assert run_virtual(main) == ["a1", "a2", "b1", "b2", "c1", "c2"]


def test_a_path_that_is_no_longer_named_is_left_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("1\n2\n")
    two.write_text("3\n")

    async def main() -> Following:
        reading = Following(lambda: sources.lines([one, two]), 1)
        await reading.read(reads=1)
        await reading.stop()
        reading.make = lambda: sources.lines(two)
        await reading.read()
        await reading.stop()
        return reading

    assert run_virtual(main).lanes == {str(one): ["1"], str(two): ["3"]}
    assert "log: is not among the paths any more" not in caplog.text
    assert f"log: {one} is not among the paths any more" in caplog.text


def test_the_note_of_another_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1\n2\n")

    async def main() -> None:
        reading = Following(lambda: sources.lines(path))
        reading.marks = {str(path): Bookmark(0, b'{"kind":"csv"}')}
        try:
            await reading.read()
        finally:
            await reading.stop()

    with pytest.raises(MisconfiguredError, match=r"log cannot go on .* another kind of source"):
        run_virtual(main)
