"""Chains of plain functions, run over the records of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import cast

from .batch import Records
from .fusion import Bad, NotAwaited, Run, Stage, fuse, refuse_coroutine

__all__ = ["Chain", "Piece", "Segment"]

Piece = tuple[Records, "Sequence[int] | None"]
"""Some output, and the input index of each record of it; None where that is not known."""


class Chain:
    """Neighbouring plain functions as one: what the planner fuses.

    `limit` is where output closes, however much a `flat_map` yields; with `exact`, each run tells
    which input made which output. A chain with a `flat_map` or a `map_batch` is `flat`: it makes
    any number of pieces, lazily; with a `map_batch` it wants batches `whole`.
    """

    __slots__ = ("_parts", "_traced", "flat", "limit", "stages", "whole")

    def __init__(self, stages: Sequence[Stage], *, limit: int, exact: bool) -> None:
        self.stages = tuple(stages)
        self.limit = limit
        self.flat = any(stage.kind in ("flat_map", "map_batch") for stage in stages)
        self.whole = any(stage.kind == "map_batch" for stage in stages)
        self._parts: list[Stage | Segment] = []
        self._traced: Segment | None = None
        together: list[Stage] = []
        for stage in stages:
            if stage.kind in ("map", "filter", "key_by", "each"):
                together.append(stage)
                continue
            if together:
                self._parts.append(Segment(together, exact=True))
                together = []
            self._parts.append(stage)
        if together:
            self._parts.append(Segment(together, exact=exact or self.flat))

    def straight(self, records: Records) -> tuple[Records, Sequence[int] | None, list[Bad] | None]:
        """Run a chain that is not flat: its output, the input index of each record, the refused.

        The indices are None when every record came through, or when nobody asked.
        """
        segment = self._parts[0]
        assert isinstance(segment, Segment)
        return segment.run(records)

    def traced(self, records: Records) -> tuple[Records, Sequence[int] | None, list[Bad] | None]:
        """As `straight`, with the indices wherever not every record came through."""
        if self._traced is None:
            self._traced = Segment(self.stages, exact=True)
        return self._traced.run(records)

    def flowing(self, records: Records, bad: list[Bad]) -> Iterator[Piece]:
        """Run any chain lazily: pieces of at most `limit` records; what is refused joins `bad`."""
        return self._from(0, records, bad, range(len(records)))

    def _from(
        self, part: int, records: Records, bad: list[Bad], indices: Sequence[int] | None
    ) -> Iterator[Piece]:
        if part == len(self._parts):
            if records:
                yield records, indices
            return
        step = self._parts[part]
        if isinstance(step, Segment):
            out, places, refused = step.run(records)
            for one in refused or ():
                one.index = _at(indices, one.index)
                bad.append(one)
            if step.ends:
                yield [], None  # Nothing comes out, but the actor must have its turn.
                return
            if places is not None and indices is not None:
                indices = [indices[place] for place in places]
            yield from self._from(part + 1, out, bad, indices)
            return
        pieces = self._batched if step.kind == "map_batch" else self._flattened
        for piece, places in pieces(step, records, bad, indices):
            yield from self._from(part + 1, piece, bad, places)

    def _flattened(
        self, stage: Stage, records: Records, bad: list[Bad], indices: Sequence[int] | None
    ) -> Iterator[Piece]:
        function, counts, limit = stage.function, stage.counts, self.limit
        counts.records_in += len(records)
        out: Records = []
        places: list[int] = []
        for index, record in enumerate(records):
            place = _at(indices, index)
            try:
                made = _made(stage, function(record))
                results = iter(cast("Iterable[object]", made))
            except NotAwaited:
                raise
            except Exception as error:
                bad.append(Bad(stage, place, record, error))
                continue
            more = True
            while more:
                before = len(out)
                try:
                    out.extend(islice(results, limit - before))
                except Exception as error:
                    # What came before the exception stays, wherever batches happen to be cut.
                    bad.append(Bad(stage, place, record, error))
                    more = False
                if place is not None:
                    places.extend(repeat(place, len(out) - before))
                more = more and len(out) >= limit
                if len(out) >= limit:
                    counts.records_out += len(out)
                    yield out, places if indices is not None else None
                    out, places = [], []
        if out:
            counts.records_out += len(out)
            yield out, places if indices is not None else None

    def _batched(
        self, stage: Stage, records: Records, bad: list[Bad], indices: Sequence[int] | None
    ) -> Iterator[Piece]:
        if not records:
            return
        stage.counts.records_in += len(records)
        try:
            made = _made(stage, stage.function(list(records)))
            results = iter(cast("Iterable[object]", made))
            while out := list(islice(results, self.limit)):
                stage.counts.records_out += len(out)
                yield out, None
        except NotAwaited:
            raise
        except Exception as error:
            bad.extend(
                Bad(stage, _at(indices, index), record, error)
                for index, record in enumerate(records)
            )


class Segment:
    """Maps and filters fused into one loop, with the counts of each kept."""

    __slots__ = ("_exact", "_first", "_run", "_stages", "ends")

    def __init__(self, stages: Sequence[Stage], *, exact: bool) -> None:
        self._stages = tuple(stages)
        self._exact = exact
        self.ends = stages[-1].kind == "each"
        # The first batch is run with an eye on functions that return coroutines.
        self._first = True
        self._run: Run = fuse(stages, exact=exact, checked=True)

    def run(self, records: Records) -> tuple[Records, Sequence[int] | None, list[Bad] | None]:
        """The output, the input index of each record of it, and what was refused."""
        out, places, bad, drops = self._run(records)
        count = len(records)
        if bad is None and (len(out) == count or (self.ends and not any(drops))):
            for stage in self._stages:
                stage.counts.records_in += count
                stage.counts.records_out += count
        else:
            places = self._account(count, places, bad, drops)
        if self._first:
            self._first = False
            self._run = fuse(self._stages, exact=self._exact)
        return out, places, bad

    def _account(
        self,
        count: int,
        places: Sequence[int] | None,
        bad: list[Bad] | None,
        drops: Iterable[int],
    ) -> Sequence[int] | None:
        """Count what entered and left each stage; say what came through where it is known."""
        entered, dropped = count, iter(drops)
        for stage in self._stages:
            stage.counts.records_in += entered
            if bad is not None:
                entered -= sum(one.stage is stage for one in bad)
            if stage.kind == "filter":
                entered -= next(dropped)
            stage.counts.records_out += entered
        if places is None and bad is not None and entered == count - len(bad):
            refused = {one.index for one in bad}
            return [index for index in range(count) if index not in refused]
        return places


def _at(indices: Sequence[int] | None, index: int | None) -> int | None:
    return None if indices is None or index is None else indices[index]


def _made(stage: Stage, result: object) -> object:
    """What a function that returns several records made, with a word for one that forgot to."""
    if result is None:
        raise TypeError(
            f"the function of {stage.counts.node!r} returned None: a {stage.kind} function returns "
            "records, [] for nothing"
        )
    return refuse_coroutine(stage, result)
