"""A machine that is probed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from ....runtime.contracts import dataclass

__all__ = ["Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A machine that is probed: its name, and how it is reached.

    >>> target = Target("lab01", host="10.0.3.1", user="probe", variables={"disk": "/dev/sda"})
    >>> target.address, target.port
    ('10.0.3.1', 22)

    `name` is what results, logs and tables call it, and must be unique in a fleet. `host` is what
    is connected to, the name unless given, at `port`. `user` and `identities` (paths of private
    keys) are those of the prober unless given. `jump` names the machines to go through, first one
    first, each as `[user@]host[:port]`. `variables` fill the arguments of probes, `groups` are
    those that the inventory put it in.
    """

    name: str
    host: str = ""
    port: int = 22
    user: str | None = None
    identities: tuple[str, ...] = ()
    jump: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    groups: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """What is connected to: the host if one is given, else the name."""
        return self.host or self.name
