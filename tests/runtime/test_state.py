"""Keyed state: what it notes, what it saves, and what it makes of that again."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from thalweg import KeyedState, StateMismatch
from thalweg.runtime import state as state_module


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def _saved(state: KeyedState[int, int], epoch: int) -> tuple[int, bytes]:
    since, slices = state.save(epoch)
    return since, b"".join(slices)


@pytest.mark.parametrize("seed", range(60))
def test_any_epoch_can_be_rebuilt_from_the_segments_it_asks_for(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(state_module, "_ROUND", chance.choice((1, 3, 256)))
    monkeypatch.setattr(state_module, "_SLICE", chance.choice((2, 1024)))
    state: KeyedState[int, int] = KeyedState()
    segments: dict[int, bytes] = {}
    for epoch in range(1, 60):
        for _ in range(chance.choice((0, 0, 1, 3, 50))):
            key = chance.randrange(100)
            if key in state and chance.random() < 0.3:
                del state[key]
            else:
                state[key] = chance.randrange(1000)
        since, segments[epoch] = _saved(state, epoch)
        assert since <= epoch
        rebuilt: KeyedState[int, int] = KeyedState()
        rebuilt.restore(segments[number] for number in range(since, epoch + 1))
        assert dict(rebuilt) == dict(state)
        assert not state.changed()


def test_an_epoch_saves_what_changed_and_as_much_again_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_module, "_ROUND", 10)
    state: KeyedState[int, int] = KeyedState()
    state.assign(dict.fromkeys(range(10000), 0))
    _, whole = _saved(state, 1)
    asked: list[int] = []
    for epoch in range(2, 700):
        state.assign(dict.fromkeys(range(50), epoch))
        since, data = _saved(state, epoch)
        assert len(data) < len(whole) / 50
        asked.append(epoch - since)
    # A round is 10,000 keys in steps of 50: two rounds and no more are ever asked for.
    assert 300 < max(asked) <= 402


def test_nothing_is_saved_where_nothing_changed() -> None:
    state: KeyedState[int, int] = KeyedState()
    state[1] = 1
    assert _saved(state, 1)[0] == 1
    assert _saved(state, 2) == (1, b"")
    assert _saved(state, 3) == (1, b"")


def test_after_a_restore_the_next_epoch_is_whole() -> None:
    state: KeyedState[int, int] = KeyedState()
    state.assign({key: key for key in range(100)})
    first = _saved(state, 1)[1]
    state[3] = 30
    second = _saved(state, 2)[1]
    restored: KeyedState[int, int] = KeyedState()
    restored.restore([first, second])
    restored[4] = 40
    since, data = _saved(restored, 3)
    assert since == 3
    again: KeyedState[int, int] = KeyedState()
    again.restore([data])
    assert dict(again) == {key: key for key in range(100)} | {3: 30, 4: 40}


def test_a_key_is_forgotten_when_its_time_is_over_and_not_before() -> None:
    clock = Clock()
    state: KeyedState[str, int] = KeyedState(ttl=10.0)
    state = state.fresh(clock)
    state["a"] = 1
    clock.now = 5.0
    state["b"] = 2
    clock.now = 9.9
    assert sorted(state) == ["a", "b"]
    clock.now = 10.0
    assert "a" not in state
    assert state.get("a") is None
    assert len(state) == 1
    state["b"] = 3
    clock.now = 19.9
    assert state["b"] == 3
    clock.now = 20.0
    with pytest.raises(KeyError):
        state["b"]


def test_the_age_of_a_key_survives_a_restart() -> None:
    clock = Clock()
    state: KeyedState[int, int] = KeyedState[int, int](ttl=10.0).fresh(clock)
    state[1] = 1
    clock.now = 6.0
    state[2] = 2
    _, data = _saved(state, 1)
    restored: KeyedState[int, int] = KeyedState[int, int](ttl=10.0).fresh(clock)
    restored.restore([data])
    clock.now = 11.0
    assert list(restored) == [2]
    # What was forgotten is gone from what is saved next, too.
    _, after = _saved(restored, 2)
    again: KeyedState[int, int] = KeyedState()
    again.restore([after])
    assert list(again) == [2]


def test_an_older_version_is_upgraded_or_refused() -> None:
    old: KeyedState[str, int] = KeyedState()
    old["a"] = 7
    data = b"".join(old.save(1)[1])

    def upgrade(version: int, key: str, value: int) -> int:
        assert (version, key) == (1, "a")
        return value * 100

    new: KeyedState[str, int] = KeyedState(version=2, upgrade=upgrade)
    new.restore([data])
    assert dict(new) == {"a": 700}
    with pytest.raises(StateMismatch, match="version 1 of its values and has version 2: give"):
        KeyedState[str, int](version=2).restore([data])
    _, newer = new.save(2)
    with pytest.raises(StateMismatch, match="version 2 of its values and has version 1"):
        KeyedState[str, int]().restore([b"".join(newer)])


@pytest.mark.parametrize("options", [{"ttl": 0}, {"ttl": -1.0}, {"version": 0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        KeyedState[int, int](**options)  # type: ignore[arg-type]


def test_a_key_that_is_assigned_again_is_saved_also_where_others_were_deleted() -> None:
    state: KeyedState[int, int] = KeyedState()
    state.assign({1: 1, 2: 2, 3: 3})
    _saved(state, 1)
    state.assign({1: 10})
    del state[2]
    state.assign({1: 11, 3: 30})
    assert state.changed() == {1, 2, 3}
    _, data = _saved(state, 2)
    again: KeyedState[int, int] = KeyedState()
    again.restore([data])
    assert dict(again) == {1: 11, 3: 30}


def test_keys_that_have_all_changed_are_noted_no_more_and_a_new_one_among_them_is() -> None:
    state: KeyedState[int, int] = KeyedState()
    state.assign({1: 1, 2: 2})
    state.assign({1: 3, 2: 4})
    state.assign({2: 5, 9: 9})
    assert state.changed() == {1, 2, 9}


@pytest.mark.parametrize("ttl", [None, 60.0])
def test_keys_that_are_forgotten_together_are_gone_after_a_restart(ttl: float | None) -> None:
    clock = Clock()
    state: KeyedState[int, int] = KeyedState[int, int](ttl=ttl).fresh(clock)
    state.update({one: one for one in range(400)})
    _, before = _saved(state, 1)
    state[1] = 10
    state.forget([*range(1, 50), 999])
    left = {0: 0} | {one: one for one in range(50, 400)}
    assert dict(state) == left
    assert set(range(1, 50)) <= state.changed()
    since, after = _saved(state, 2)
    assert since == 1
    again: KeyedState[int, int] = KeyedState[int, int](ttl=ttl).fresh(clock)
    again.restore([before, after])
    assert dict(again) == left
    clock.now += 61
    assert dict(state) == (left if ttl is None else {})


def test_what_nobody_saves_notes_no_changes() -> None:
    state: KeyedState[int, int] = KeyedState[int, int]().fresh(saved=False)
    state[1] = 1
    state.assign({2: 2, 3: 3})
    del state[1]
    state.forget([2])
    assert dict(state) == {3: 3}
    assert not state.changed()


def test_a_key_lives_no_longer_because_the_clock_was_set_back_before_a_restart() -> None:
    clock = Clock(now=3600.0)
    state: KeyedState[int, int] = KeyedState[int, int](ttl=10.0).fresh(clock)
    state[1] = 1
    _, data = _saved(state, 1)
    clock.now = 0.0
    restored: KeyedState[int, int] = KeyedState[int, int](ttl=10.0).fresh(clock)
    restored.restore([data])
    restored[2] = 2
    clock.now = 9.9
    assert sorted(restored) == [1, 2]
    clock.now = 10.0
    assert list(restored) == []
