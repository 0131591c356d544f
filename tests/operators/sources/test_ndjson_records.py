"""Records from NDJSON files: what is a record, and what is said of a line that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg import Graph
from thalweg.operators import sinks, sources
from thalweg.runtime.dead_letters import DeadLetter
from thalweg.testing import run_virtual

from .following import Following


def read(path: Path, **options: Any) -> Following:
    async def main() -> Following:
        reading = Following(lambda: sources.ndjson_records(path, **options))
        assert not await reading.read()
        await reading.stop()
        return reading

    return run_virtual(main)


def test_each_object_is_a_record_with_the_offset_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(
        b'\xef\xbb\xbf{"n":1}\n\n  {"n": [2, {"m": null}]}\t\r\n \t\r\n{"n":"\\u00e4"}'
    )
    reading = read(path)
    assert reading.records == [{"n": 1}, {"n": [2, {"m": None}]}, {"n": "ä"}]
    assert reading.positions[str(path)] == [0, 12, 44]
    assert reading.rejected == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "not valid JSON at character"),
        (b'{"n":1} x', "not valid JSON at character 9: unexpected content after document"),
        (b'{"n":NaN}', "not valid JSON at character 6: unexpected character"),
        (b"{'n':1}", "not valid JSON at character 2"),
        (b'{"n":"\xff"}', "byte 0xff at byte 7 is not utf-8"),
        (b'{"n":"\0"}', "a NUL at byte 7"),
        (b'{"n":"\\ud800"}', "not valid JSON at character 7"),
        (b"[" * 100_000, "not valid JSON at character 1026: depth limit exceeded"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "depth limit exceeded"),
        (b"[1]", "an array, and no JSON object"),
        (b'"x"', "a text, and no JSON object"),
        (b"1.5", "a number, and no JSON object"),
        (b"true", "true or false, and no JSON object"),
        (b"null", "null, and no JSON object"),
        (b'{"n":"' + b"x" * 10_485_760 + b'"}', "10,485,768 bytes long, more than max_line_bytes"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_a_bad_line_is_rejected_and_those_beside_it_are_read(
    line: bytes, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'{"n":1}\n' + line + b'\n{"n":2}\n')
    reading = read(path)
    assert reading.records == [{"n": 1}, {"n": 2}]
    assert len(reading.rejected) == 1
    assert reading.rejected[0].startswith(f"{path}, line 2: ")
    assert told in reading.rejected[0]
    assert len(reading.rejected[0]) < 400


def test_another_encoding_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes('{"n":"zwölf"}\n["ö"]\n'.encode("latin-1"))
    reading = read(path, encoding="latin-1")
    assert reading.records == [{"n": "zwölf"}]
    assert reading.rejected == [f"{path}, line 2: an array, and no JSON object"]


def test_a_line_that_is_torn_where_the_file_ends_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'{"n":1}\n{"n":')
    reading = read(path)
    assert reading.records == [{"n": 1}]
    assert reading.rejected[0].startswith(f"{path}, line 2: not valid JSON")


def test_the_line_number_is_right_after_a_restart_and_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text('{"n":1}\n{"n":2}\n')

    async def main() -> Following:
        reading = Following(lambda: sources.ndjson_records(path, follow=True), limit=1)
        await reading.read(reads=2)
        await reading.stop()
        with path.open("a") as file:
            file.write("bad\n")
        path.rename(tmp_path / "a.ndjson.1")
        path.write_text('{"n":3}\nworse\n')
        await reading.read()
        await reading.stop()
        return reading

    reading = run_virtual(main)
    assert reading.records == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [text.split(": ")[0] for text in reading.rejected] == [
        f"{path}.1, line 3",
        f"{path}, line 2",
    ]


def test_in_a_job_bad_lines_are_dead_letters_with_lane_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text('{"n":1}\nbad\n{"n":2}\n')
    graph = Graph("lines")
    good: list[dict[str, Any]] = []
    bad: list[DeadLetter] = []
    records = graph.read("orders", sources.ndjson_records(path))
    records.to("good", sinks.collect(good))
    records.failed.to("bad", sinks.collect(bad))
    graph.run()
    assert good == [{"n": 1}, {"n": 2}]
    assert str(bad[0].origin) == f"orders lane {str(path)!r}, record 8"
    assert bad[0].record == "bad"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
LINE = st.one_of(
    st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
    st.sampled_from([b"", b"  ", b"[]", b"{", b"\xff", b"3"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts=st.lists(LINE, max_size=20), end=st.sampled_from([b"\n", b"\r\n"]))
def test_what_was_written_is_read(
    parts: list[dict[str, object] | bytes], end: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(
        b"".join(
            (part if isinstance(part, bytes) else json.dumps(part).encode()) + end for part in parts
        )
    )
    reading = read(path)
    assert reading.lanes[str(path)] == [part for part in parts if isinstance(part, dict)]
    bad = [at for at, part in enumerate(parts, 1) if isinstance(part, bytes) and part.strip()]
    assert [text.split(": ")[0] for text in reading.rejected] == [
        f"{path}, line {at}" for at in bad
    ]
