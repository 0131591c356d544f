"""`smartctl --json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast

from .....runtime.contracts import DataError
from ..probe_result import ProbeResult
from .json_value import json_value

__all__ = ["Disk", "smartctl"]

_START_STOP = 4
_POWER_CYCLES = 12


class Disk(TypedDict):
    """What a disk tells of itself; None for what it does not tell.

    `start_stops` counts the starts of its motor, `temperature` is in degrees Celsius.
    See `smartctl`.
    """

    device: str
    model: str | None
    serial: str | None
    healthy: bool | None
    power_on_hours: int | None
    power_cycles: int | None
    start_stops: int | None
    temperature: int | None


def smartctl(result: ProbeResult) -> Disk:
    """What `smartctl --json --all DEVICE` (7.0 or later) says of a disk.

    >>> from thalweg.operators.fleet import result_of
    >>> disk = smartctl(result_of('''{"smartctl": {"exit_status": 0},
    ...  "device": {"name": "/dev/sda"}, "power_on_time": {"hours": 4711}}'''))
    >>> disk["device"], disk["power_on_hours"], disk["model"]
    ('/dev/sda', 4711, None)

    Its exit status has a bit for each warning, so `parse` needs `any_status=True`. Raises DataError
    for what is no answer of it, and for a device that it could not open, with its own words.
    """
    found = json_value(result)
    told = _within(found, "smartctl")
    status = told.get("exit_status")
    if not isinstance(status, int):
        raise DataError("smartctl: this is no answer of smartctl --json: it has no exit status")
    device = _within(found, "device").get("name")
    if status & 0b11 or not isinstance(device, str):
        raise DataError(f"smartctl: the device could not be asked{_said(told)}")
    whole = cast("Mapping[str, object]", found)
    raw = _raw_values(found)
    return {
        "device": device,
        "model": _text(whole.get("model_name")),
        "serial": _text(whole.get("serial_number")),
        "healthy": _flag(_within(found, "smart_status").get("passed")),
        "power_on_hours": _number(_within(found, "power_on_time").get("hours")),
        "power_cycles": _first(_number(whole.get("power_cycle_count")), raw.get(_POWER_CYCLES)),
        "start_stops": raw.get(_START_STOP),
        "temperature": _number(_within(found, "temperature").get("current")),
    }


def _within(value: object, name: str) -> Mapping[str, object]:
    inner = cast("Mapping[str, object]", value).get(name) if isinstance(value, dict) else None
    return cast("Mapping[str, object]", inner) if isinstance(inner, dict) else {}


def _raw_values(found: object) -> dict[int, int]:
    table = _within(found, "ata_smart_attributes").get("table")
    values: dict[int, int] = {}
    for row in cast("list[object]", table) if isinstance(table, list) else ():
        wrapped = {"row": row}
        number = _number(_within(wrapped, "row").get("id"))
        value = _number(_within(row, "raw").get("value"))
        if number is not None and value is not None:
            values[number] = value
    return values


def _said(told: Mapping[str, object]) -> str:
    messages = told.get("messages")
    said = [
        text
        for message in (cast("list[object]", messages) if isinstance(messages, list) else ())
        if (text := _text(_within({"message": message}, "message").get("string"))) is not None
    ]
    return f": {'; '.join(said)[:300]}" if said else ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _first(value: int | None, other: int | None) -> int | None:
    return other if value is None else value
