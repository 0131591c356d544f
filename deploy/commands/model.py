"""`thalweg model`: the store of models that `thalweg serve --store` serves."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..exit_status import ExitStatus, UsageError

if TYPE_CHECKING:
    from ..serve.model_store import ModelStore
    from ..serve.stored_model import StoredModel

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg model store iris.onnx --name iris
  thalweg model list
  thalweg model list --json
  thalweg model delete iris@1
  thalweg serve --store

Storing under a name that exists makes a new version of it, which a server that runs takes up
within a second. The store is the folder in THALWEG_MODELS, else thalweg/models in XDG_DATA_HOME,
else in ~/.local/share; --store names another one.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what `model` can do, and the options of each."""
    parser.epilog = _EXAMPLES
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--store", metavar="DIR", help="the folder of the store (see above)")
    common.add_argument("--json", action="store_true", help="JSON, for programs")

    store = actions.add_parser(
        "store",
        parents=[common],
        allow_abbrev=False,
        help="store a model as the next version of its name",
        description="Store a model as the next version of its name, once it has proved to load.",
    )
    store.add_argument("file", metavar="FILE", help="a model file (.onnx, .skops, .pmml)")
    store.add_argument("--name", help="the model's name (that of the file)")

    actions.add_parser(
        "list",
        parents=[common],
        allow_abbrev=False,
        help="list the models of the store",
        description="List the models of the store, each version in a line, oldest first.",
    )
    delete = actions.add_parser(
        "delete",
        parents=[common],
        allow_abbrev=False,
        help="delete a model, or one version of it",
        description="Delete a model, or one version of it. Its number is not given again.",
    )
    delete.add_argument("model", metavar="NAME[@VERSION]", help="the model, or the version of it")


def execute(arguments: argparse.Namespace) -> int:
    """Do what was asked, and tell of it. Raises ThalwegError when it cannot be done."""
    from ..serve.model_store import ModelStore, default_folder

    folder: str | None = arguments.store
    if folder == "":
        raise UsageError("--store takes a folder, and its name is empty")
    models = ModelStore(default_folder() if folder is None else Path(folder))
    match arguments.action:
        case "store":
            text = _store(models, Path(arguments.file), arguments.name, arguments.json)
        case "list":
            found = list(models.index())
            text = _json([model.as_dict() for model in found]) if arguments.json else _table(found)
        case _:
            text = _delete(models, arguments.model, arguments.json)
    if text:
        print(text, flush=True)
    return ExitStatus.FINE


def _store(models: ModelStore, file: Path, name: str | None, as_json: bool) -> str:
    model = models.add(file, file.stem if name is None else name)
    if as_json:
        return _json(model.as_dict())
    return f"{model.name} version {model.version} is stored: {model.id}"


def _delete(models: ModelStore, named: str, as_json: bool) -> str:
    name, at, number = named.partition("@")
    if at and not (number.isascii() and number.isdigit()):
        raise UsageError(f"a version is a number, as in {name}@1, not {number!r}")
    gone = models.remove(name, int(number) if at else None)
    if as_json:
        return _json([model.as_dict() for model in gone])
    return "\n".join(f"{model.name} version {model.version} is deleted" for model in gone)


def _json(said: object) -> str:
    return json.dumps(said, indent=2)


def _table(models: list[StoredModel]) -> str:
    """A line for each, or nothing."""
    if not models:
        return ""
    rows = [("name", "version", "id", "kind", "bytes", "stored")]
    rows += [
        (
            model.name,
            str(model.version),
            model.id,
            model.kind,
            f"{model.size:,}",
            model.stored_at[:19].replace("T", " ") + " UTC",
        )
        for model in models
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
