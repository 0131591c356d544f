"""A small scoring server for tests and small loads: one model, two protocols, loopback."""

from __future__ import annotations

from .server import ServeError as ServeError
from .server import Serving as Serving
from .server import serve as serve
from .server import serving as serving

__all__ = ["ServeError", "Serving", "serve", "serving"]
