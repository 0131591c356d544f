"""A scoring server for tests, rehearsals and small loads: models over HTTP, on loopback."""

from __future__ import annotations

from .faults import Faults as Faults
from .faults import FaultsError as FaultsError
from .model_store import ModelStore as ModelStore
from .model_store import ModelStoreError as ModelStoreError
from .server import ServeError as ServeError
from .server import Serving as Serving
from .server import serve as serve
from .server import serving as serving

__all__ = [
    "Faults",
    "FaultsError",
    "ModelStore",
    "ModelStoreError",
    "ServeError",
    "Serving",
    "serve",
    "serving",
]
