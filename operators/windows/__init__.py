"""Windows: stretches of a stream, of each key, that are told as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...runtime.contracts import offer_lazily

if TYPE_CHECKING:
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

_PLACES = {
    "Count": ".count",
    "Every": ".emission",
    "Hopping": ".hopping",
    "Session": ".session",
    "Tumbling": ".tumbling",
    "Window": ".result",
    "Windower": ".windower",
    "every": ".emission",
}
"""Where a name is that is not in the file of its own name."""

offer_lazily(__name__, __all__, _PLACES)
