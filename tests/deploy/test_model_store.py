"""The store of models: versions that nothing tears, whoever writes or dies meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.deploy.serve import ModelStore, ModelStoreError
from thalweg.deploy.serve.model_store import default_folder
from thalweg.runtime.errors import MisconfiguredError

ROOT = Path(__file__).resolve().parents[2]
IRIS = ROOT / "graphs" / "models" / "iris.onnx"
STACKED = ROOT / "tests" / "operators" / "endpoints" / "stacked.onnx"

STORE_IT = """
import sys
from pathlib import Path
from thalweg.deploy.serve import ModelStore
for path in sys.argv[2:]:
    print(ModelStore(Path(sys.argv[1])).add(Path(path), "iris").version)
"""


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def files(store: ModelStore) -> set[str]:
    return {path.name for path in (store.folder / "files").iterdir()}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_store_that_is_not_there_yet_is_empty(store: ModelStore) -> None:
    assert list(store.index()) == []
    assert store.mark() is None
    assert not store.folder.exists()


def test_storing_under_a_name_that_exists_makes_a_new_version(store: ModelStore) -> None:
    first, second = store.add(IRIS, "iris"), store.add(STACKED, "iris")
    other = store.add(STACKED, "sums")
    assert [first.version, second.version, other.version] == [1, 2, 1]
    assert first.id == f"iris-1-{sha256(IRIS)[:12]}"
    assert (second.size, second.sha256, second.kind) == (
        STACKED.stat().st_size,
        sha256(STACKED),
        "onnx",
    )
    assert list(ModelStore(store.folder).index()) == [first, second, other]
    assert store.index().with_id(second.id) == second
    # Two versions of the same bytes share a file.
    assert files(store) == {f"{sha256(IRIS)}.onnx", f"{sha256(STACKED)}.onnx"}


def test_the_index_is_json_for_others_to_read(store: ModelStore) -> None:
    model = store.add(IRIS, "iris")
    told = json.loads((store.folder / "index.json").read_text())
    assert told["models"] == [
        {
            "name": "iris",
            "version": 1,
            "id": model.id,
            "kind": "onnx",
            "size": IRIS.stat().st_size,
            "sha256": sha256(IRIS),
            "stored_at": model.stored_at,
        }
    ]


def test_what_was_stored_is_loaded_under_its_name_and_version(store: ModelStore) -> None:
    served = store.load(store.add(STACKED, "sums"))
    assert (served.name, served.version) == ("sums", "1")
    assert list(served.predict(None, [(1.0, 2.0, 3.0)]).rows) == [(6.0, [1.0, 2.0, 3.0])]


def test_the_store_is_for_its_owner_alone(store: ModelStore) -> None:
    model = store.add(IRIS, "iris")
    assert store.folder.stat().st_mode & 0o077 == 0
    assert (store.folder / "files" / model.file).stat().st_mode & 0o077 == 0


def test_a_version_that_is_deleted_lends_its_number_to_no_other(store: ModelStore) -> None:
    first, second = store.add(IRIS, "iris"), store.add(STACKED, "iris")
    assert store.remove("iris", 2) == (second,)
    assert list(store.index()) == [first]
    assert files(store) == {first.file}
    assert store.add(STACKED, "iris").version == 3
    assert [model.version for model in store.remove("iris")] == [1, 3]
    assert files(store) == set()
    assert store.add(IRIS, "iris").version == 4


def test_a_file_that_another_version_needs_is_kept(store: ModelStore) -> None:
    first = store.add(IRIS, "iris")
    store.add(IRIS, "other")
    store.remove("other")
    assert store.load(first).name == "iris"


@pytest.mark.parametrize(
    ("name", "version", "told"),
    [
        ("irs", None, r"there is no model 'irs' \(did you mean 'iris'\?\) in /.*models"),
        ("wine", None, "there is no model 'wine' in /.*models$"),
        ("iris", 7, "the model iris has no version 7 in .*: it has 1, 2"),
    ],
)
def test_what_is_not_there_cannot_be_deleted(
    store: ModelStore, name: str, version: int | None, told: str
) -> None:
    for _ in range(2):
        store.add(IRIS, "iris")
    with pytest.raises(ModelStoreError, match=told):
        store.remove(name, version)
    assert len(list(store.index())) == 2


def test_a_file_that_is_no_model_is_refused_and_leaves_nothing(
    store: ModelStore, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model at all")
    with pytest.raises(MisconfiguredError, match=r"bad\.onnx is no ONNX model") as refused:
        store.add(bad, "bad")
    assert "nothing was stored" in str(refused.value)
    assert "unfinished" not in str(refused.value)
    assert list(store.index()) == []
    assert files(store) == set()
    for path, told in (
        (tmp_path / "nowhere.onnx", "there is no model file"),
        (tmp_path / "notes.txt", "is no model: give the path of an .onnx"),
        (tmp_path, "is no model"),
    ):
        with pytest.raises(MisconfiguredError, match=told):
            store.add(path, "bad")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "a b", "-x", "ä", "a@1", "a=b", "x" * 101, "a\n"]
)
def test_a_name_that_does_not_fit_into_a_url_is_refused(store: ModelStore, name: str) -> None:
    with pytest.raises(MisconfiguredError, match="does not fit into a URL"):
        store.add(IRIS, name)
    assert not store.folder.exists()


def test_a_file_that_was_changed_in_the_store_is_not_loaded(store: ModelStore) -> None:
    model = store.add(IRIS, "iris")
    shutil.copyfile(STACKED, store.folder / "files" / model.file)
    with pytest.raises(ModelStoreError, match=f"is not what was stored as {model.id}"):
        store.load(model)


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "[]",
        '{"format": 2}',
        '{"format": 1, "last": {}, "models": [{"name": "x"}]}',
        '{"format": 1, "last": {}, "models": [{"name": "x", "version": 1, "kind": "onnx", '
        '"size": 1, "sha256": "../../etc/passwd", "stored_at": ""}]}',
    ],
)
def test_a_damaged_index_is_named(store: ModelStore, text: str) -> None:
    store.add(IRIS, "iris")
    (store.folder / "index.json").write_text(text)
    for ask in (store.index, lambda: store.add(IRIS, "iris"), lambda: store.remove("iris")):
        with pytest.raises(ModelStoreError, match=r"index\.json is damaged: .* Put back an older"):
            ask()


def test_a_place_that_cannot_be_a_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelStoreError, match=r"cannot write the store of models '/.*/file/store'"):
        ModelStore(tmp_path / "file" / "store").add(IRIS, "iris")


def test_processes_that_store_at_once_make_a_version_each(store: ModelStore) -> None:
    command = [sys.executable, "-c", STORE_IT, str(store.folder), *[str(IRIS), str(STACKED)] * 3]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(3)
    ]
    versions: list[int] = []
    for process in processes:
        out, _ = process.communicate(timeout=50)
        assert process.returncode == 0
        versions += map(int, out.split())
    assert sorted(versions) == list(range(1, 19))
    index = store.index()
    assert [model.version for model in index] == list(range(1, 19))
    assert {model.sha256 for model in index} == {sha256(IRIS), sha256(STACKED)}


@pytest.mark.parametrize("rename", [1, 2])
def test_a_writer_that_is_killed_before_a_rename_has_changed_nothing(
    store: ModelStore, rename: int
) -> None:
    """The first rename gives the model its place, the second the index."""
    first = store.add(IRIS, "iris")
    before, mark = (store.folder / "index.json").read_bytes(), store.mark()
    kill = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        f"left = [{rename}]\nreplace = Path.replace\n"
        "def replace_or_die(self, target):\n"
        "    left[0] -= 1\n"
        "    if left[0] == 0:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return replace(self, target)\n"
        "Path.replace = replace_or_die\n"
    )
    command = [sys.executable, "-c", kill + STORE_IT, str(store.folder), str(STACKED)]
    done = subprocess.run(command, capture_output=True, timeout=50, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(files(store)) > 1, "it had begun"
    assert (store.folder / "index.json").read_bytes() == before
    assert store.mark() == mark
    assert store.load(first).version == "1"
    # The next one is not held up, takes the number, and clears away what was left behind.
    second = store.add(STACKED, "iris")
    assert second.version == 2
    assert files(store) == {first.file, second.file}


def test_the_folder_is_that_of_the_environment_or_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("THALWEG_MODELS", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local" / "share" / "thalweg" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_folder() == tmp_path / ".local" / "share" / "thalweg" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_folder() == Path("/data/thalweg/models")
    monkeypatch.setenv("THALWEG_MODELS", "/models")
    assert default_folder() == Path("/models")
