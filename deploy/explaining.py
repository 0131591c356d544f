"""Turns what a graph file raised into one line that tells its author where and what to do."""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping

from ..runtime.errors import GraphError, ThalwegError
from ..runtime.nodes import nearest

__all__ = ["LoadError", "explain"]

_UNEXPECTED = re.compile(
    r"(?P<function>\S+)\(\) got an unexpected keyword argument '(?P<word>\w+)'"
)
_NO_NAME = re.compile(r"cannot import name '(?P<word>\w+)' from '(?P<module>[\w.]+)'")
_LONGEST = 500


class LoadError(GraphError):
    """A graph file that cannot be found or loaded, or that holds no graph."""


def explain(error: BaseException, file: str, namespace: Mapping[str, object]) -> GraphError:
    """The exception that left a graph file, as one line with that file and its innermost line.

    `file` is the name that the file was compiled under, `namespace` what it had defined by then. A
    GraphError is returned as it is.
    """
    if isinstance(error, GraphError):
        return error
    if isinstance(error, SyntaxError) and _line_in(error, file) is None:
        return _explain_syntax(error, file)
    line = _line_in(error, file)
    where = f"{file}:{line}" if line else file
    if isinstance(error, SystemExit):
        return LoadError(f"the file ended the program: sys.exit({error.code!r})", where=where)
    return LoadError(_text(error, namespace) + _raised_at(error, file), where=where)


def _explain_syntax(error: SyntaxError, file: str) -> LoadError:
    source = (error.text or "").strip()[:_LONGEST]
    where = f"{error.filename or file}:{error.lineno}" if error.lineno else file
    return LoadError(f"{error.msg}" + (f": {source}" if source else ""), where=where)


def _text(error: BaseException, namespace: Mapping[str, object]) -> str:
    message = " ".join(str(error).split())[:_LONGEST]
    kind = type(error).__name__
    if isinstance(error, TypeError):
        found = _UNEXPECTED.match(message)
        if found:
            options = _options(found["function"], found["word"], namespace)
            # From 3.13 on Python makes a proposal too, which would stand here twice.
            return found[0] + options if options else message
    if isinstance(error, ImportError):
        found = _NO_NAME.match(message)
        if found:
            names = vars(sys.modules[found["module"]]) if found["module"] in sys.modules else ()
            return f"cannot import name {found['word']!r} from {found['module']!r}." + nearest(
                found["word"], names
            )
        return message
    if isinstance(error, AttributeError) and error.name and error.obj is not None:
        return f"{message}.{nearest(error.name, dir(error.obj))}"
    if isinstance(error, NameError) and error.name:
        return f"{message}.{nearest(error.name, namespace)}"
    if isinstance(error, ThalwegError) or (message and _raised_by_us(error)):
        return message
    return f"{kind}: {message}" if message else kind


def _options(qualified: str, word: str, namespace: Mapping[str, object]) -> str:
    """The keywords that a function takes, when it is one of the file's or of ours."""
    function = _find(qualified, namespace)
    if function is None:
        return ""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ""
    taken = [
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and parameter.name != "self"
    ]
    return f".{nearest(word, taken)} The options are: {', '.join(taken)}"


def _find(qualified: str, namespace: Mapping[str, object]) -> Callable[..., object] | None:
    """The function of this qualified name, in the file or in the public face of the package."""
    first, *rest = qualified.split(".")
    faces = [
        vars(module)
        for name, module in list(sys.modules.items())
        if name == "thalweg" or name.startswith(("thalweg.operators", "thalweg.testing"))
    ]
    for names in (namespace, *faces):
        found: object = names.get(first)
        for part in rest:
            found = getattr(found, part, None)
        if callable(found) and getattr(found, "__qualname__", None) == qualified:
            return found
    return None


def _line_in(error: BaseException, file: str) -> int | None:
    """The innermost line of the file that was running when the exception was raised."""
    line: int | None = None
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            line = number
    return line


def _raised_by_us(error: BaseException) -> bool:
    """Whether this package raised it: then its text says all, and the type's name adds nothing."""
    module = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
    return module.startswith("thalweg.")


def _raised_at(error: BaseException, file: str) -> str:
    """Where it was raised, when that is in neither the file nor this package."""
    last: tuple[str, str, int] | None = None
    for frame, number in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        last = (module, frame.f_code.co_filename, number)
    if last is None or last[1] == file or last[0].startswith(("thalweg.", "importlib.")):
        return ""
    if last[1].startswith("<"):
        return ""
    return f" (raised at {last[1]}:{last[2]})"
