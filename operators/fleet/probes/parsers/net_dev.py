"""`/proc/net/dev`."""

from __future__ import annotations

from typing import TypedDict

from .....runtime.contracts import DataError
from ..probe_result import ProbeResult
from ._output import lines_of, wrong

__all__ = ["Interface", "net_dev"]


class Interface(TypedDict):
    """What went through a network interface since the machine started. See `net_dev`."""

    interface: str
    received_bytes: int
    received_packets: int
    received_errors: int
    received_dropped: int
    sent_bytes: int
    sent_packets: int
    sent_errors: int
    sent_dropped: int


def net_dev(result: ProbeResult) -> list[Interface]:
    """The network interfaces that `/proc/net/dev` lists, `lo` included.

    >>> from thalweg.operators.fleet import result_of
    >>> found = net_dev(result_of('''Inter-|   Receive                     |  Transmit
    ...  face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo
    ...   eth0: 9000 8 0 1 0 0 0 0 700 6 0 0 0 0 0 0
    ... '''))
    >>> found[0]["interface"], found[0]["received_bytes"], found[0]["sent_bytes"]
    ('eth0', 9000, 700)

    Raises DataError for a line of another form.
    """
    found: list[Interface] = []
    titles = 0
    for number, line in lines_of(result, "net_dev"):
        if titles < 2 and "|" in line:
            titles += 1
            continue
        name, colon, rest = line.rpartition(":")
        cells = rest.split()
        whole = len(cells) == 16 and all(cell.isascii() and cell.isdigit() for cell in cells)
        if not colon or not whole:
            raise wrong("net_dev", number, "an interface and 16 numbers are meant", line)
        numbers = [int(cell) for cell in cells]
        found.append(
            {
                "interface": name.strip(),
                "received_bytes": numbers[0],
                "received_packets": numbers[1],
                "received_errors": numbers[2],
                "received_dropped": numbers[3],
                "sent_bytes": numbers[8],
                "sent_packets": numbers[9],
                "sent_errors": numbers[10],
                "sent_dropped": numbers[11],
            }
        )
    if titles < 2:
        raise DataError("net_dev: the two lines of titles are missing")
    return found
