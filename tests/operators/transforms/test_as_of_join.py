"""As-of joins: what is told of a stream that has no keys."""

from __future__ import annotations

from typing import Any

from thalweg import DeadLetter, Graph
from thalweg.operators import as_of_join, sinks, sources


def test_records_without_keys_are_told_and_not_taken_for_pairs() -> None:
    out, letters = list[Any](), list[DeadLetter]()
    graph = Graph("keyless")
    orders: list[dict[str, Any]] = [{"user": "ann", "at": 10}]
    left = graph.read("orders", sources.records(orders)).event_time(
        lambda row: row["at"], unit="s", name="ordered"
    )
    right = graph.read("prices", sources.records(orders)).event_time(
        lambda row: row["at"], unit="s", name="priced"
    )
    keyed = right.key_by(lambda row: row["user"])
    unkeyed: Any = left
    as_of_join("joined", unkeyed, keyed, volatile=True).to("out", sinks.collect(out))
    graph.failed.to("failed", sinks.collect(letters))
    graph.run()
    assert out == []
    (letter,) = letters
    assert letter.node == "joined"
    assert "pairs of a key and a record, not dict: say .key_by(…) on both streams" in (
        letter.error.message
    )
