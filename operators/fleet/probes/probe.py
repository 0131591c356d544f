"""What is asked of a machine: a command line, or a script that is sent there."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from ....runtime.contracts import Duration, MisconfiguredError, dataclass, in_seconds
from ._template import placeholders

__all__ = ["Probe", "probe", "script"]

_LONGEST_COMMAND = 64 * 1024
_LARGEST_SCRIPT = 64 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,62}\Z")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.+-]+")


@dataclass(frozen=True, slots=True)
class Probe:
    """What `probe` and `script` make. See `probe` for all of it.

    `timeout` is in seconds on the target, `max_output` in bytes of each of its two outputs.
    `script` is the path of the local file that is sent, None for a plain command line.
    """

    name: str
    command: str = ""
    script: Path | None = None
    arguments: tuple[str, ...] = ()
    timeout: float = 30.0
    max_output: int = 1_048_576
    exclusive: bool = False
    modest: bool = True

    @property
    def placeholders(self) -> list[str]:
        """The names of what it needs to know of a target.

        >>> probe("df -P {disk}").placeholders
        ['disk']
        """
        return placeholders(self.command, self.arguments)

    def payload(self) -> bytes:
        """The script as it is now, empty for a command line; this reads the file.

        Raises MisconfiguredError for a file that cannot be read, or is empty or too large.
        """
        if self.script is None:
            return b""
        try:
            with self.script.open("rb") as file:
                held = file.read(_LARGEST_SCRIPT + 1)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise MisconfiguredError(
                f"the script {self.script} of the probe {self.name} cannot be read: {why}"
            ) from None
        if not held:
            raise MisconfiguredError(f"the script {self.script} of the probe {self.name} is empty")
        if len(held) > _LARGEST_SCRIPT:
            raise MisconfiguredError(
                f"the script {self.script} of the probe {self.name} holds more than "
                f"{_LARGEST_SCRIPT} bytes, and would be sent to every target"
            )
        return held


def probe(
    command: str,
    *,
    name: str | None = None,
    timeout: Duration = 30.0,
    max_output: int = 1_048_576,
    exclusive: bool = False,
    modest: bool = True,
) -> Probe:
    """A command line that every target is asked to run.

    >>> probe("uptime").name
    'uptime'
    >>> probe("smartctl --json --all {disk} | head -c 100k", name="smart").placeholders
    ['disk']

    The command line is one for `sh`, with pipes, variables and several lines if need be. In it
    `{disk}` stands for a variable of the target, and `{target}`, `{host}`, `{port}` and `{user}`
    for how it is reached. Such a value is always one word, whatever it holds, and never read as
    part of the command line; as with a variable of the shell, nothing is filled in between single
    quotes, so that `awk '{print}'` stays what it is. The command finds nothing on its standard
    input, messages in English (`LC_ALL=C`), and `/usr/sbin` and `/sbin` at the end of `PATH`.

    Parameters:

    - `command`: the command line; others can see it in the list of processes there, and what is
      filled in as well, so that no secret belongs into it.
    - `name`: what results, logs and tables call it (the first word of the command): letters,
      digits and `_.+-`.
    - `timeout`: how long it may take on the target, in seconds or as text, at least 1 s (30 s).
      Then it is ended with all that it started.
    - `max_output`: the bytes of its output that are kept, and of its errors (1 MiB each). It goes
      on when it prints more, and what comes is counted there and thrown away.
    - `exclusive`: run it only when nobody is logged in there (False).
    - `modest`: with the lowest priority for processor and disk, where the target has `nice` and
      `ionice` (True).

    Raises ValueError or TypeError for an option that makes no sense.
    """
    if not isinstance(cast(object, command), str):
        raise TypeError(f"command is the text of a command line, not {command!r}")
    if not command.strip():
        raise ValueError("command is empty; give a command line such as 'uptime'")
    if "\0" in command:
        raise ValueError("command holds a NUL, which no command line can")
    if len(command.encode("utf-8", "surrogateescape")) > _LONGEST_COMMAND:
        raise ValueError(
            f"command is longer than {_LONGEST_COMMAND} bytes: put it into a file, and send that "
            "with script()"
        )
    return Probe(
        name=_checked_name(name, Path(command.split()[0]).name),
        command=command,
        timeout=_checked_timeout(timeout),
        max_output=_checked_output(max_output),
        exclusive=exclusive,
        modest=modest,
    )


def script(
    path: str | os.PathLike[str],
    *,
    args: Sequence[str] = (),
    name: str | None = None,
    timeout: Duration = 30.0,
    max_output: int = 1_048_576,
    exclusive: bool = False,
    modest: bool = True,
) -> Probe:
    """A local script or binary that is sent to every target, run there and removed.

    >>> script("checks/disk.sh", args=["--device", "{disk}"]).name
    'disk'

    It is put into a new folder that only its user can look into, in `$TMPDIR`, `/tmp`, `/var/tmp`,
    `/dev/shm` or the home folder, whichever lets it run, and is gone when the probe has ended,
    also by its limit or because nobody waits for it any more. It is read when a sweep begins, not
    when it is declared.

    Parameters: `path`, the file, of up to 64 MiB, with `#!` and its interpreter in the first line
    unless it is a binary; `args`, its arguments, each handed over as it is but for `{disk}` and
    the like, which are filled in as in `probe` (`{{` and `}}` stand for braces); `name`, that of
    the file without its ending unless given; the others as for `probe`. Raises ValueError or
    TypeError for an option that makes no sense.
    """
    if isinstance(args, str):
        raise TypeError(f"args is a list of arguments, not one text: write args=[{args!r}]")
    for argument in args:
        if not isinstance(cast(object, argument), str):
            raise TypeError(f"each of args is a text, not {argument!r}")
        if "\0" in argument:
            raise ValueError(f"an argument cannot hold a NUL, as {argument!r} does")
    if sum(map(len, args)) > _LONGEST_COMMAND:
        raise ValueError(f"args are longer than {_LONGEST_COMMAND} characters together")
    file = Path(path)
    return Probe(
        name=_checked_name(name, file.stem),
        script=file,
        arguments=tuple(args),
        timeout=_checked_timeout(timeout),
        max_output=_checked_output(max_output),
        exclusive=exclusive,
        modest=modest,
    )


def _checked_name(name: str | None, found: str) -> str:
    if name is None:
        name = _NOT_IN_A_NAME.sub("_", found).lstrip(".+-")[:63] or "probe"
    if not isinstance(cast(object, name), str) or not _NAME.match(name):
        raise ValueError(
            f"the name of a probe is 1 to 63 letters, digits or any of _.+- (files and tables are "
            f"called so), not {name!r}"
        )
    return name


def _checked_timeout(timeout: Duration) -> float:
    seconds = in_seconds(timeout, "timeout")
    if not 1 <= seconds <= 86_400 * 7:
        raise ValueError(f"timeout is from 1 second to 7 days, not {timeout!r}")
    return seconds


def _checked_output(max_output: int) -> int:
    if not isinstance(cast(object, max_output), int) or not 1 <= max_output <= 2**30:
        raise ValueError(f"max_output is from 1 byte to 1 GiB, not {max_output!r}")
    return max_output
