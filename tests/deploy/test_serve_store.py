"""A server that serves a store: it takes up what is stored, and lets go of what is deleted."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from thalweg.deploy.serve import ModelStore, ModelStoreError, serving
from thalweg.deploy.serve.model_store import Mark
from thalweg.runtime.errors import MisconfiguredError

ROOT = Path(__file__).resolve().parents[2]
IRIS = ROOT / "graphs" / "models" / "iris.onnx"
STACKED = ROOT / "tests" / "operators" / "endpoints" / "stacked.onnx"
KINDS = ROOT / "tests" / "operators" / "endpoints" / "kinds.onnx"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@asynccontextmanager
async def client_of(store: ModelStore, *models: str) -> AsyncGenerator[ClientSession]:
    """A client of a server that looks at the store with each request."""
    async with (
        serving(*models, store=store.folder, check_every=0.0) as server,
        ClientSession(server.url) as session,
    ):
        yield session


async def told(session: ClientSession, path: str) -> Any:
    """What a path answers, or the status where that is an error."""
    async with session.get(path) as response:
        return await response.json() if response.status == 200 else response.status


async def until_it_is_so(ask: Callable[[], Awaitable[bool]]) -> None:
    """Ask on until the answer is yes."""
    async with asyncio.timeout(20):
        while not await ask():
            pass  # Each question is a request, so others have their turn.


def at_version(session: ClientSession, version: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return (await version_that_answers(session)) == version

    return ask


async def version_that_answers(session: ClientSession, path: str = "/v2/models/sums") -> str:
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    async with session.post(path + "/infer", json={"inputs": [tensor]}) as response:
        answer = await response.json()
        assert response.status == 200, answer
        assert answer["outputs"][0]["data"] == [6.0]
        version: str = answer["model_version"]
        return version


async def command(*words: str) -> None:
    """`thalweg model`, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "thalweg.deploy.cli", "model", *words, stdout=-3
    )
    assert await process.wait() == 0


@pytest.mark.asyncio
async def test_the_newest_version_has_the_plain_name_and_each_has_its_number(
    store: ModelStore,
) -> None:
    for _ in range(3):
        store.add(STACKED, "sums")
    store.add(IRIS, "iris")
    store.remove("sums", 2)
    async with client_of(store) as session:
        assert await version_that_answers(session) == "3"
        assert await version_that_answers(session, "/v2/models/sums/versions/1") == "1"
        assert await version_that_answers(session, "/v2/models/sums/versions/3") == "3"
        assert (await told(session, "/v2/models/sums"))["versions"] == ["1", "3"]
        assert (await told(session, "/v2/models/sums/versions/1"))["versions"] == ["1", "3"]
        for path in ("sums/versions/2", "sums/versions/x", "iris/versions/2", "wine"):
            assert await told(session, f"/v2/models/{path}") == 404
        assert await told(session, "/v1/models") == {"models": ["iris", "sums"]}
        async with session.post("/v2/repository/index") as response:
            listed = [(one["name"], one["version"]) for one in await response.json()]
        assert listed == [("iris", "1"), ("sums", "3")]


@pytest.mark.asyncio
async def test_a_deployment_is_found_by_its_name_or_its_id(store: ModelStore) -> None:
    first = store.add(STACKED, "sums")
    second = store.add(KINDS, "sums")
    body = {"input_data": [{"values": [[1, 2, 3]]}]}
    async with client_of(store) as session:
        for path in (
            f"/v4/deployments/{first.id}/predictions",
            f"/ml/v4/deployments/{first.id}/predictions?version=2020-09-01",
        ):
            async with session.post(path, json=body) as response:
                (part,) = (await response.json())["predictions"]
            assert part["values"] == [[6.0, [1.0, 2.0, 3.0]]]
        for wanted in ("sums", second.id):
            async with session.post(f"/v4/deployments/{wanted}/predictions", json=body) as response:
                # The other model takes other fields.
                assert response.status == 400
        async with session.post("/v4/deployments/sums-9-0/predictions", json=body) as response:
            assert response.status == 404
            assert (await response.json())["errors"][0]["code"] == "deployment_not_found"


@pytest.mark.asyncio
async def test_what_another_process_stores_is_served_without_a_restart(store: ModelStore) -> None:
    folder = str(store.folder)
    async with client_of(store) as session:
        assert await told(session, "/v2/models/sums") == 404
        await command("store", str(STACKED), "--name", "sums", "--store", folder)
        assert await version_that_answers(session) == "1"
        await command("store", str(STACKED), "--name", "sums", "--store", folder)
        await until_it_is_so(at_version(session, "2"))
        assert await version_that_answers(session, "/v2/models/sums/versions/1") == "1"
    async with client_of(store) as session:
        assert await version_that_answers(session) == "2"


@pytest.mark.asyncio
async def test_what_is_deleted_answers_404_and_the_version_before_takes_its_place(
    store: ModelStore,
) -> None:
    for _ in range(2):
        store.add(STACKED, "sums")
    async with client_of(store) as session:
        assert await version_that_answers(session) == "2"
        assert await version_that_answers(session, "/v2/models/sums/versions/1") == "1"
        store.remove("sums", 2)
        assert await version_that_answers(session) == "1"
        assert await told(session, "/v2/models/sums/versions/2") == 404
        store.remove("sums")
        assert await told(session, "/v2/models/sums") == 404
        assert await told(session, "/v2/models/sums/versions/1") == 404


@pytest.mark.asyncio
async def test_a_new_version_that_does_not_load_leaves_the_old_one_and_is_told_of(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "thalweg.serve")
    store.add(STACKED, "sums")
    async with client_of(store) as session:
        assert await version_that_answers(session) == "1"
        second = store.add(KINDS, "sums")
        shutil.copyfile(IRIS, store.folder / "files" / second.file)

        async def warned() -> bool:
            await version_that_answers(session)
            return any(record.levelname == "WARNING" for record in caplog.records)

        await until_it_is_so(warned)
        assert await version_that_answers(session) == "1"
        (line,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert line.startswith("sums version 2 does not load: version 1 goes on: ")
        assert f"is not what was stored as {second.id}" in line
        async with session.get("/v2/models/sums/versions/2") as response:
            assert response.status == 500
            assert f"{second.id} does not load" in (await response.json())["error"]
        store.add(STACKED, "sums")
        await until_it_is_so(at_version(session, "3"))


@pytest.mark.asyncio
async def test_a_model_no_version_of_which_loads_is_a_broken_server_and_not_a_wrong_name(
    store: ModelStore,
) -> None:
    model = store.add(STACKED, "sums")
    shutil.copyfile(IRIS, store.folder / "files" / model.file)
    async with (
        client_of(store) as session,
        session.get("/v2/models/sums") as response,
    ):
        assert response.status == 500
        assert "no version of sums loads" in (await response.json())["error"]


@pytest.mark.asyncio
async def test_a_store_that_is_damaged_meanwhile_stops_nothing(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.add(STACKED, "sums")
    async with client_of(store) as session:
        (store.folder / "index.json").write_text("garbage")
        assert await version_that_answers(session) == "1"
    assert "the models that were there before are served on" in caplog.text
    with pytest.raises(ModelStoreError, match="is damaged"):
        async with serving(store=store.folder):
            pass


@pytest.mark.asyncio
async def test_the_store_is_looked_at_once_in_a_while_only(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(STACKED, "sums")
    looks: list[str] = []
    mark = ModelStore.mark

    def counted(store: ModelStore) -> Mark:
        looks.append("look")
        return mark(store)

    monkeypatch.setattr(ModelStore, "mark", counted)
    async with (
        serving(store=store.folder, check_every=3600.0) as server,
        ClientSession(server.url) as session,
    ):
        for _ in range(5):
            await version_that_answers(session)
        assert looks == ["look"]
        # For a model that is not there it is looked at once.
        store.add(STACKED, "more")
        assert await version_that_answers(session, "/v2/models/more") == "1"


@pytest.mark.asyncio
async def test_models_that_are_given_are_served_beside_those_of_the_store(
    store: ModelStore,
) -> None:
    store.add(STACKED, "sums")
    async with client_of(store, str(IRIS)) as session:
        assert (await told(session, "/v2/models/iris"))["platform"] == "onnxruntime_onnx"
        assert await version_that_answers(session) == "1"
    with pytest.raises(MisconfiguredError, match="two models are called 'sums'"):
        async with serving(f"sums={IRIS}", store=store.folder):
            pass


@pytest.mark.asyncio
async def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "iris.onnx").touch()
    with pytest.raises(MisconfiguredError, match="is no folder: name the models before --store"):
        async with serving(store=tmp_path / "iris.onnx"):
            pass
