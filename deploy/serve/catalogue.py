"""Which model a name means: those that were given, and those of a store."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.errors import MisconfiguredError, ThalwegError
from .served_model import ServedModel
from .shelf import Shelf

__all__ = ["Catalogue", "NotServed"]


class NotServed(ThalwegError):
    """No such model, or no such version of it, is served."""


class Catalogue:
    """Finds models by name and version; what was given goes before what is stored.

    Parameters: `given`, the models; `shelf`, those of a store (none), open already. Raises
    MisconfiguredError where two have one name.
    """

    def __init__(self, given: Sequence[ServedModel], shelf: Shelf | None = None) -> None:
        self._given = {model.name: model for model in given}
        self._shelf = shelf
        names = [model.name for model in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if len(self._given) < len(given):
            twice = [name for name in self._given if [m.name for m in given].count(name) > 1]
        if twice:
            raise MisconfiguredError(
                f"two models are called {twice[0]!r}: give one another name, as NAME=MODEL"
            )

    @property
    def models(self) -> list[ServedModel]:
        """All models, each in its newest version."""
        return [*self._given.values(), *(self._shelf.models if self._shelf else ())]

    def versions(self, model: ServedModel) -> list[str]:
        """The versions of the model that can be asked for."""
        if self._shelf is not None and model.name not in self._given:
            return self._shelf.versions(model.name)
        return [model.version] if model.version is not None else []

    async def find(self, name: str, version: str | None = None) -> ServedModel:
        """The model that is meant; in a store an id means one as well. Raises NotServed."""
        model = self._given.get(name)
        if model is None and self._shelf is not None:
            model = await self._shelf.find(name, version)
        elif model is not None and version not in (None, model.version):
            model = None
        if model is not None:
            return model
        names = [model.name for model in self.models]
        if name in names:
            raise NotServed(f"model {name} has no version {version}")
        what = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}" if names else "none is"
        raise NotServed(f"model {name} is not served here, {what}")

    async def only(self) -> ServedModel:
        """The model, where there is one alone. Raises NotServed."""
        models = self.models
        if len(models) == 1:
            return await self.find(models[0].name)
        raise NotServed(
            f"{len(models)} models are served here, and this path names none: "
            "it is there for one alone"
        )
