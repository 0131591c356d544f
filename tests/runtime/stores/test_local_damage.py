"""Damage to the files of a local store: found, named, and never taken for a new state."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from thalweg.runtime.errors import StateDamaged, StateError
from thalweg.runtime.stores import SavedEpoch
from thalweg.runtime.stores.local import LocalStore

from . import saving
from .saving import is_as_made, made

SIZE = 2000
PAGE = 4096


async def _filled(folder: Path, last: int) -> None:
    """A state with the last two of so many epochs; those of an even number were seen."""
    store = LocalStore(folder)
    await store.open("job")
    for epoch in range(1, last + 1):
        await store.save(made(epoch, SIZE), keep=2)
    await store.close()


@pytest.fixture(scope="module", params=[8, 9], ids=["last seen", "last unseen"])
def last(request: pytest.FixtureRequest) -> int:
    """The last epoch that was saved."""
    number = request.param
    assert isinstance(number, int)
    return number


@pytest.fixture(scope="module")
def filled(last: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state of so many epochs, closed."""
    folder = tmp_path_factory.mktemp("filled")
    asyncio.run(_filled(folder, last))
    return folder


@pytest.fixture
def damaged(filled: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes a fresh copy of it."""

    def copy() -> Path:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(filled, tmp_path / "copy")
        return tmp_path / "copy"

    return copy


async def recovered(folder: Path) -> int | None:
    """The epoch that a job would go on from, which is then as it was made, and saves the next one.

    None where it refuses; by the rule that it does not go below an epoch that was seen.
    """
    store = LocalStore(folder)
    try:
        await store.open("job")
        epochs = await store.epochs()
        assert epochs, "it looks like a new state"
        for one in reversed(epochs):
            try:
                saved = await store.load(one.epoch)
            except StateDamaged:
                if one.seen:
                    raise
                continue
            assert saved.epoch == one.epoch
            assert is_as_made(saved, SIZE)
            await store.save(made(one.epoch + 1, SIZE), keep=2)
            await store.close()
            await _still_sound(folder, one.epoch + 1)
            return one.epoch
    except StateError as error:
        refusal = error
    else:
        raise AssertionError("no epoch can be loaded, and none of them was seen")
    finally:
        await store.close()
    assert str(folder) in str(refusal)
    # Two kinds cannot be told from files of a later Thalweg, or such as may not be written.
    named = isinstance(refusal, StateDamaged) or re.search("of version|readonly", str(refusal))
    assert named, refusal
    return None


async def _still_sound(folder: Path, last: int) -> None:
    """What was saved after damage that nobody noticed is as it was made, or is found damaged."""
    store = LocalStore(folder)
    try:
        await store.open("job")
        assert (await store.epochs())[-1].epoch >= last
        assert is_as_made(await store.load(last), SIZE)
    except StateDamaged:
        pass
    finally:
        await store.close()


def look(folder: Path, last: int) -> int | None:
    """What is recovered is the last epoch, or an earlier one if the last was not seen, or none."""
    found = asyncio.run(recovered(folder))
    assert found in ({last, None} if last % 2 == 0 else {last, last - 1, None})
    return found


def flip(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def places(path: Path, chance: random.Random) -> Iterator[int]:
    """Bytes of the header, of each page's header, and anywhere."""
    size = path.stat().st_size
    yield from range(100)
    for page in range(0, size, PAGE):
        for _ in range(4):
            yield page + (100 if page == 0 else 0) + chance.randrange(16)
    for _ in range(200):
        yield chance.randrange(size)


def test_without_damage_the_last_epoch_is_recovered(damaged: Callable[[], Path], last: int) -> None:
    assert look(damaged(), last) == last


def test_a_bit_that_flipped_is_found_or_does_no_harm(
    damaged: Callable[[], Path], last: int
) -> None:
    chance = random.Random(last)
    found: list[int | None] = []
    for at in list(places(damaged() / "job" / "state.sqlite", chance)):
        folder = damaged()
        flip(folder / "job" / "state.sqlite", at, chance.randrange(8))
        found.append(look(folder, last))
    # The bits do hit what is kept, and what is free.
    assert found.count(None) > 20
    assert found.count(last) > 20


def test_pages_that_are_lost_or_swapped_are_found(damaged: Callable[[], Path], last: int) -> None:
    pages = (damaged() / "job" / "state.sqlite").stat().st_size // PAGE
    chance = random.Random(last)
    refused = 0
    for page in range(pages):
        for fill in (bytes(PAGE), b"\xff" * PAGE, chance.randrange(pages)):
            path = (folder := damaged()) / "job" / "state.sqlite"
            data = bytearray(path.read_bytes())
            if isinstance(fill, int):
                other = data[fill * PAGE : (fill + 1) * PAGE]
                data[fill * PAGE : (fill + 1) * PAGE] = data[page * PAGE : (page + 1) * PAGE]
                data[page * PAGE : (page + 1) * PAGE] = other
            else:
                data[page * PAGE : (page + 1) * PAGE] = fill
            path.write_bytes(data)
            refused += look(folder, last) is None
    assert refused > pages / 2


def test_a_page_that_was_never_written_is_found(
    tmp_path: Path, damaged: Callable[[], Path], last: int
) -> None:
    """The disk said that it was; what is there is what was before."""
    asyncio.run(_filled(tmp_path / "older", last - 1))
    for page in range((damaged() / "job" / "state.sqlite").stat().st_size // PAGE):
        folder = damaged()
        # The older state goes on for one epoch, so that both are of one lineage.
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "older", folder)
        path = folder / "job" / "state.sqlite"
        before = path.read_bytes()
        asyncio.run(_one_more(folder, last))
        data = bytearray(path.read_bytes())
        if len(before) >= (page + 1) * PAGE:
            data[page * PAGE : (page + 1) * PAGE] = before[page * PAGE : (page + 1) * PAGE]
            path.write_bytes(data)
        look(folder, last)


async def _one_more(folder: Path, epoch: int) -> None:
    store = LocalStore(folder)
    await store.open("job")
    await store.load(epoch - 1)
    await store.save(made(epoch, SIZE), keep=2)
    await store.close()


def test_a_file_that_was_cut_is_found(damaged: Callable[[], Path], last: int) -> None:
    size = (damaged() / "job" / "state.sqlite").stat().st_size
    for length in [0, 1, 50, 100, 1000, *range(PAGE, size, PAGE), size - 1]:
        folder = damaged()
        os.truncate(folder / "job" / "state.sqlite", length)
        assert look(folder, last) != last or length > PAGE
    folder = damaged()
    os.truncate(folder / "job" / "state.sqlite", 0)
    assert look(folder, last) is None


def test_an_older_copy_of_the_database_is_found(
    damaged: Callable[[], Path], last: int, tmp_path: Path
) -> None:
    folder = damaged()
    path = folder / "job" / "state.sqlite"
    older = path.read_bytes()
    asyncio.run(_one_more(folder, last + 1))
    asyncio.run(_one_more(folder, last + 2))
    path.write_bytes(older)

    async def main() -> None:
        store = LocalStore(folder)
        await store.open("job")
        epochs = await store.epochs()
        assert epochs[-1] == SavedEpoch(last + 2, seen=last % 2 == 0)
        with pytest.raises(StateDamaged, match=f"epoch {last + 2} in .* is gone"):
            await store.load(last + 2)
        # Told to aloud, it goes on from what is there.
        assert is_as_made(await store.load(last), SIZE)
        await store.save(made(last + 1, SIZE), keep=2)
        await store.close()
        await store.open("job")
        assert [one.epoch for one in await store.epochs()] == [last, last + 1]
        await store.close()

    asyncio.run(main())


def test_a_database_of_another_state_is_found(damaged: Callable[[], Path], tmp_path: Path) -> None:
    folder = damaged()
    asyncio.run(_filled(tmp_path / "other", 8))
    shutil.copy(tmp_path / "other" / "job" / "state.sqlite", folder / "job" / "state.sqlite")

    async def main() -> None:
        with pytest.raises(StateDamaged, match="is not the one that job 'job' saved its epochs in"):
            await LocalStore(folder).open("job")

    asyncio.run(main())


def test_a_mark_that_is_damaged_in_one_place_is_read_in_the_other(
    damaged: Callable[[], Path], last: int
) -> None:
    for at in (0, 40, PAGE, PAGE + 40):
        folder = damaged()
        flip(folder / "job" / "mark", at, 3)
        assert look(folder, last) == last
    folder = damaged()
    for at in (10, PAGE + 10):
        flip(folder / "job" / "mark", at, 3)

    async def main() -> None:
        store = LocalStore(folder)
        with pytest.raises(StateDamaged, match=r"mark' is damaged.*delete it to go on"):
            await store.open("job")
        (folder / "job" / "mark").unlink()
        await store.open("job")
        assert (await store.epochs())[-1].epoch == last
        await store.close()

    asyncio.run(main())


def test_the_mark_is_never_written_in_both_places_at_once(tmp_path: Path) -> None:
    """So that a power cut can tear one of them only."""

    async def main() -> None:
        store = LocalStore(tmp_path)
        await store.open("job")
        before = (tmp_path / "job" / "mark").read_bytes()
        changed: list[tuple[bool, bool]] = []
        for epoch in range(1, 5):
            await store.save(made(epoch, SIZE), keep=2)
            after = (tmp_path / "job" / "mark").read_bytes()
            changed.append((before[:PAGE] != after[:PAGE], before[PAGE:] != after[PAGE:]))
            before = after
        assert changed == [(True, False), (False, True)] * 2
        await store.close()

    asyncio.run(main())


def test_a_log_that_is_damaged_or_gone_after_a_kill_is_found(tmp_path: Path, last: int) -> None:
    """What is in the log alone must not be forgotten in silence."""

    async def main() -> None:
        store = LocalStore(tmp_path / "live")
        await store.open("job")
        for epoch in range(1, last + 1):
            await store.save(made(epoch, SIZE), keep=2)
        shutil.copytree(tmp_path / "live", tmp_path / "killed")
        await store.close()

    asyncio.run(main())
    chance = random.Random(last)
    log = tmp_path / "killed" / "job" / "state.sqlite-wal"
    size = log.stat().st_size
    assert look_at_copy(tmp_path, last, lambda path: None) == last
    assert look_at_copy(tmp_path, last, lambda path: path.unlink()) is None
    for at in [*range(32), *(chance.randrange(size) for _ in range(100))]:
        look_at_copy(tmp_path, last, partial(flip, at=at, bit=chance.randrange(8)))
    for length in range(0, size, 5 * PAGE + 7):
        look_at_copy(tmp_path, last, partial(os.truncate, length=length))


def look_at_copy(tmp_path: Path, last: int, damage: Callable[[Path], object]) -> int | None:
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(tmp_path / "killed", copy)
    damage(copy / "job" / "state.sqlite-wal")
    return look(copy, last)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE epochs SET head = x'00'",
        "UPDATE epochs SET head = CAST(head AS TEXT)",
        "UPDATE epochs SET seen = 0",
        "UPDATE epochs SET epoch = 10 - epoch + 7 WHERE epoch > 0",
        "UPDATE epochs SET parts = zeroblob(16)",
        "UPDATE segments SET data = x'00' WHERE part = 'delta' AND epoch = 7",
        "UPDATE segments SET data = CAST(data AS TEXT)",
        "UPDATE segments SET since = since + 1 WHERE part = 'delta'",
        "UPDATE segments SET since = since - 1, epoch = epoch - 1",
        "UPDATE segments SET part = part || 'x'",
        "UPDATE segments SET node = part, part = node",
        "DELETE FROM segments WHERE epoch = 6",
        "DELETE FROM segments WHERE epoch = 7",
        "DELETE FROM segments WHERE part = 'whole'",
        "DELETE FROM segments",
        "DELETE FROM epochs",
        "DELETE FROM epochs WHERE epoch = 8",
        "DELETE FROM state",
        "UPDATE state SET token = 100",
        "UPDATE state SET lineage = 'another'",
        "DROP TABLE epochs",
        "DROP TABLE segments",
        "DROP TABLE state",
        "PRAGMA user_version = 0",
    ],
)
def test_a_row_that_was_changed_is_found(tmp_path: Path, change: str) -> None:
    asyncio.run(_filled(tmp_path, 8))
    with sqlite3.connect(tmp_path / "job" / "state.sqlite") as database:
        database.execute(change)
    database.close()
    assert look(tmp_path, 8) is None


def test_two_rows_that_were_swapped_are_found(tmp_path: Path) -> None:
    asyncio.run(_filled(tmp_path, 8))
    with sqlite3.connect(tmp_path / "job" / "state.sqlite") as database:
        database.execute("UPDATE segments SET epoch = 100 WHERE part = 'whole' AND epoch = 8")
        database.execute("UPDATE segments SET epoch = 8 WHERE part = 'whole' AND epoch = 7")
        database.execute("UPDATE segments SET epoch = 7 WHERE part = 'whole' AND epoch = 100")
    database.close()
    assert look(tmp_path, 8) is None


def test_the_error_names_the_epoch_and_the_part(tmp_path: Path) -> None:
    asyncio.run(_filled(tmp_path, 8))
    with sqlite3.connect(tmp_path / "job" / "state.sqlite") as database:
        database.execute("UPDATE segments SET data = x'00' WHERE part = 'delta' AND epoch = 7")
    database.close()

    async def main() -> None:
        store = LocalStore(tmp_path)
        await store.open("job")
        with pytest.raises(
            StateDamaged,
            match=r"epoch 8 in '.*/state.sqlite' is damaged: of part 'delta' of node 'node', what "
            "epoch 7 saved is not what was written",
        ):
            await store.load(8)
        await store.close()

    asyncio.run(main())
    assert saving.since(8) == 6
