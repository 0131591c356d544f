"""Fused functions: the `for` loop that a person would write by hand, written for them.

Neighbouring plain functions run record by record in one loop, so that what one makes is still in
the processor's cache when the next reads it, and nothing is paid for the seams. The loop is
generated because only then is it exactly that loop; it is a dozen lines, and `source_of` shows
it. After an exception the same iterator goes on with the next record: each record is called once.
Which function raised, the line number tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import length_hint
from types import CoroutineType
from typing import cast

from .batch import Records
from .counts import NodeCounts
from .errors import ThalwegError

__all__ = ["Bad", "NotAwaited", "Run", "Stage", "fuse", "source_of"]

Function = Callable[[object], object]

Run = Callable[[Records], "tuple[Records, Sequence[int] | None, list[Bad] | None, tuple[int, ...]]"]
"""A fused loop: of some records, it returns the output; the input index of each (None when not
asked for, or when every record came through); what was refused; and how many each filter dropped.
"""


class NotAwaited(ThalwegError):
    """A plain function returned a coroutine: a mistake in the graph, not in a record."""


class Stage:
    """One function of a chain, with the counts of its node."""

    __slots__ = ("counts", "function", "kind")

    def __init__(self, kind: str, function: Function, counts: NodeCounts) -> None:
        self.kind = kind
        self.function = function
        self.counts = counts


class Bad:
    """One record that a stage could not take, and why.

    `index` is its place in the batch; None where a batch function hides which record it was.
    """

    __slots__ = ("error", "index", "record", "stage")

    def __init__(self, stage: Stage, index: int | None, record: object, error: Exception) -> None:
        self.stage = stage
        self.index = index
        self.record = record
        self.error = error


def source_of(kinds: Sequence[str], *, exact: bool) -> str:
    """The text of the loop for functions of these kinds: `map`, `filter`, `key_by`; `each` ends."""
    tracked = exact and "filter" in kinds
    drops = [f"d{number}" for number, kind in enumerate(kinds) if kind == "filter"]
    # The functions are arguments, so that they are looked up at once; there is one variable, so
    # that what a function made is let go as soon as the next one has made something of it. When
    # one raises, the variable still holds what it was given.
    functions = "".join(f", f{number}=f{number}" for number in range(len(kinds)))
    head = [
        f"def run(records{functions}):",
        "    out = []",
        "    append = out.append",
        "    bad = None",
        "    places = []" if tracked else "    places = None",
        *(["    place = places.append"] if tracked else []),
        *([f"    {' = '.join(drops)} = 0"] if drops else []),
        f"    source = {'enumerate' if tracked else 'iter'}(records)",
        "    while True:",
        "        try:",
        f"            for {'i, record' if tracked else 'record'} in source:",
    ]
    loop: list[str] = []
    raised: list[tuple[int, int]] = []
    for number, kind in enumerate(kinds):
        raised.append((len(head) + len(loop) + 1, number))
        if kind == "map":
            loop.append(f"                record = f{number}(record)")
        elif kind == "key_by":
            loop.append(f"                record = (f{number}(record), record)")
        elif kind == "each":
            loop.append(f"                f{number}(record)")
        else:
            loop += [
                f"                if not f{number}(record):",
                f"                    d{number} += 1",
                "                    continue",
            ]
    if kinds[-1] != "each":
        loop.append("                append(record)")
    if tracked:
        loop.append("                place(i)")
    tail = [
        "            break",
        "        except NotAwaited:",
        "            raise",
        "        except Exception as error:",
        "            bad = [] if bad is None else bad",
        "            line = error.__traceback__.tb_lineno",
        *([] if tracked else ["            i = len(records) - length_hint(source) - 1"]),
    ]
    for line, number in raised:
        tail += [
            f"            if line == {line}:",
            f"                bad.append(Bad(s{number}, i, record, error))",
        ]
    dropped = "(" + "".join(f"{drop}, " for drop in drops) + ")"
    tail.append(f"    return out, places, bad, {dropped}")
    return "\n".join([*head, *loop, *tail])


def fuse(stages: Sequence[Stage], *, exact: bool, checked: bool = False) -> Run:
    """The loop of these stages. `checked` looks whether a function returns a coroutine."""
    namespace: dict[str, object] = {
        "__name__": __name__,
        "Bad": Bad,
        "NotAwaited": NotAwaited,
        "length_hint": length_hint,
    }
    for number, stage in enumerate(stages):
        namespace[f"s{number}"] = stage
        namespace[f"f{number}"] = _awaitable_refused(stage) if checked else stage.function
    text = source_of([stage.kind for stage in stages], exact=exact)
    name = "+".join(stage.counts.node for stage in stages)
    exec(compile(text, f"<fused {name}>", "exec"), namespace)
    return cast("Run", namespace["run"])


def _awaitable_refused(stage: Stage) -> Function:
    function = stage.function

    def call(record: object) -> object:
        return refuse_coroutine(stage, function(record))

    return call


def refuse_coroutine(stage: Stage, result: object) -> object:
    """The result, unless it is a coroutine that nobody will await: then NotAwaited."""
    if isinstance(result, CoroutineType):
        result.close()
        raise NotAwaited(
            f"the function of {stage.counts.node!r} returned a coroutine that nobody awaits: "
            "give an 'async def' function, not a plain one that calls it"
        )
    return result
