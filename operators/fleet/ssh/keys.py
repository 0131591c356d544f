"""The private keys that are offered to machines, read once: opening one may take a second."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from ....runtime.contracts import MisconfiguredError, dataclass
from .access import SshAccess

__all__ = ["Keys", "read_keys"]

_USUAL = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True, slots=True)
class Keys:
    """Private keys, and the certificates that go with some of them."""

    keys: list[asyncssh.SSHKey]
    certificates: list[asyncssh.SSHCertificate]


def read_keys(access: SshAccess, identities: tuple[str, ...]) -> Keys:
    """The keys at these paths, or those of `access`, or the usual ones that are not locked.

    Raises `MisconfiguredError` by the path of what cannot be read, without a word of its content.
    """
    given = [Path(one) for one in identities or access.identities]
    passphrase = access.opened_by()
    keys: list[asyncssh.SSHKey] = []
    certificates: list[asyncssh.SSHCertificate] = []
    for named in given or [Path("~/.ssh", name) for name in _USUAL]:
        path = named.expanduser()
        if not given and not path.exists():
            continue
        try:
            keys.append(_read_key(path, passphrase))
        except MisconfiguredError:
            if given:
                raise
            continue
        beside = path.with_name(f"{path.name}-cert.pub")
        if beside.exists():
            certificates.append(_read_certificate(beside))
    certificates += [_read_certificate(Path(one).expanduser()) for one in access.certificates]
    return Keys(keys, certificates)


def _read_key(path: Path, passphrase: str | None) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(path, passphrase)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise MisconfiguredError(f"the private key {path} cannot be read: {why}") from None
    except (ValueError, asyncssh.KeyEncryptionError) as error:
        # Not what the library says: it may quote what it read.
        if isinstance(error, asyncssh.KeyEncryptionError) or "assphrase" in str(error):
            raise MisconfiguredError(
                f"the private key {path} is encrypted, and not opened by what is given: give its "
                "passphrase as 'env:NAME' or 'file:PATH', or let the SSH agent hold it"
            ) from None
        raise MisconfiguredError(f"{path} is no private key of a kind that is known") from None


def _read_certificate(path: Path) -> asyncssh.SSHCertificate:
    try:
        return asyncssh.read_certificate(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is none"
        raise MisconfiguredError(f"the certificate {path} cannot be read: {why}") from None
