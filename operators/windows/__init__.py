"""Windows: stretches of a stream, of each key, that are told as one value."""

from __future__ import annotations

from .count import Count as Count
from .count import count as count
from .emission import Every as Every
from .emission import every as every
from .hopping import Hopping as Hopping
from .hopping import hopping as hopping
from .result import Window as Window
from .session import Session as Session
from .session import session as session
from .tumbling import Tumbling as Tumbling
from .tumbling import tumbling as tumbling
from .window import window as window
from .windower import Windower as Windower

__all__ = [
    "Count",
    "Every",
    "Hopping",
    "Session",
    "Tumbling",
    "Window",
    "Windower",
    "count",
    "every",
    "hopping",
    "session",
    "tumbling",
    "window",
]
