"""A farm: many SSH servers on loopback, some addresses that refuse, and some that say nothing."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from ...operators.fleet import Target
from ...runtime.contracts import MissingExtra, ThalwegError
from .machine import Machine, listening
from .silence import Silence

__all__ = ["Farm", "FarmError"]

_MOST = 60_000
_CONFIG = """\
ListenAddress {address}
Port {port}
HostKey {host_key}
AuthorizedKeysFile {authorized}
PidFile none
MaxStartups {max_startups}
SetEnv HOME={home}
{options}
UseDNS no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
"""

_GUARD = """
read nothing
for pid in $(cat "$1/pids"); do kill -s KILL -- "-$pid" 2>/dev/null; done
rm -rf "$1"
"""
"""Waits for the end of the farm's process, whatever ends it, and then leaves nothing behind."""


class FarmError(ThalwegError):
    """The farm cannot be started here; the message says why."""


class Farm:
    """Real `sshd` on loopback, for as long as the block lasts.

        with Farm(good=20, refusing=2, silent=3) as farm:
            farm.targets, farm.user, farm.identity, farm.known_hosts

    `good` machines answer, each at an address of its own with a host key of its own; at `refusing`
    ones the port is closed; at `silent` ones nothing answers at all. They are named m0001 and so
    on, good ones first, and mixed in `targets`. `max_startups` is the option of sshd of that
    name, `options` more lines for its configuration. Keys, configuration and logs are in `folder`.
    Who logs in is the user that runs this, with an empty home folder. When the block is left, or
    the process is killed, all servers and the folder are gone.

    Raises `FarmError` where there is no `sshd`, and `MissingExtra` without `thalweg[ssh]`.
    """

    def __init__(
        self,
        good: int,
        *,
        refusing: int = 0,
        silent: int = 0,
        max_startups: str = "2000",
        options: str = "",
    ) -> None:
        if min(good, refusing, silent) < 0 or not 0 < good + refusing + silent < _MOST:
            raise ValueError(f"a farm has 1 to {_MOST:,} machines, not {good + refusing + silent}")
        self._good = good
        self._refusing = refusing
        self._silent = silent
        self._max_startups = max_startups
        self._options = options
        self.user = getpass.getuser()
        self.machines: list[Machine] = []
        self.targets: list[Target] = []
        self._silence: list[Silence] = []
        self._guard: subprocess.Popen[bytes] | None = None
        self._claim: socket.socket | None = None

    @property
    def identity(self) -> str:
        """The path of the private key that lets its user in."""
        return str(self.folder / "user_key")

    @property
    def known_hosts(self) -> str:
        """The path of the file that holds the key of every machine."""
        return str(self.folder / "known_hosts")

    def machine(self, name: str) -> Machine:
        """The good machine of this name."""
        return next(one for one in self.machines if one.name == name)

    def __enter__(self) -> Self:
        program = shutil.which("sshd", path=os.defpath + ":/usr/sbin:/sbin:/usr/local/sbin")
        if program is None:
            raise FarmError("there is no sshd: install openssh-server")
        self.folder = Path(tempfile.mkdtemp(prefix="thalweg-farm-"))
        (self.folder / "pids").touch()
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self.folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self._start(program)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _start(self, program: str) -> None:
        if os.geteuid() == 0:
            # Where it may, sshd gives up its rights in this folder, which has to be there.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._claim = socket.socket()
        # A port that no other farm has, for as long as this one stands.
        self._claim.bind(("127.1.255.254", 0))
        port = int(self._claim.getsockname()[1])
        good = self._make_machines(port)
        with (self.folder / "pids").open("w") as pids:
            for machine in good:
                machine.start(program)
                assert machine.process is not None
                pids.write(f"{machine.process.pid}\n")
                pids.flush()
        missing = listening(good, seconds=30 + 0.1 * len(good))
        if missing:
            raise FarmError(f"{missing[0].name} does not answer: {missing[0].log().strip()}")
        self.machines = good
        names = iter(range(len(good) + 1, _MOST))
        bad = [
            Target(f"m{next(names):04}", host=_address(2, number), port=port, user=self.user)
            for number in range(self._refusing)
        ]
        for number in range(self._silent):
            address = _address(3, number)
            self._silence.append(Silence(address, port))
            bad.append(Target(f"m{next(names):04}", host=address, port=port, user=self.user))
        well = [Target(one.name, host=one.address, port=port, user=self.user) for one in good]
        self.targets = _mixed(well, bad)

    def _make_machines(self, port: int) -> list[Machine]:
        authorized = self.folder / "authorized_keys"
        authorized.write_text(f"{_new_key(Path(self.identity))}\n")
        # The user's own would be read by the shell of each session, and may be slow.
        home = self.folder / "home"
        home.mkdir()
        machines: list[Machine] = []
        for number in range(self._good):
            name, address = f"m{number + 1:04}", _address(1, number)
            host_key = self.folder / f"{name}.key"
            public_key = _new_key(host_key)
            config = self.folder / f"{name}.conf"
            config.write_text(
                _CONFIG.format(
                    address=address,
                    port=port,
                    host_key=host_key,
                    authorized=authorized,
                    home=home,
                    max_startups=self._max_startups,
                    options=self._options,
                )
            )
            known = f"[{address}]:{port} {public_key}"
            machines.append(Machine(name, address, port, config, known))
        Path(self.known_hosts).write_text("".join(f"{one.public_key}\n" for one in machines))
        return machines

    def _stop(self) -> None:
        for silence in self._silence:
            silence.close()
        self._silence.clear()
        guard, self._guard = self._guard, None
        if guard is not None:
            # The one way to clean up, whether this process ends well or not.
            guard.communicate()
        for machine in self.machines:
            machine.stop()
        if self._claim is not None:
            self._claim.close()


def _new_key(path: Path) -> str:
    """Make a private key at this path, and return its public key."""
    try:
        from cryptography.hazmat.primitives import serialization as forms
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise MissingExtra("a farm", "ssh") from None
    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.OpenSSH, forms.NoEncryption())
    )
    public = key.public_key().public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH)
    return public.decode()


def _address(block: int, number: int) -> str:
    return f"127.{block}.{number // 250}.{number % 250 + 1}"


def _mixed(good: list[Target], bad: list[Target]) -> list[Target]:
    """Both in one list, the bad ones spread over it evenly, each in its order."""
    share = len(good) / max(1, len(bad))
    placed = [(float(index), one) for index, one in enumerate(good)]
    placed += [((index + 0.5) * share, one) for index, one in enumerate(bad)]
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]
