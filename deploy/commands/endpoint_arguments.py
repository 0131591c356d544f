"""Arguments of the commands that ask a model by hand."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from ..exit_status import UsageError

if TYPE_CHECKING:
    from ...operators.endpoints import Endpoint, HttpOptions

__all__ = ["add_endpoint", "endpoints_of", "field_names"]


def add_endpoint(parser: argparse.ArgumentParser) -> None:
    """Declare `ENDPOINT`, `--fields`, `--timeout`, and how requests prove who sends them."""
    parser.add_argument(
        "endpoint",
        metavar="ENDPOINT",
        help="where the model answers: oip+URL, wml+URL, v1+URL or mlflow+URL, onnx:FILE, "
        "sklearn:FILE or pmml:FILE; several are divided by spaces or commas",
    )
    parser.add_argument(
        "--fields",
        type=field_names,
        metavar="OURS=THEIRS,…",
        help="the model field that each record field feeds, as in petal_length=Petal.Length; a "
        "name alone stands for both (those of the same names)",
    )
    parser.add_argument(
        "--timeout",
        type=_timeout,
        default=10.0,
        metavar="SECONDS",
        help="how long one request may take (10)",
    )
    group = parser.add_argument_group(
        "authentication", "Secrets stand in the environment or a file, never on the command line."
    )
    proof = group.add_mutually_exclusive_group()
    proof.add_argument(
        "--bearer", metavar="PLACE", help="send the token at env:NAME or file:PATH as a bearer"
    )
    proof.add_argument(
        "--api-key", metavar="PLACE", help="send the key at env:NAME or file:PATH as X-API-Key"
    )
    proof.add_argument(
        "--iam", metavar="PLACE", help="fetch a token of IBM Cloud for the API key at env:NAME"
    )
    proof.add_argument(
        "--basic",
        metavar="USER:PLACE",
        help="send this user and the password at env:NAME or file:PATH",
    )
    group.add_argument(
        "--ca",
        metavar="FILE",
        help="trust the certificates in this PEM file, instead of those of the system",
    )


def endpoints_of(arguments: argparse.Namespace) -> list[Endpoint]:
    """The endpoints that the command line names, each by itself. Raises UsageError."""
    from ...operators.endpoints.parse import endpoint_texts, parse_endpoint

    text: str = arguments.endpoint
    try:
        options = _options(arguments)
        texts = endpoint_texts(text.strip(" ,"))
        for one in texts:
            # Of an address, what stands before the host; a path may hold an @ of its own.
            if ":" in one.partition("://")[2].partition("/")[0].rpartition("@")[0]:
                raise UsageError(
                    "the address holds a password, and other users of the machine can read a "
                    "command line: say --basic USER:PLACE, with env:NAME or file:PATH for PLACE"
                )
        return [parse_endpoint(one, **options) for one in texts]
    except ValueError as error:
        raise UsageError(str(error)) from None


def _options(arguments: argparse.Namespace) -> HttpOptions:
    from ...operators.endpoints import Tls, api_key, basic, bearer, iam

    options: HttpOptions = {}
    for option, place, make in (
        ("--bearer", arguments.bearer, bearer),
        ("--api-key", arguments.api_key, api_key),
        ("--iam", arguments.iam, iam),
    ):
        if place is not None:
            try:
                options["auth"] = make(place)
            except ValueError:
                # What was written is not shown: it may be the secret, and is in a history now.
                raise UsageError(
                    f"{option} takes the place of a secret, env:NAME or file:PATH, and never the "
                    "secret itself: other users of the machine can read a command line"
                ) from None
    if arguments.basic is not None:
        user, _, place = arguments.basic.partition(":")
        try:
            options["auth"] = basic(user, place)
        except ValueError:
            raise UsageError(
                "--basic takes USER:PLACE, as in scorer:env:SCORER_PASSWORD, and never the "
                "password itself: other users of the machine can read a command line"
            ) from None
    if arguments.ca is not None:
        options["tls"] = Tls(ca=arguments.ca)
    return options


def field_names(text: str) -> dict[str, str]:
    """A mapping of record fields to model fields, as an argument.

    >>> field_names("petal_length=Petal.Length, width")
    {'petal_length': 'Petal.Length', 'width': 'width'}
    """
    fields: dict[str, str] = {}
    for part in text.split(","):
        ours, equals, theirs = (one.strip() for one in part.partition("="))
        if not ours or (equals and not theirs):
            raise argparse.ArgumentTypeError(
                f"OURS=THEIRS,… is asked for, as in petal_length=Petal.Length, not {text!r}"
            )
        if ours in fields:
            raise argparse.ArgumentTypeError(f"{ours!r} is given twice")
        if (theirs or ours) in fields.values():
            raise argparse.ArgumentTypeError(f"two fields feed {theirs or ours!r}")
        fields[ours] = theirs or ours
    return fields


def _timeout(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0 is asked for, not {text!r}")
    return number
