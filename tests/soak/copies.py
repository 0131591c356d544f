"""Copies of `thalweg`, forked from one process that has everything imported.

    python -m tests.soak.copies

Reads a JSON object a line: `argv`, the words after `thalweg`; `said`, a file for what the copy
prints; `point`, where it kills itself, as a list, or null; `tally`, a file for how many points it
passed; `lease`, the seconds of a lease on a state in PostgreSQL. Answers with the process id of the
copy, and with its exit status once it has ended: negative for the signal that ended it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import traceback
from types import ModuleType
from typing import Any

from thalweg.operators.sinks import _postgresql_link
from thalweg.runtime.stores import postgres

from .points import Point, Points

LOADED = (
    "asyncio", "sqlite3", "uvloop", "orjson", "thalweg.deploy.cli", "thalweg.deploy.commands.run",
    "thalweg.operators", "thalweg.runtime.stores.locate", "thalweg.runtime.stores.local",
    "asyncpg", "pyarrow.parquet",
)  # fmt: skip
SHORT = 2.0
"""Seconds for which a copy that stands still keeps a lock at most; outside of tests 30 and 60."""


def copy(asked: dict[str, Any]) -> int:
    """Be `thalweg` with these words; its exit status."""
    file = os.open(asked["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    wait_less(asked["lease"])
    points = Points(None if asked["point"] is None else Point(*asked["point"]))
    points.install(postgres=True)
    from thalweg.deploy.cli import main

    try:
        return main(asked["argv"])
    finally:
        with open(asked["tally"], "w") as tally:
            json.dump(points.counts, tally)


def wait_less(lease: float) -> None:
    """Hold a state, and the locks of a server, for a shorter time than is good outside of tests."""
    vars(postgres.PostgresStore)["__init__"].__kwdefaults__["lease"] = lease
    changed: list[tuple[ModuleType, str, object]] = [(postgres, "_PATIENCE", SHORT)]
    text: str = vars(_postgresql_link)["_SAFELY"]
    changed.append((_postgresql_link, "_SAFELY", text.replace("30000", f"{1000 * SHORT:.0f}")))
    for module, name, value in changed:
        setattr(module, name, value)


def serve() -> None:
    """Fork a copy for each line."""
    for name in LOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    answers = sys.stdout
    print(json.dumps("ready"), file=answers, flush=True)
    while line := sys.stdin.readline():
        child = os.fork()
        if not child:
            status = 70
            try:
                sys.stdin.close()
                status = copy(json.loads(line))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(json.dumps(child), file=answers, flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps(status), file=answers, flush=True)


if __name__ == "__main__":
    serve()
