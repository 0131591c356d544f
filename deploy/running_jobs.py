"""The jobs that run on this machine, so that one is found by its name from another process.

Each is told in a file of its own, which its process holds locked: whoever can lock one has found
what a process left behind that was killed, and takes it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from ..runtime.dataclass import dataclass
from ..runtime.errors import ThalwegError
from ..runtime.nodes import nearest

__all__ = ["RunningJob", "find_job", "running_jobs", "told"]

_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a process runs: the name of its graph, its id, and where it answers, if it does.

    >>> RunningJob("words", "0123456789abcdef", 7, "127.0.0.1:9464").address
    '127.0.0.1:9464'
    """

    name: str
    id: str
    process: int
    address: str | None


def folder_of_jobs() -> Path:
    """Where they are told: `THALWEG_JOBS`, else a folder of this user's, the same for what a shell,
    cron or a service starts, whose variables differ.
    """
    given, user = os.environ.get("THALWEG_JOBS"), os.getuid()
    if given:
        return Path(given).absolute()
    of_user = Path(f"/run/user/{user}")
    return of_user / "thalweg-jobs" if of_user.is_dir() else Path(f"/tmp/thalweg-jobs-{user}")


@contextlib.contextmanager
def told(job: RunningJob) -> Generator[None]:
    """Within this block the job is found. Raises ThalwegError where it cannot be told."""
    folder = folder_of_jobs()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(folder)
        hidden = folder / f".{job.id}"
        file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ThalwegError(f"{folder}: {error.strerror}") from error
    path = folder / f"{job.id}{_SUFFIX}"
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, orjson.dumps(asdict(job)))
        os.replace(hidden, path)  # Whoever sees it sees it locked.
        yield
    finally:
        for one in (hidden, path):
            one.unlink(missing_ok=True)
        os.close(file)


def running_jobs() -> list[RunningJob]:
    """The jobs that this user runs on this machine, by name."""
    folder = folder_of_jobs()
    try:
        _check_owner(folder)
        found = [_read(path) for path in folder.glob(f"*{_SUFFIX}")]
    except (OSError, ThalwegError):
        return []
    jobs = [one for one in found if one is not None]
    return sorted(jobs, key=lambda job: (job.name, job.process))


def find_job(name: str) -> RunningJob:
    """The job of this name or id. Raises ThalwegError where there is none, or several."""
    jobs = running_jobs()
    found = [job for job in jobs if name in (job.name, job.id)]
    if len(found) > 1:
        raise ThalwegError(
            f"{len(found)} jobs {name!r} run here: ask for one by its id, "
            f"{' or '.join(job.id for job in found)}"
        )
    if not found:
        names = list(dict.fromkeys(job.name for job in jobs))
        raise ThalwegError(
            f"you run no job {name!r} on this machine; there is {', '.join(names) or 'none'}."
            f"{nearest(name, names)}"
        )
    return found[0]


def _check_owner(folder: Path) -> None:
    """Raise ThalwegError where others could tell us of jobs: the folder above may be anybody's."""
    status = folder.lstat()
    if (
        not stat.S_ISDIR(status.st_mode)
        or status.st_uid != os.getuid()
        or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ):
        raise ThalwegError(
            f"{folder} is no folder that only you can write to: name another by THALWEG_JOBS"
        )


def _read(path: Path) -> RunningJob | None:
    """What a file tells; None where its process has gone, and then the file has too."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            return None
        said: dict[str, Any] = orjson.loads(os.read(file, 1 << 16))
        return RunningJob(**said)
    except (orjson.JSONDecodeError, TypeError):
        return None  # Another version of this program wrote it.
    finally:
        os.close(file)
