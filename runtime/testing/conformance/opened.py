"""One job's copy of an operator, open for as long as a check lasts."""

from __future__ import annotations

from typing import Any, Generic, Self, TypeVar

from ...contracts import Operator
from ..contexts import context, instance

__all__ = ["Opened"]

OperatorT = TypeVar("OperatorT", bound=Operator[Any, Any])


class Opened(Generic[OperatorT]):
    """Opens and closes the copy, as a job does: closed also where it could not be opened."""

    def __init__(self, prototype: OperatorT) -> None:
        self.operator = instance(prototype)

    async def __aenter__(self) -> Self:
        try:
            await self.operator.open(context())
        except BaseException:
            await self.operator.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.operator.close()
