"""One sweep with parallel-ssh: the file with what to ask is the only argument."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pssh.clients.native import ParallelSSHClient  # type: ignore[import-not-found]

asked = json.loads(Path(sys.argv[1]).read_text())
began = time.perf_counter()
client = ParallelSSHClient(
    asked["hosts"],
    user=asked["user"],
    port=asked["port"],
    pkey=asked["identity"],
    pool_size=asked["at_once"],
    timeout=asked["connect_timeout"],
    num_retries=1,
    allow_agent=False,
)
answers = client.run_command(asked["command"], stop_on_errors=False, read_timeout=15)
found = [
    answer.host
    for answer in answers
    if answer.exception is None and list(answer.stdout) == [asked["answer"]]
]
print(json.dumps({"seconds": time.perf_counter() - began, "found": found}))
