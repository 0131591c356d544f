"""`key=value` lines."""

from __future__ import annotations

from ..probe_result import ProbeResult
from ._output import lines_of, wrong

__all__ = ["key_values"]


def key_values(result: ProbeResult) -> dict[str, str]:
    """What `key=value` lines say, such as those of `/etc/os-release`.

    >>> from thalweg.operators.fleet import result_of
    >>> key_values(result_of('ID=debian\\nVERSION="12 (bookworm)"\\n'))
    {'ID': 'debian', 'VERSION': '12 (bookworm)'}

    Lines that begin with `#` are passed over; white space around keys and values is taken off, and
    then quotes around a value. Raises DataError for a line without `=`, and for a key that comes
    twice.
    """
    found: dict[str, str] = {}
    for number, line in lines_of(result, "key_values"):
        if line.lstrip().startswith("#"):
            continue
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key:
            raise wrong("key_values", number, "key=value is meant", line)
        if key in found:
            raise wrong("key_values", number, f"{key!r} comes twice", line)
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[key] = value
    return found
