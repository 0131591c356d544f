"""Conditions and columns by expressions in SQL."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import DeadLetter, Graph, JobFailed, Operator, Row
from thalweg.operators import derive, sinks, sources, where
from thalweg.operators.transforms._expression import Evaluation

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

ROWS: list[Row] = [
    {"n": 1, "x": 0.5, "word": "a"},
    {"n": None, "x": 1.5, "word": "it's"},
    {"n": 3, "x": -2.0, "word": None},
]


def run(rows: list[Row], operator: Operator[Any, Any]) -> tuple[list[Row], list[DeadLetter]]:
    out, letters = list[Row](), list[DeadLetter]()
    graph = Graph("expressions")
    made = graph.read("rows", sources.records(rows)).via("made", operator)
    made.to("out", sinks.collect(out))
    made.failed.to("failed", sinks.collect(letters))
    graph.run()
    return out, letters


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("x > 0", [0, 1]),
        ("n > 0", [0, 2]),
        ("not (n > 0)", []),
        ("word = 'it''s' or rows.n = 3", [1, 2]),
        ("word is null -- all of them?", [2]),
        ("abs(x) = 2", [2]),
    ],
)
def test_the_rows_are_kept_for_which_the_condition_holds(condition: str, kept: list[int]) -> None:
    assert run(ROWS, where(condition)) == ([ROWS[at] for at in kept], [])


def test_columns_are_added_and_replaced() -> None:
    out, _ = run(ROWS[:1], derive(twice="n * 2", x="x + n", **{"a name": "upper(word)"}))
    assert out == [{"n": 1, "word": "a", "twice": 2, "x": 1.5, "a name": "A"}]


def test_only_what_is_needed_is_asked_for() -> None:
    assert where("x > n").asks_for(frozenset({"word"})) == frozenset({"x", "n", "word"})
    assert where("x > n").asks_for(None) is None
    assert derive(y="x * 2").asks_for(frozenset({"y", "n"})) == frozenset({"x", "n"})


def test_a_row_that_cannot_be_worked_out_becomes_a_dead_letter() -> None:
    rows: list[Row] = [{"text": text} for text in [*map(str, range(100)), "ten"]]
    out, letters = run(rows, derive(n="text::int"))
    assert len(out) == 100
    assert [letter.record for letter in letters] == [{"text": "ten"}]
    assert "ten" in letters[0].error.message


def test_a_column_that_there_is_not_fails_the_job() -> None:
    with pytest.raises(JobFailed, match=r"there are the columns \['n', 'x', 'word'\]"):
        run(ROWS, where("z > 1"))


@pytest.mark.parametrize(
    "condition",
    [
        "x >",
        "x, y",
        "1 = 1) union select (2",
        "x > 1 from rows where (1 = 1",
        "x; drop table rows",
        "(select max(x) from rows) = x",
        "exists (select 1 from read_csv('/etc/passwd'))",
        "row_number() over () = 1",
        "*",
        "x limit 1",
        "x group by x",
        "x from other",
        "",
    ],
)
def test_what_is_no_expression_of_one_row_is_refused(condition: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        where(condition)


@pytest.mark.parametrize(
    "condition", ["read_text('/etc/passwd') is null", "getenv('HOME') is not null"]
)
def test_nothing_outside_can_be_reached(condition: str) -> None:
    with pytest.raises((ValueError, JobFailed)):
        run(ROWS, where(condition))


def test_no_column_is_derived_from_nothing() -> None:
    with pytest.raises(ValueError, match="derive makes no column"):
        derive()


@pytest.mark.parametrize("expression", ["sum(x)", "x > avg(x)", "unnest([1, 2])", "list(x)"])
def test_what_is_made_of_several_rows_is_refused_where_it_is_written(expression: str) -> None:
    with pytest.raises(ValueError, match=r"worked out for each row alone, and .* several"):
        derive(x=expression)
    with pytest.raises(ValueError, match="worked out for each row alone"):
        where(expression)


def test_functions_of_one_row_are_not_taken_for_those_of_several() -> None:
    out, _ = run([{"x": [3, 1]}], derive(n="list_sum(x)", most="greatest(1, 2)"))
    assert out == [{"x": [3, 1], "n": 4, "most": 2}]


def test_a_dead_letter_says_in_one_line_what_was_wrong() -> None:
    _, letters = run([{"text": "ten"}], derive(n="text::int"))
    assert "Could not convert string 'ten'" in letters[0].error.message
    assert "\n" not in letters[0].error.message


@given(st.lists(st.sampled_from(["1", "2", "", "x", "y", "1.5", None]), max_size=60))
@settings(max_examples=60, deadline=None)
def test_just_the_rows_that_cannot_be_worked_out_are_left_out(words: list[str | None]) -> None:
    def is_good(word: str | None) -> bool:
        return word is None or word in ("1", "2", "1.5")

    rows: list[Row] = [{"at": at, "word": word} for at, word in enumerate(words)]
    good = [row for row in rows if is_good(cast("str | None", row["word"]))]
    bad = [row for row in rows if row not in good]

    made, letters = run(rows, derive(n="cast(word as double)"))
    assert [{"at": row["at"], "word": row["word"]} for row in made] == good
    assert [letter.record for letter in letters] == bad
    for letter, row in zip(letters, bad, strict=True):
        assert repr(row["word"]) in letter.error.message

    kept, letters = run(rows, where("cast(word as double) > 1.2"))
    assert kept == [row for row in good if row["word"] in ("2", "1.5")]
    assert [letter.record for letter in letters] == bad


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many rows the database is asked, one query after the other."""
    asked = list[int]()
    answer = Evaluation._answer  # pyright: ignore[reportPrivateUsage]

    def counted(self: Evaluation, query: str, table: Any) -> Any:
        asked.append(table.num_rows)
        return answer(self, query, table)

    monkeypatch.setattr(Evaluation, "_answer", counted)
    return asked


def test_why_a_row_is_bad_is_asked_once_for_all_of_its_values(asked: list[int]) -> None:
    words = [None if at % 3 else "x" if at % 2 else str(at) for at in range(1_000)]
    made, letters = run([{"word": word} for word in words], derive(n="cast(word as int)"))
    assert len(letters) == words.count("x")
    assert len(made) == 1_000 - words.count("x")
    # All rows, those of which nothing comes, the two different ones of them, and what is left.
    assert asked == [1_000, 1_000, 2, 1, 1, 1_000 - words.count("x")]


def test_rows_are_found_too_where_the_expression_cannot_be_tried() -> None:
    rows: list[Row] = [{"word": "1"}, {"word": "x"}, {"word": "2"}]
    made, letters = run(rows, derive(n="cast(word as int) + 0 * random()"))
    assert [row["word"] for row in made] == ["1", "2"]
    assert [letter.record for letter in letters] == [{"word": "x"}]


def test_what_a_condition_need_not_work_out_makes_no_dead_letter() -> None:
    # Of both rows the text is none, and only of one it matters: so it is, whoever stands beside it.
    few: list[Row] = [{"n": 0, "word": "x"}, {"n": 2, "word": "3"}]
    bad: Row = {"n": 2, "word": "x"}
    for rows in (few, [*few, bad]):
        kept, letters = run(rows, where("n > 1 and cast(word as int) > 1"))
        assert kept == [{"n": 2, "word": "3"}]
        assert [letter.record for letter in letters] == rows[2:]


def test_no_row_is_lost_or_doubled_where_chance_decides() -> None:
    rows: list[Row] = [{"word": "1"} for _ in range(64)]
    chance = "cast(case when random() < 0.5 then 'x' else word end as int)"
    made, letters = run(rows, derive(n=chance))
    assert len(made) + len(letters) == 64
    assert letters


def test_rows_are_told_apart_by_what_an_expression_calls_in_another_way() -> None:
    # The first of two that differ only in case keeps its name, and `rows` is a column here.
    several: list[Row] = [{"a": "1", "A": "x"}, {"a": "1", "A": None}, {"a": "1", "A": "2"}]
    made, letters = run(several, derive(n="cast(A_1 as int) + cast(a as int)"))
    assert [row["n"] for row in made] == [None, 3]
    assert [letter.record for letter in letters] == several[:1]
    nested: list[Row] = [{"rows": {"x": one}, "y": 1} for one in ("x", None, "1")]
    made, letters = run(nested, derive(n="cast(rows.x as int) + y"))
    assert [row["n"] for row in made] == [None, 2]
    assert [letter.record for letter in letters] == nested[:1]


def test_an_expression_that_looks_at_no_column_is_bad_for_all_rows_at_once(
    asked: list[int],
) -> None:
    made, letters = run([{"n": at} for at in range(500)], derive(m="cast('x' as int)"))
    assert made == []
    assert len(letters) == 500
    assert len(asked) == 3


def test_a_column_is_called_by_its_name_and_not_by_its_number() -> None:
    with pytest.raises(ValueError, match="calls columns by their names"):
        where("#1 > 2")
