"""How many files this process may have open: each connection is one."""

from __future__ import annotations

import contextlib
import errno
import resource

from ....runtime.contracts import MisconfiguredError

__all__ = ["OutOfFiles", "raise_limit"]

_ENOUGH = 65_536
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)


class OutOfFiles(Exception):
    """This process, or this machine, can open no more connections: the target is not to blame."""

    @staticmethod
    def check(error: OSError) -> None:
        """Raises this where that is what an error tells."""
        if error.errno in _OURS:
            raise OutOfFiles(error.strerror or "") from None

    def told(self) -> MisconfiguredError:
        """The same for whoever runs the graph, where it does not pass."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return MisconfiguredError(
            f"no more connections can be opened from here ({self}), and none has become free: this "
            f"process may have {soft:,} files open. Let it have more (ulimit -n), or lower "
            "max_testing and max_running of ProbeLimits"
        )


def raise_limit() -> int:
    """Let this process have as many files open as it may; return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft
