"""Who we are for the machines of a fleet, and how we know them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ....runtime.contracts import dataclass
from ...endpoints.secret import Secret

__all__ = ["SshAccess"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAccess:
    """Who logs in, with what, and whom it trusts.

    >>> SshAccess(user="probe", identities=["~/.ssh/fleet"], agent=False).user
    'probe'

    `user` (the one that runs this) and `identities` (paths of private keys; those of `~/.ssh`
    unless given) are for targets that name none of their own. `certificates` are paths of
    certificates for those keys. `passphrase` opens them, as `env:NAME` or `file:PATH`. With `agent`
    (True) the keys of the SSH agent are offered too, where one runs. Nothing else is: no password.

    The key of each machine is checked against `known_hosts` (`~/.ssh/known_hosts`), always. With
    `trust_new` (False) a machine of which no key is known is believed at first contact, and its
    key is written there; one whose key has changed never is.

    Raises ValueError for a passphrase that stands there itself. When the job opens, a key that
    cannot be read raises `MisconfiguredError`, by its path alone.
    """

    user: str | None = None
    identities: Sequence[str] = ()
    certificates: Sequence[str] = ()
    passphrase: str | None = None
    agent: bool = True
    known_hosts: str = "~/.ssh/known_hosts"
    trust_new: bool = False

    def __post_init__(self) -> None:
        for name in ("identities", "certificates"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"{name} is a list of paths, not a single text")
        if self.passphrase is not None:
            Secret(self.passphrase, "passphrase")

    def opened_by(self) -> str | None:
        """The passphrase itself, read where it stands."""
        return None if self.passphrase is None else Secret(self.passphrase, "passphrase").read()

    def agent_path(self) -> str | None:
        """Where the agent is asked, if there is one."""
        return (os.environ.get("SSH_AUTH_SOCK") or None) if self.agent else None
