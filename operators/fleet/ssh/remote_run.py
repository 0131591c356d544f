"""How a probe is run on a POSIX target: what is executed there, what is sent, what comes back."""

from __future__ import annotations

import math
import re
import secrets
import shlex
from typing import Literal

from ....runtime.contracts import dataclass
from ..probes._template import command_with, known_of, text_with
from ..probes.probe import Probe
from ..targets.target import Target
from ._perl_program import perl_program
from ._remote_program import LAUNCHER, program

__all__ = ["Ending", "RemoteRun", "remote_run"]

EndingKind = Literal["ran", "late", "exclusive", "failed", "cut_off", "unsupported"]
_TOLD: dict[str, EndingKind] = {
    "ran": "ran",
    "late": "late",
    "exclusive": "exclusive",
    "failed": "failed",
}
_LONGEST_TRAILER = 4096


@dataclass(frozen=True, slots=True)
class Ending:
    """How a probe ended, as the target tells.

    `kind`: `ran`, to its end; `late`, ended by its limit; `exclusive`, somebody is logged in and
    it did not run; `failed`, it could not be started; `cut_off`, the session ended before the
    target told; `unsupported`, the target never understood what was asked, and so is no POSIX
    system or lets its user run no commands.

    `exit_status` and `signal` as the shell there tells them: 137 and `KILL` for what was killed. A
    command that itself exits with 128 and the number of a signal looks the same. `stdout` and
    `stderr` are cut at the limit; `size` counts the bytes of both before that. `elapsed` is in
    seconds there, exact to 10 ms on Linux and to a second elsewhere. `held` says that something
    which the probe left running kept its output open and was not waited for.
    """

    kind: EndingKind
    exit_status: int | None
    signal: str | None
    stdout: bytes
    stderr: bytes
    size: int
    truncated: bool
    elapsed: float | None
    held: bool
    detail: str


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """One run of a probe on a target; `remote_run` makes it.

    `command` is executed there and `sent` is written to its standard input, which then stays open:
    when it closes, whatever the reason, the probe and all that it started are ended. Where one
    stays from the run before, `again` is written to its standard input instead. `limit` is the
    bytes of each output that are kept; `marker` stands around both of them.
    """

    command: str
    sent: bytes
    again: bytes
    limit: int
    marker: str

    @property
    def max_bytes(self) -> int:
        """What either output may come to with what stands around it; more is no answer of ours."""
        return self.limit + 1 + 2 * _LONGEST_TRAILER

    def is_complete(self, stdout: bytes | bytearray) -> bool:
        """Whether all of the standard output is there, its end marker included."""
        tail = bytes(stdout[-_LONGEST_TRAILER:])
        return tail.endswith(b"\n") and f"{self.marker} end ".encode() in tail

    def is_error_complete(self, stderr: bytes | bytearray) -> bool:
        """Whether all of the standard error is there."""
        return stderr.endswith(f"{self.marker} end\n".encode())

    def has_begun(self, stdout: bytes | bytearray) -> bool:
        """Whether the target has told that it began."""
        return f"{self.marker} begin\n".encode() in stdout

    def stays(self, stderr: bytes | bytearray) -> bool:
        """Whether what is executed there stays for the next run."""
        return f"{self.marker} stays\n".encode() in stderr

    def ending(self, stdout: bytes, stderr: bytes) -> Ending:
        """What the two outputs of the session tell, as far as they came.

        Nothing is raised for what they hold: they come from outside.
        """
        before, begun, out = stdout.partition(f"{self.marker} begin\n".encode())
        _, _, err = stderr.partition(f"{self.marker} begin\n".encode())
        if not begun:
            return self._without_answer(before, stderr)
        out, _, trailer = _split_last(out, f"{self.marker} end ".encode())
        err, _, _ = _split_last(err, f"{self.marker} end\n".encode())
        fields = trailer.decode("ascii", "replace").rstrip("\n").split(" ", 8)
        told = trailer.endswith(b"\n") and len(fields) >= 8
        dropped = [_number(field) or 0 for field in fields[5:7]] if told else [0, 0]
        truncated = len(out) > self.limit or len(err) > self.limit or any(dropped)
        size = len(out) + len(err) + sum(dropped)
        out, err = out[: self.limit], err[: self.limit]
        if not told:
            return Ending(
                "cut_off", None, None, out, err, size, truncated, None, held=False,
                detail="the session ended before the probe did",
            )  # fmt: skip
        word, status, signal, start, end, _, _, held, *rest = fields
        kind, detail = _TOLD.get(word, "failed"), rest[0] if rest else ""
        if word not in _TOLD:
            detail = f"the target tells of an ending that is none: {word[:40]!r}"
        elif kind == "exclusive":
            detail = _logged_in(detail)
        elif kind == "late":
            detail = "the probe took longer than its limit, and was ended"
        known = re.fullmatch(r"[A-Z0-9+-]{2,12}", signal) is not None
        return Ending(
            kind=kind,
            exit_status=_status(status),
            signal=signal if known else None,
            stdout=out,
            stderr=err,
            size=size,
            truncated=truncated,
            elapsed=_between(start, end),
            held=held not in ("0", "-"),
            detail=detail,
        )

    def _without_answer(self, stdout: bytes, stderr: bytes) -> Ending:
        said = (stderr.strip() or stdout.strip())[:200].decode("utf-8", "replace")
        line = " ".join(said.split())
        detail = "it is no POSIX system, or lets its user run no commands"
        return Ending(
            kind="unsupported" if line else "cut_off",
            exit_status=None,
            signal=None,
            stdout=stdout[: self.limit],
            stderr=stderr[: self.limit],
            size=len(stdout) + len(stderr),
            truncated=max(len(stdout), len(stderr)) > self.limit,
            elapsed=None,
            held=False,
            detail=f"{detail}; it said: {line}" if line else "the session ended at once",
        )


def remote_run(probe: Probe, target: Target, payload: bytes = b"") -> RemoteRun:
    """How to run a probe on a target.

    `payload` is the script as `probe.payload()` read it, once for all targets. Raises DataError
    where the probe asks for a variable that the target does not have.
    """
    known, whose = known_of(target), f"target {target.name}"
    command = command_with(probe.command, known, whose)
    if probe.script is not None:
        given = (shlex.quote(text_with(text, known, whose)) for text in probe.arguments)
        command = " ".join(('exec "$THALWEG_SCRIPT"', *given))
    # Two secrets: the one that the probe can see in its environment ends no output.
    marker, cookie = f"thalweg-{secrets.token_hex(12)}", secrets.token_hex(12)
    name = probe.script.name if probe.script is not None else "-"
    settings = {
        "m": marker,
        "k": cookie,
        "l": str(math.ceil(probe.timeout)),
        "o": str(probe.max_output + 1),
        "x": str(int(probe.exclusive)),
        "w": str(int(probe.modest)),
        "b": str(len(payload)),
        "f": name,
        "c": command,
    }
    end = f"#{marker}\n"
    assigned = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    first = f"{end}{assigned}{program()}{end}{perl_program(settings)}{end}"
    again = f"{end}{end}{perl_program(settings, again=True)}{end}"
    return RemoteRun(
        command=LAUNCHER,
        sent=first.encode("utf-8", "surrogateescape") + payload,
        again=again.encode("utf-8", "surrogateescape") + payload,
        limit=probe.max_output,
        marker=marker,
    )


def _split_last(text: bytes, mark: bytes) -> tuple[bytes, bytes, bytes]:
    before, found, after = text.rpartition(mark)
    return (before, found, after) if found else (text, b"", b"")


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _status(text: str) -> int | None:
    status = _number(text)
    # A Korn shell adds 256 to the number of a signal where others add 128.
    return status - 128 if status is not None and status > 256 else status


def _between(start: str, end: str) -> float | None:
    try:
        elapsed = float(end) - float(start)
    except ValueError:
        return None
    return round(elapsed, 3) if 0 <= elapsed < math.inf else None


def _logged_in(names: str) -> str:
    users = sorted(set(names.split()))
    if users == ["?"]:
        return "it cannot be told who is logged in: there is no `who`"
    return f"logged in there: {', '.join(users)[:500]}"
