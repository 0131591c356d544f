"""The step that makes values of results, and that no output can break."""

from __future__ import annotations

from pathlib import Path

import pytest

from thalweg import Graph
from thalweg.operators import sinks, sources
from thalweg.operators.fleet import (
    OUTCOMES,
    ParseContext,
    ParsedResult,
    ProbeResult,
    parse,
    parsers,
    result_of,
)

KEYS = parse(parsers.key_values)


def test_a_value_stands_beside_what_the_result_was() -> None:
    result = result_of("load=3", target="lab07", sweep=900)
    assert KEYS(result) == {**result, "value": {"load": "3"}}


@pytest.mark.parametrize("outcome", [one for one in OUTCOMES if one != "ok"])
def test_another_outcome_passes_as_it_is(outcome: str) -> None:
    result: ProbeResult = {**result_of("load=3"), "outcome": outcome}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
    assert KEYS(result) == {**result, "value": None}


def test_another_status_is_read_when_asked_for() -> None:
    result = result_of("load=3", outcome="exit", exit_status=4)
    read = parse(parsers.key_values, any_status=True)(result)
    assert (read["outcome"], read["value"]) == ("exit", {"load": "3"})
    assert (
        parse(parsers.key_values, any_status=True)(result_of("x", outcome="timeout"))["value"]
        is None
    )


def test_bad_output_is_an_outcome_that_keeps_it() -> None:
    bad = KEYS(result_of("nothing of ours"))
    assert bad["outcome"] == "parse_error"
    assert bad["stdout"] == "nothing of ours"
    assert bad["detail"].startswith("key_values: line 1: key=value is meant")
    assert bad["value"] is None


def test_whatever_a_parser_raises_is_told_with_its_place() -> None:
    def careless(result: ProbeResult) -> int:
        return int(result["stdout"])

    bad = parse(careless)(result_of("many"))
    assert bad["outcome"] == "parse_error"
    assert bad["detail"].startswith("ValueError: invalid literal for int() with base 10: 'many'")
    assert "(test_parse.py:" in bad["detail"]


class FromDdc:
    """Post-collecting code as it was written for DDC."""

    def __init__(self) -> None:
        self.seen: list[ParseContext] = []

    def parse_result(self, stdout: str, stderr: str, context: ParseContext) -> int:
        self.seen.append(context)
        (context.storage / f"{context.target}.txt").write_text(stdout + stderr)
        return len(stdout)


def test_a_class_in_the_form_of_ddc_is_a_parser(tmp_path: Path) -> None:
    ddc, storage = FromDdc(), tmp_path / "a" / "b"
    counted = parse(ddc, storage=storage)
    assert not storage.exists()
    result = result_of("four", stderr="!", target="lab07", probe="p", sweep=900)
    assert counted(result)["value"] == 4
    assert (storage / "lab07.txt").read_text() == "four!"
    assert ddc.seen == [
        ParseContext(
            target="lab07", probe="p", sweep=900, exit_status=0, elapsed=0.0, started=900.0,
            storage=storage,
        )
    ]  # fmt: skip


def test_what_is_no_parser_is_refused() -> None:
    with pytest.raises(TypeError, match=r"write parse\(FromDdc\(\)\)"):
        parse(FromDdc)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="a parser is a function, or has a parse_result, unlike 7"):
        parse(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.asyncio
async def test_it_is_a_step_of_a_graph() -> None:
    results = [result_of("a=1", target="x"), result_of("?", target="y")]
    graph = Graph("parsing")
    collected: list[ParsedResult[dict[str, str]]] = []
    graph.read("results", sources.records(results)).map(parse(parsers.key_values)).to(
        "collected", sinks.collect(collected)
    )
    async with graph.start() as job:
        await job.wait()
    assert [(one["target"], one["outcome"]) for one in collected] == [
        ("x", "ok"), ("y", "parse_error")
    ]  # fmt: skip
