"""The checks for operators on columns."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence

from ...columns import Columns, Late, Row
from ...contracts import ColumnOperator
from ...dataclass import dataclass
from ...halving import Halving
from ...signals import Trigger, Watermark
from ..stepping import Wake, recall, remember, remembers, step
from .expecting import expect
from .opened import Opened

__all__ = ["COLUMN_CHECKS", "ColumnCase"]

_CUTS = (1, 2, 7, 1024)

Given = Columns | Trigger | Watermark | Wake


@dataclass(frozen=True, slots=True)
class ColumnCase:
    """An operator on columns, what it is given and what it must make of it.

    `make` returns a new prototype. `given` are `Columns`, all with the same columns, and between
    them there may stand `Trigger`, `Watermark` and `Wake`; after them the stream ends, unless `end`
    is False. `expected` are the rows that it makes, `late` those that it hands over as `Late`, and
    each row of `bad` it must refuse by an exception. The checks cut what is given, down to single
    rows, and run it as often as there are of them: some dozens are enough.

    >>> import asyncio
    >>> import pyarrow
    >>> from thalweg.operators import where
    >>> given = Columns(pyarrow.table({"n": range(9)}))
    >>> case = ColumnCase(lambda: where("n > 6"), [given], expected=[{"n": 7}, {"n": 8}])
    >>> for check in COLUMN_CHECKS:
    ...     asyncio.run(check(case))
    """

    make: Callable[[], ColumnOperator]
    given: Sequence[Given]
    expected: Sequence[Row]
    end: bool = True
    bad: Columns | None = None
    late: Sequence[Row] = ()

    def cut(self, most: int) -> list[Given]:
        """What is given, in pieces of so many rows at most."""
        pieces: list[Given] = []
        for one in self.given:
            if isinstance(one, Columns):
                pieces += [one[at : at + most] for at in range(0, len(one), most)]
            else:
                pieces.append(one)
        return pieces


class _Run(Opened[ColumnOperator]):
    """One job's copy of an operator, and the rows that it has made."""

    def __init__(self, prototype: ColumnOperator) -> None:
        super().__init__(prototype)
        self.rows: list[Row] = []
        self.late: list[Row] = []

    def give(self, given: Iterable[Given]) -> None:
        for one in given:
            self.take(_made(self.operator, one))

    def end(self, case: ColumnCase) -> None:
        if case.end:
            self.take(self.operator.on_end())

    def take(self, made: Iterable[object]) -> None:
        for one in list(made):
            assert isinstance(one, Columns), (
                f"the operator made {one!r:.200}: whatever it returns is Columns"
            )
            (self.late if isinstance(one, Late) else self.rows).extend(one.rows())

    def halve(self, columns: Columns) -> list[int]:
        """Give rows as a job does: halved where they raise. Returns the bad ones."""
        pieces = Halving(columns)
        for piece, _ in pieces:
            try:
                made = list(self.operator.process_columns(piece))
            except Exception as error:
                pieces.refuse(error)
                continue
            self.take(made)
        return sorted(at for at, _ in pieces.bad)


def _made(operator: ColumnOperator, one: Given) -> Iterable[object]:
    if isinstance(one, Columns):
        return operator.process_columns(one) if len(one) else ()
    return operator.on_trigger(one.number) if isinstance(one, Trigger) else step(operator, one)


def _expect(run: _Run, case: ColumnCase, when: str) -> None:
    expect(run.rows, case.expected, f"the rows made{when}")
    expect(run.late, case.late, f"the rows that came too late{when}")


async def makes_what_is_expected(case: ColumnCase) -> None:
    """The operator makes of the rows what the case says, and all of it is columns."""
    async with _Run(case.make()) as run:
        run.give(case.given)
        run.end(case)
    _expect(run, case, "")
    assert not run.late or run.operator.has_late, "rows came too late: say has_late = True"


async def closes_without_a_row(case: ColumnCase) -> None:
    """An operator that got no row can end and be closed."""
    async with _Run(case.make()) as run:
        run.give([Trigger(0)])
        run.end(case)
    async with _Run(case.make()):
        pass


async def makes_the_same_however_the_rows_are_cut(case: ColumnCase) -> None:
    """How many rows come at a time says nothing."""
    for most in _CUTS:
        async with _Run(case.make()) as run:
            run.give(case.cut(most))
            run.end(case)
        _expect(run, case, f" when {most} come at a time")


async def reads_only_what_it_asks_for(case: ColumnCase) -> None:
    """A source may leave unread whatever `asks_for` does not name."""
    below = frozenset(name for row in case.expected for name in row)
    asked = case.make().asks_for(below)
    if asked is None or case.late:
        return
    async with _Run(case.make()) as run:
        run.give(_only(one, asked) for one in case.given)
        run.end(case)
    _expect(run, case, f" of the columns {sorted(asked)} alone, which are all that it asks for")


def _only(one: Given, asked: frozenset[str]) -> Given:
    if not isinstance(one, Columns):
        return one
    return Columns(one.table.select([name for name in one.names if name in asked]))


async def a_snapshot_changes_nothing(case: ColumnCase) -> None:
    """A checkpoint after each row does not alter the result."""
    async with _Run(case.make()) as run:
        for one in case.cut(1):
            run.give([one])
            remember(run.operator)
        run.end(case)
    _expect(run, case, " with a snapshot after each of them")


async def goes_on_from_any_snapshot(case: ColumnCase) -> None:
    """A job that is restored at any point makes what an uninterrupted one would have made."""
    prototype, pieces = case.make(), case.cut(1)
    for place in range(len(pieces) + 1):
        async with _Run(prototype) as before:
            before.give(pieces[:place])
            memory = remember(before.operator)
        async with _Run(prototype) as after:
            recall(after.operator, memory)
            after.rows, after.late = before.rows, before.late
            after.give(pieces[place:])
            after.end(case)
        _expect(
            after,
            case,
            f" when restored after {place} pieces (let `snapshot` hold all that is remembered, or "
            "use KeyedState, and let `restore` take it back)",
        )


async def declares_its_memory(case: ColumnCase) -> None:
    """Without memory, what a row makes does not depend on earlier ones, and no signal makes any."""
    prototype = case.make()
    async with _Run(prototype) as used:
        if remembers(used.operator):
            return
        for index, one in enumerate(case.cut(1)):
            before = len(used.rows)
            used.give([one])
            made = used.rows[before:]
            if not isinstance(one, Columns):
                _expect_silence(made, f"at {one!r}")
                continue
            async with _Run(prototype) as fresh:
                fresh.give([one])
            expect(
                made,
                fresh.rows,
                f"what piece {index} makes after the others, against what it makes alone (an "
                "operator that remembers keeps it in a KeyedState, or has snapshot and restore)",
            )
        before = len(used.rows)
        used.end(case)
        _expect_silence(used.rows[before:], "at the end")


def _expect_silence(made: Sequence[Row], when: str) -> None:
    assert not made, (
        f"{when} the operator made {made[0]!r}, but it declares no memory: keep what it makes "
        "columns of in a KeyedState, or write snapshot and restore"
    )


async def copies_share_nothing(case: ColumnCase) -> None:
    """Two jobs with the same prototype do not disturb each other."""
    prototype = case.make()
    async with _Run(prototype) as one, _Run(prototype) as other:
        for piece in case.cut(7):
            one.give([piece])
            other.give([piece])
        one.end(case)
        other.end(case)
    for run in (one, other):
        _expect(run, case, " by one of two jobs (create what changes in `open`, not in `__init__`)")


async def a_bad_row_leaves_no_trace(case: ColumnCase) -> None:
    """Where rows raise, they are halved until the bad one stands alone, and the rest is as if
    it had not been there.
    """
    if case.bad is None:
        return
    for at in range(len(case.bad)):
        bad = case.bad[at : at + 1]
        for place in range(3):
            async with _Run(case.make()) as run:
                for one in case.given:
                    if not isinstance(one, Columns):
                        run.give([one])
                        continue
                    middle = len(one) * place // 2
                    whole = Columns.join([one[:middle], bad, one[middle:]])
                    found = run.halve(whole)
                    assert found == [middle], (
                        f"of rows with {bad.rows()[0]!r} at {middle} those at {found} were refused:"
                        " let process_columns raise for it, and for no other"
                    )
                run.end(case)
            _expect(
                run,
                case,
                f" around the bad {bad.rows()[0]!r} (look at all rows before changing what is "
                "remembered)",
            )


COLUMN_CHECKS: tuple[Callable[[ColumnCase], Coroutine[None, None, None]], ...] = (
    makes_what_is_expected,
    closes_without_a_row,
    makes_the_same_however_the_rows_are_cut,
    reads_only_what_it_asks_for,
    a_snapshot_changes_nothing,
    goes_on_from_any_snapshot,
    declares_its_memory,
    copies_share_nothing,
    a_bad_row_leaves_no_trace,
)
