"""Opens connections: is the machine there, is it the one it should be, does it let us in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import asyncssh

from ....runtime.contracts import Context, MisconfiguredError
from ..targets.target import Target
from .access import SshAccess
from .allowance import Allowance, OutOfTime
from .connection import Connection
from .faults import of_connect, of_handshake, of_jump, of_ping, of_tunnel
from .keys import read_keys
from .known_hosts import KnownHosts
from .limits import ProbeLimits
from .not_reached import NotReached
from .open_files import OutOfFiles
from .ping import may_ping
from .reach import Reacher
from .turns import Turn

__all__ = ["Connector"]

_KEEPALIVE = 30.0
"""Seconds: how long a kept connection may be silent before the machine is asked."""
_CIPHERS = "^aes256-gcm@openssh.com,aes128-gcm@openssh.com"
"""Asked for before all others, which stay: of what a sweep costs here they take the least."""

_PAUSE, _PATIENCE = 0.1, 30.0
"""Seconds: when to look again whether a connection more can be opened, and for how long."""


class _Client(asyncssh.SSHClient):
    """Listens in on a handshake: whether the other side spoke, and what became of its key."""

    def __init__(self, known: KnownHosts) -> None:
        self._known = known
        self._connection: asyncssh.SSHClientConnection | None = None
        self.problem: NotReached | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    @property
    def met(self) -> bool:
        """Whether there is a connection at all."""
        return self._connection is not None

    @property
    def greeted(self) -> bool:
        """Whether it has said who it is."""
        at = self._connection
        return at is not None and bool(at.get_extra_info("server_version"))

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Asked where the key was not one that is known for this machine, a moment ago."""
        try:
            accepted = self._known.accepts(host, addr, port, key)
            if accepted:
                return True  # It was met and written down meanwhile, under another name.
            if accepted is False:
                self.problem = NotReached("host_key_changed", "its key is not the one we know")
                return False
            if not self._known.trust_new:
                self.problem = NotReached(
                    "host_key_unknown", "no key of it is known: add it to known_hosts"
                )
                return False
            if not self._known.record(host, addr, port, key):
                self.problem = NotReached("host_key_changed", "its key is not the one we know")
                return False
        except (OSError, MisconfiguredError) as error:
            self.problem = NotReached(
                "host_key_unknown", f"its key cannot be looked up or written down: {error}"
            )
            return False
        return True

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Asked where a certificate is signed by somebody who is not known for this machine."""
        why = "its certificate is signed by another than the one we know"
        self.problem = NotReached("host_key_changed", why)
        return False


class Connector:
    """Opens connections within the limits; one for each machine that is on the way to others."""

    def __init__(self, access: SshAccess, limits: ProbeLimits, context: Context) -> None:
        self._access = access
        self._limits = limits
        self._context = context
        self._known = KnownHosts(access.known_hosts, trust_new=access.trust_new)
        self._reacher = Reacher()
        self._testing = asyncio.Semaphore(limits.max_testing)
        self._connecting = asyncio.Semaphore(limits.max_connecting)
        self._options: dict[tuple[str, ...], asyncssh.SSHClientConnectionOptions] = {}
        self._jumps: dict[tuple[str, ...], asyncio.Task[Connection]] = {}

    async def prepare(self) -> None:
        """Read the keys that all targets share. Raises `MisconfiguredError` where they are bad.

        Also where machines are to be pinged, and this process may not.
        """
        if self._limits.ping_timeout is not None:
            may_ping()
        await self._options_of(())
        await self._context.in_thread(self._known.load)

    async def open(self, target: Target, turn: Turn, allowance: Allowance) -> Connection:
        """A new connection to this target. Raises `NotReached`, which says why there is none."""
        try:
            options = await self._options_of(target.identities)
        except MisconfiguredError as error:
            raise NotReached("authentication", str(error)) from None
        way = await self._way_to(target.jump) if target.jump else None
        connected = None
        if way is None:
            await turn.enter(self._testing)
            connected = await self._reach(target, allowance)
        try:
            await turn.enter(self._connecting)
            return await self._log_in(target, options, connected, way, allowance)
        except BaseException:
            if connected is not None:
                connected.close()
            raise

    async def _reach(self, target: Target, allowance: Allowance) -> socket.socket:
        """A connection to its port, as soon as this process may open one more."""
        waited = 0.0
        while True:
            try:
                return await self._reach_at_once(target, allowance)
            except OutOfFiles as error:
                if waited >= _PATIENCE:
                    raise error.told() from None
                await asyncio.sleep(_PAUSE)
                waited += _PAUSE

    async def _reach_at_once(self, target: Target, allowance: Allowance) -> socket.socket:
        seconds, reacher = self._limits.connect_seconds, self._reacher
        ping, pinging = self._limits.ping_seconds, False
        try:
            async with reacher.turns, allowance.spend("finding its address", max(5.0, seconds)):
                found = await reacher.resolve(target.address, target.port)
            # Their own limits are kept inside, where they can be told from our being late.
            if ping is not None:
                pinging = True
                async with allowance.spend("the ping", 2 * ping + 1.0):
                    found = await reacher.ping(found, ping)
                pinging = False
            async with allowance.spend("connecting", 2 * seconds + 1.0):
                return await reacher.connect(found, seconds)
        except OutOfTime as error:
            raise NotReached("timeout" if error.whole else "unreachable", str(error)) from None
        except OSError as error:
            OutOfFiles.check(error)
            if ping is not None and pinging:
                raise of_ping(error, ping) from None
            raise of_connect(error, seconds) from None
        except UnicodeError:
            raise NotReached("unreachable", "its name is none that could resolve") from None

    async def _log_in(
        self,
        target: Target,
        options: asyncssh.SSHClientConnectionOptions,
        connected: socket.socket | None,
        way: Connection | None,
        allowance: Allowance,
    ) -> Connection:
        client = _Client(self._known)
        given = {"username": target.user or self._access.user}
        if given["username"] is None:
            del given["username"]
        try:
            address = "" if connected is None else str(connected.getpeername()[0])
            expected = self._known.expected(target.address, address, target.port)
            async with allowance.spend("the handshake", self._limits.handshake_seconds):
                ssh = await asyncssh.connect(
                    target.address,
                    target.port,
                    sock=connected,
                    tunnel=None if way is None else way.ssh,
                    config=None,
                    options=options,
                    client_factory=lambda: client,
                    known_hosts=expected.keys,
                    server_host_key_algs=expected.algorithms,
                    **given,
                )
        except asyncssh.ChannelOpenError as error:
            raise of_tunnel(error, target.jump[-1]) from None
        except MisconfiguredError as error:
            raise NotReached("host_key_unknown", str(error)) from None
        except OutOfTime as error:
            if way is not None and not client.met and not error.whole:
                raise NotReached("unreachable", f"nothing answers {target.jump[-1]}") from None
            raise of_handshake(error, client.greeted) from None
        except Exception as error:
            raise client.problem or of_handshake(error, client.greeted) from None
        return Connection(ssh)

    async def _way_to(self, jump: Sequence[str]) -> Connection:
        """The connection to the last of these machines, shared by all that are behind it."""
        key = tuple(jump)
        task = self._jumps.get(key)
        if task is not None and task.done():
            failed = task.cancelled() or task.exception() is not None
            if failed or not task.result().open:
                task = None
        if task is None:
            task = asyncio.create_task(self._open_jump(key), name=f"thalweg-jump-{key[-1]}")
            self._jumps[key] = task
        try:
            # Others wait for it too: it goes on when this target has had its time.
            return await asyncio.shield(task)
        except NotReached as error:
            raise of_jump(error, key[-1]) from None

    async def _open_jump(self, key: tuple[str, ...]) -> Connection:
        turn = Turn()
        allowance = Allowance(self._limits.deadline_for(0.0))
        try:
            return await self.open(_parse_jump(key), turn, allowance)
        finally:
            turn.leave()

    async def _options_of(self, identities: tuple[str, ...]) -> asyncssh.SSHClientConnectionOptions:
        found = self._options.get(identities)
        if found is None:
            found = await self._context.in_thread(self._make_options, identities)
            self._options[identities] = found
        return found

    def _make_options(self, identities: tuple[str, ...]) -> asyncssh.SSHClientConnectionOptions:
        held = read_keys(self._access, identities)
        return asyncssh.SSHClientConnectionOptions(
            config=None,
            client_keys=held.keys,
            client_certs=held.certificates,
            agent_path=self._access.agent_path(),
            preferred_auth="publickey",
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_kex=False,
            gss_auth=False,
            x509_trusted_certs=None,
            encryption_algs=_CIPHERS,
            login_timeout=0,
            keepalive_interval=_KEEPALIVE,
        )

    async def forget_jumps(self) -> None:
        """Close the connections to machines that are only on the way."""
        tasks, self._jumps = list(self._jumps.values()), {}
        for task in tasks:
            if not task.done():
                task.cancel()
            elif not task.cancelled() and task.exception() is None:
                await task.result().close()

    async def close(self) -> None:
        """Close what is open."""
        await self.forget_jumps()
        self._reacher.close()


def _parse_jump(key: tuple[str, ...]) -> Target:
    """The last of these machines as a target, behind those before it."""
    *before, text = key
    user, at, place = text.rpartition("@")
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, ""
    host = host.strip("[]")
    if port and not port.isdecimal():
        raise NotReached("unreachable", "its port is no number: write [user@]host[:port]")
    return Target(
        text, host=host, port=int(port or 22), user=user if at else None, jump=tuple(before)
    )
