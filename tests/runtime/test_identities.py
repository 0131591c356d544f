"""The ids of records that may be delivered again."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.runtime.identities import Identities
from thalweg.runtime.stores import Checkpoint, Segment


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def ids_of(record: object) -> object:
    return record


def new(clock: Clock | None = None) -> Identities:
    return Identities("orders", ids_of, clock or Clock())


def sift(ids: Identities, *records: object) -> list[object]:
    found, positions, rejected = ids.sift(list(records), range(len(records)))
    assert len(found) == len(positions)
    assert not rejected
    return found


def restored(segments: Sequence[bytes], clock: Clock | None = None) -> Identities:
    ids = new(clock)
    ids.restore(segments)
    return ids


def epoch(ids: Identities, number: int) -> Segment:
    """An epoch that is committed and acked at once."""
    segment = ids.save(number)
    ids.committed()
    ids.told()
    return segment


def test_a_record_passes_once() -> None:
    ids = new()
    assert sift(ids, "a", "b", "a") == ["a", "b"]
    assert sift(ids, "b", "c") == ["c"]
    assert ids.repeats == 2


def test_positions_stay_with_their_records() -> None:
    ids = new()
    ids.sift(["b"], [7])
    assert ids.sift(["a", "b", "c"], [8, 10, 11]) == (["a", "c"], [8, 11], [])
    whole: list[object] = ["d", "e"]
    assert ids.sift(whole, range(12, 14)) == (whole, range(12, 14), [])


def test_a_record_without_an_id_always_passes() -> None:
    assert sift(new(), None, None) == [None, None]


def test_a_record_of_which_no_id_can_be_told_is_refused_alone() -> None:
    def identity(record: object) -> object:
        if record == 2:
            raise KeyError("id")
        return [record] if record == 3 else record

    ids = Identities("orders", identity, Clock())
    found, positions, rejected = ids.sift([1, 2, 3, 4], [10, 11, 12, 13])
    assert (found, positions) == ([1, 4], [10, 13])
    assert [(one.position, one.record) for one in rejected] == [(11, 2), (12, 3)]
    assert isinstance(rejected[0].error, KeyError)
    assert "let identity return text" in str(rejected[1].error)


def test_what_is_part_of_an_epoch_is_known_after_a_restart() -> None:
    ids = new()
    sift(ids, "a", "b")
    first = ids.save(1)
    sift(ids, "c")  # Of an epoch that is never stored.
    again = restored([first.data])
    assert sift(again, "a", "b", "c") == ["c"]


def test_an_epoch_saves_what_is_new_and_needs_what_was_saved_before() -> None:
    ids = new()
    sift(ids, "a", "b")
    first = epoch(ids, 1)
    sift(ids, "c")
    second = epoch(ids, 2)
    third = epoch(ids, 3)
    assert [pickle.loads(one.data) for one in (first, second)] == [["a", "b"], ["c"]]
    assert third.data == b""
    assert [one.since for one in (first, second, third)] == [1, 1, 1]


def test_the_first_epoch_after_a_restart_saves_all_of_it() -> None:
    ids = restored([pickle.dumps(["a"]), pickle.dumps(["b"])])
    sift(ids, "c")
    segment = ids.save(7)
    assert segment.since == 7
    assert set(pickle.loads(segment.data)) == {"a", "b", "c"}


def test_an_id_is_forgotten_some_time_after_its_ack_and_not_before() -> None:
    clock = Clock()
    ids = new(clock)
    sift(ids, "a")
    ids.save(1)
    clock.now = 10_000.0
    ids.save(2)
    assert sift(ids, "a") == []  # It has not even been committed.
    ids.save(3)
    for _ in range(3):
        ids.committed()
    ids.told()
    clock.now += 299.0
    ids.save(4)
    assert len(ids) == 1
    clock.now += 2.0
    segment = ids.save(5)
    assert len(ids) == 0
    # The segments that held it are not needed any more.
    assert segment.since >= 4


def test_what_comes_again_after_its_ack_is_known_until_it_is_acked_again() -> None:
    clock = Clock()
    ids = new(clock)
    sift(ids, "a")
    epoch(ids, 1)
    clock.now = 200.0
    assert sift(ids, "a") == []  # The ack was lost on its way.
    clock.now = 400.0
    ids.save(2)
    assert sift(ids, "a") == []


def test_what_was_restored_and_never_comes_again_is_forgotten_after_an_hour() -> None:
    clock = Clock(now=50.0)
    ids = restored([pickle.dumps(["a", "b"])], clock)
    sift(ids, "a")
    for number in range(1, 60):
        clock.now = 50.0 + 60.0 * number
        epoch(ids, number)
    assert sift(ids, "b") == []
    ids = restored([pickle.dumps(["a", "b"])], Clock(now=50.0))
    ids._monotonic = Clock(now=50.0 + 3601.0)  # pyright: ignore[reportPrivateUsage]
    ids.save(1)
    assert len(ids) == 0


def test_so_many_at_most_are_known_of_those_that_were_acked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("thalweg.runtime.identities._MOST_ACKED", 100)
    ids = new()
    for number in range(1, 50):
        sift(ids, *range(number * 10, number * 10 + 10))
        epoch(ids, number)
    assert len(ids) <= 120
    assert sift(ids, 499, 10) == [10]


def test_segments_do_not_pile_up() -> None:
    clock = Clock()
    ids = new(clock)
    for number in range(1, 2_000):
        sift(ids, number)
        segment = ids.save(number)
        ids.committed()
        ids.told()
        assert number - segment.since < 300
        clock.now += 0.1


# Against a broker in plain Python


@dataclass
class Broker:
    """Delivers in order what is neither acked nor under way, and again after a lost connection."""

    count: int
    acked: set[int] = field(default_factory=set[int])
    under_way: list[int] = field(default_factory=list[int])

    def deliver(self, most: int) -> list[int]:
        ready = [n for n in range(self.count) if n not in self.acked and n not in self.under_way]
        taken = ready[:most]
        self.under_way += taken
        return taken

    def lose(self) -> None:
        self.under_way.clear()


@dataclass
class Stored:
    """What a store holds: the segments of each epoch, and what has arrived by then."""

    last: int = 0
    checkpoints: list[Checkpoint] = field(default_factory=list[Checkpoint])
    arrived: list[int] = field(default_factory=list[int])

    def needed(self) -> range:
        """The epochs whose segments the last one needs."""
        if not self.checkpoints:
            return range(0)
        return range(self.checkpoints[-1].segments[0].since, self.last + 1)


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["deliver", "deliver", "deliver", "epoch", "ack", "lose", "crash"]),
            st.integers(1, 9),
        ),
        max_size=60,
    ),
    lost=st.lists(st.booleans(), max_size=60),
)
def test_each_message_arrives_once_whatever_happens(
    steps: list[tuple[str, int]], lost: list[bool]
) -> None:
    broker, clock = Broker(40), Clock()
    ids, stored = new(clock), Stored()
    arrived: list[int] = []
    owed: list[list[int]] = []
    present: list[int] = []
    losing = iter(lost)
    for step, number in [*steps, *[("deliver", 9), ("epoch", 1), ("ack", 1)] * 40]:
        clock.now += number / 10
        if step == "deliver":
            came = broker.deliver(number)
            present += came
            arrived += [n for n in sift(ids, *came) if isinstance(n, int)]
        elif step == "epoch":
            segment = ids.save(stored.last + 1)
            checkpoint = Checkpoint(stored.last + 1, b"", [segment], seen=True)
            checkpoint.follow(stored.last, {("orders", "ids"): stored.needed()}, keep=1)
            stored.checkpoints.append(checkpoint)
            stored.last += 1
            stored.arrived = list(arrived)
            ids.committed()
            owed.append(present)
            present = []
        elif step == "ack":
            # The source is told, and the broker may never hear of it.
            ids.told()
            heard = not next(losing, False)
            for batch in owed:
                if heard:
                    broker.acked |= {n for n in batch if n in broker.under_way}
            broker.under_way = [n for n in broker.under_way if n not in broker.acked]
            owed.clear()
        elif step == "lose":
            broker.lose()
            owed.clear()
        else:
            broker.lose()
            ids, arrived, present = new(clock), list(stored.arrived), []
            owed.clear()
            needed = stored.needed()
            ids.restore([c.segments[0].data for c in stored.checkpoints if c.epoch in needed])
    assert sorted(arrived) == list(range(40))
