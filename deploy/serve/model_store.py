"""A folder of models with their versions, which commands change while a server reads it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

from ...runtime.did_you_mean import did_you_mean
from ...runtime.errors import MisconfiguredError, ThalwegError
from ...runtime.stores.held_folder import sync_folder
from .kinds import kind_of, load_file
from .model_name import checked_name
from .served_model import ServedModel
from .store_index import StoreIndex
from .stored_model import StoredModel

__all__ = ["Mark", "ModelStore", "ModelStoreError", "default_folder"]

Mark = tuple[int, int, int] | None
"""What changes when the index does: a file's number, time and size, or None without a file."""

_INDEX = "index.json"
_UNFINISHED = ".unfinished-"


class ModelStoreError(ThalwegError):
    """The store cannot be read or written, or lacks what was asked of it."""


def default_folder() -> Path:
    """Where models are stored unless told otherwise.

    That is `THALWEG_MODELS`, else `thalweg/models` under `XDG_DATA_HOME`, else under
    `~/.local/share`.
    """
    named = os.environ.get("THALWEG_MODELS")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME", "")
    # The specification has relative paths ignored.
    home = Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share"
    return home / "thalweg" / "models"


class ModelStore:
    """The models in a folder, each name with its versions, numbered from 1.

    Writers take turns by a lock on a file. What they write is complete under another name before
    it is renamed, the index last: who reads sees the store before a change or after it, and so
    does everyone after a crash. The folder is made by the first write, for its owner alone.

    Parameters: `folder`, where it is. All methods block; they raise ModelStoreError.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = folder / "files"

    def mark(self) -> Mark:
        """What tells cheaply whether the index has changed."""
        try:
            status = (self.folder / _INDEX).stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", error) from None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def index(self) -> StoreIndex:
        """Which models there are; none where there is no store yet."""
        path = self.folder / _INDEX
        try:
            return StoreIndex.from_bytes(path.read_bytes())
        except FileNotFoundError:
            return StoreIndex()
        except OSError as error:
            raise self._failed("read", error) from None
        except ValueError as error:
            raise ModelStoreError(
                f"{path} is damaged: {error}. Put back an older copy of it, or move it away and "
                "store the models anew"
            ) from None

    def load(self, model: StoredModel) -> ServedModel:
        """A version, ready to be called.

        Raises MisconfiguredError or MissingExtra where it is no model that can be loaded here.
        """
        path = self._files / model.file
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise self._failed("read", error) from None
        if found != model.sha256:
            raise ModelStoreError(
                f"{path} is not what was stored as {model.id}: delete that version and store it "
                "again"
            )
        return load_file(path, model.name, str(model.version))

    def add(self, path: Path, name: str) -> StoredModel:
        """Store a file as the next version of `name`, once it has proved to be a model.

        Raises MisconfiguredError for a name that does not fit into a URL and for what is no model,
        MissingExtra where that cannot be told without a package.
        """
        kind = kind_of(path)
        if kind is None or not path.is_file():
            load_file(path, name)  # It says what is wrong.
            raise MisconfiguredError(f"{str(path)!r} is no file")
        checked_name(name)
        try:
            with self._held():
                return self._added(path, name, kind)
        except OSError as error:
            raise self._failed("write", error) from None

    def remove(self, name: str, version: int | None = None) -> tuple[StoredModel, ...]:
        """Delete a version, or all of a name; return what was deleted."""
        try:
            with self._held():
                index = self.index()
                versions = index.models.get(name, ())
                gone = tuple(m for m in versions if version is None or m.version == version)
                if not gone:
                    raise ModelStoreError(_not_there(name, version, index, self.folder))
                self._write(index.minus(gone))
                self._sweep(index.minus(gone))
        except OSError as error:
            raise self._failed("write", error) from None
        return gone

    def _added(self, path: Path, name: str, kind: str) -> StoredModel:
        # What is checked is the copy: the file may be changed by others meanwhile.
        with self._unfinished(f".{kind}") as copy:
            with path.open("rb") as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
            try:
                load_file(copy, name).close()
            except MisconfiguredError as error:
                # It names the copy, which nobody knows and which will be gone.
                told = str(error).replace(str(copy.absolute()), str(path))
                told = told.replace(copy.name, path.name)
                raise MisconfiguredError(f"{told}; nothing was stored") from None
            with copy.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            index = self.index()
            model = StoredModel(
                name,
                index.next_version(name),
                kind,
                copy.stat().st_size,
                sha256,
                datetime.now(UTC).isoformat(timespec="milliseconds"),
            )
            copy.replace(self._files / model.file)
        sync_folder(self._files)
        self._write(index.plus(model))
        self._sweep(index.plus(model))
        return model

    def _write(self, index: StoreIndex) -> None:
        with self._unfinished(".json") as copy:
            with copy.open("wb") as file:
                file.write(index.as_bytes())
                file.flush()
                os.fsync(file.fileno())
            copy.replace(self.folder / _INDEX)
        sync_folder(self.folder)

    def _sweep(self, index: StoreIndex) -> None:
        """Delete files that no version needs: of versions deleted, and of writers that died."""
        needed = {model.file for model in index}
        for path in self._files.iterdir():
            if path.name not in needed:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _unfinished(self, ending: str) -> Generator[Path]:
        """A file of its own to write, gone at the end unless it was renamed."""
        descriptor, name = tempfile.mkstemp(ending, _UNFINISHED, self._files)
        os.close(descriptor)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _held(self) -> Generator[None]:
        """The store for this writer alone; waits for the one before."""
        for folder in (self.folder, self._files):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(folder.parent)
        # The file stays: who deletes it lets two hold two.
        file = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _failed(self, what: str, error: OSError) -> ModelStoreError:
        place = error.filename or self.folder
        return ModelStoreError(
            f"cannot {what} the store of models {str(self.folder)!r}: {place}: {error.strerror}"
        )


def _not_there(name: str, version: int | None, index: StoreIndex, folder: Path) -> str:
    versions = index.models.get(name)
    if versions:
        numbers = ", ".join(str(model.version) for model in versions)
        return f"the model {name} has no version {version} in {folder}: it has {numbers}"
    return f"there is no model {name!r}{did_you_mean(name, index.models)} in {folder}"
