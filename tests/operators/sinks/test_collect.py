from __future__ import annotations

import copy
from typing import Any

import pytest

from thalweg.operators import sinks
from thalweg.runtime.contracts import Context

pytestmark = pytest.mark.asyncio


async def test_records_are_appended_to_the_list_that_was_given(context: Context) -> None:
    into = [0]
    prototype = sinks.collect(into)
    for batch in ([1, 2], [], [3]):
        job = copy.copy(prototype)
        await job.open(context)
        await job.write(batch)
        await job.close()
    assert into == [0, 1, 2, 3]


async def test_what_is_no_list_is_refused() -> None:
    wrong: Any = (1,)
    with pytest.raises(TypeError, match="the list to append to"):
        sinks.collect(wrong)
