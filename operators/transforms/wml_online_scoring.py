"""`wml_online_scoring`: the operator of `streamsx.wml`, for graphs that come from IBM Streams."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast, overload
from urllib.parse import quote

from ...runtime.contracts import DeadLetter, Retry
from ..endpoints.array_field import ArrayField
from ..endpoints.auth import Auth, bearer
from ..endpoints.endpoint import Endpoint
from ..endpoints.fields import Field
from ..endpoints.tokens import iam
from ..endpoints.wml import wml
from .score import Prediction, Score

if TYPE_CHECKING:
    from ...runtime.contracts import Stream

__all__ = ["wml_online_scoring"]

Record = dict[str, Any]
FieldMapping = str | Sequence[Mapping[str, object]]

_VERSION = "2020-09-01"
_ARRAY = "__array__"
_KEYS = ("model_field", "tuple_field", "is_mandatory")
_QUEUE_SIZE = 2000
_LOCAL = ("icp", "openshift", "wml_local")
"""What `instance_id` holds where the service runs in a cluster of Cloud Pak for Data."""


@overload
def wml_online_scoring(
    stream: Stream[Any],
    deployment_guid: str,
    field_mapping: FieldMapping,
    credentials: Mapping[str, str],
    space_guid: str | None,
    expected_load: int = 0,
    queue_size: int = 2000,
    threads_per_node: int = 2,
    single_output: Literal[False] = False,
    node_count: int = 1,
    connectionConfiguration: None = None,
    name: str | None = None,
    bundle_size: int = 100,
) -> tuple[Stream[Record], Stream[Record]]: ...


@overload
def wml_online_scoring(
    stream: Stream[Any],
    deployment_guid: str,
    field_mapping: FieldMapping,
    credentials: Mapping[str, str],
    space_guid: str | None,
    expected_load: int = 0,
    queue_size: int = 2000,
    threads_per_node: int = 2,
    *,
    single_output: Literal[True],
    node_count: int = 1,
    connectionConfiguration: None = None,
    name: str | None = None,
    bundle_size: int = 100,
) -> Stream[Record]: ...


def wml_online_scoring(
    stream: Stream[Any],
    deployment_guid: str,
    field_mapping: FieldMapping,
    credentials: Mapping[str, str],
    space_guid: str | None,
    expected_load: int = 0,
    queue_size: int = _QUEUE_SIZE,
    threads_per_node: int = 2,
    single_output: bool = False,
    node_count: int = 1,
    connectionConfiguration: None = None,
    name: str | None = None,
    bundle_size: int = 100,
) -> Stream[Record] | tuple[Stream[Record], Stream[Record]]:
    """Score a stream against an online deployment, with the parameters of `streamsx.wml`.

    >>> from thalweg import Graph
    >>> from thalweg.operators import sinks, sources
    >>> graph = Graph("iris")
    >>> scored, failed = wml_online_scoring(
    ...     graph.read("flowers", sources.records([{"length": 1.4}])),
    ...     deployment_guid="9f3c1a",
    ...     field_mapping='[{"model_field": "Petal.Length", "tuple_field": "length"}]',
    ...     credentials={"url": "https://us-south.ml.cloud.ibm.com", "token": "env:WML_TOKEN"},
    ...     space_guid=None,
    ... )
    >>> scored.to("scored", sinks.ndjson("scored.ndjson")) and None
    >>> failed.to("failed", sinks.ndjson("failed.ndjson")) and None

    It adds a `batch` and a `score` node to the graph of the stream, whose options are more; new
    graphs use these. The guide on coming from streamsx.wml maps each name. A record that was
    scored holds the answer's fields as a dict under `Prediction`; one that failed holds the reason
    as text under `PredictionError`. Both keep the record's own fields.

    Parameters: `stream`, of mappings; `deployment_guid`, the deployment's id or serving name;
    `field_mapping`, a list, or JSON text, of `{model_field, tuple_field, is_mandatory}`, where a
    field that is not mandatory (it is, unless said) travels as null if the record has none, and
    the single model field `__array__` is a whole row; `credentials`, a dict of `url`, and `token`,
    or `apikey` of IBM Cloud, as `env:NAME` (an environment variable) or `file:PATH`; with
    `instance_id` and `version` of a Cloud Pak for Data before 3.5 it asks that one's address;
    `space_guid`, None: the id of a deployment is enough, and a space warns that it is not sent;
    `expected_load`, records in all bundles under way, in the place of `bundle_size` (0: not
    given); `queue_size`, a warning where it is not 2000, since what waits is bounded by the graph's
    `channel_records`; `threads_per_node` (2) times `node_count` (1), the requests under way at
    once; `single_output`, whether both come out as one stream (False); `connectionConfiguration`,
    None: there are no application configurations here; `name`, of the node that scores
    (`online_scoring`); the one that batches has `_batch` behind it; `bundle_size`, records in a
    request at most (100). Raises ValueError or TypeError for a wrong one, and for a secret that
    stands in `credentials` itself.

    Returns the stream of what was scored and that of what failed; or one of both, in which each
    keeps its order, and a record that failed may stand before or behind its neighbours.

    Emits when: a bundle is answered, in order.
    Waits when: all requests are under way, or the other side is busy or down.
    Ends when: its input ends.
    Order: that of the input.
    State: none.
    On error: a bad record goes to the stream of what failed, alone, whatever its bundle held.
    """
    if connectionConfiguration is not None:
        raise ValueError(
            "connectionConfiguration names an application configuration of Streams, and there are "
            "none here: give credentials={'url': ..., 'token': 'env:NAME'}"
        )
    for option, value, least in (
        ("expected_load", expected_load, 0),
        ("queue_size", queue_size, 1),
        ("threads_per_node", threads_per_node, 1),
        ("node_count", node_count, 1),
        ("bundle_size", bundle_size, 1),
    ):
        if not isinstance(cast(object, value), int) or value < least:
            raise ValueError(f"{option} is a whole number, {least} or more, not {value!r}")
    endpoint = _endpoint(deployment_guid, credentials)
    fields = _fields(field_mapping)
    _warn_of_the_unused(space_guid, queue_size, stream.graph.channel_records)
    senders = threads_per_node * node_count
    size = max(1, expected_load // senders) if expected_load else bundle_size
    name = name or "online_scoring"
    batches = stream.batch(size, name=f"{name}_batch")
    scored = batches.via(name, _scoring(endpoint, fields, senders))
    failed = scored.failed.map(_failed, name=f"{name}_failed")
    return scored.union(failed) if single_output else (scored, failed)


def _scoring(
    endpoint: Endpoint, fields: Mapping[str, Field] | ArrayField, senders: int
) -> Score[Mapping[str, object], Record]:
    return Score(
        endpoint,
        fields=fields,
        join=_scored,
        version_field=None,
        max_in_flight=senders,
        timeout=10.0,
        retry=Retry(),
        ordered=True,
        auth=None,  # It is the endpoint's.
        tls=None,
    )


def _scored(record: Mapping[str, object], prediction: Prediction) -> Record:
    return {**record, "Prediction": dict(prediction)}


def _failed(letter: DeadLetter) -> Record:
    record = letter.record
    own = dict(cast("Mapping[str, Any]", record)) if isinstance(record, Mapping) else {}
    return {**own, "PredictionError": f"{letter.error.type}: {letter.error.message}"}


def _endpoint(deployment: str, credentials: Mapping[str, str]) -> Endpoint:
    if not isinstance(cast(object, deployment), str) or not deployment.strip():
        raise ValueError(f"deployment_guid is the id of a deployment, not {deployment!r}")
    if not isinstance(cast(object, credentials), Mapping):
        raise TypeError(
            "credentials is a dict such as {'url': 'https://us-south.ml.cloud.ibm.com', "
            f"'token': 'env:WML_TOKEN'}}, not a {type(credentials).__name__}"
        )
    known = ("url", "token", "apikey", "instance_id", "version")
    unknown = [key for key in credentials if key not in known]
    if unknown:
        raise ValueError(f"credentials has {unknown[0]!r}, and it holds {', '.join(known)}")
    url = credentials.get("url", "")
    if not url:
        raise ValueError("credentials lacks 'url', such as https://us-south.ml.cloud.ibm.com")
    base, place = url.rstrip("/"), f"deployments/{quote(deployment, safe='')}/predictions"
    version = credentials.get("version", "")
    old = version.startswith("2.") or version.startswith("3.0")
    if credentials.get("instance_id") in _LOCAL and old:
        address = f"{base}/v4/{place}"
    else:
        address = f"{base}/ml/v4/{place}?version={_VERSION}"
    return wml(address, auth=_auth(credentials))


def _auth(credentials: Mapping[str, str]) -> Auth | None:
    given = [key for key in ("token", "apikey") if key in credentials]
    if not given:
        return None
    if len(given) > 1:
        raise ValueError("credentials holds both 'token' and 'apikey': leave one out")
    if "apikey" in credentials and credentials.get("instance_id") in _LOCAL:
        raise ValueError(
            "credentials['apikey'] is one of IBM Cloud, and instance_id is that of a cluster of "
            "Cloud Pak for Data: give 'token' instead"
        )
    try:
        return (
            bearer(credentials["token"]) if "token" in credentials else iam(credentials["apikey"])
        )
    except (TypeError, ValueError):
        # What stands there may be the secret: it is not shown.
        raise ValueError(
            f"credentials[{given[0]!r}] does not say where the secret is: write 'env:NAME' (an "
            "environment variable) or 'file:PATH', and never the secret itself"
        ) from None


def _fields(mapping: FieldMapping) -> Mapping[str, Field] | ArrayField:
    """The fields, by the name in the record, that a field mapping of `streamsx.wml` says."""
    example = (
        '[{"model_field": "Petal.Length", "tuple_field": "petal_length", "is_mandatory": true}]'
    )
    said: object = mapping
    if isinstance(mapping, str):
        try:
            said = json.loads(mapping)
        except ValueError as error:
            raise ValueError(f"field_mapping is no JSON ({error}): {example}") from None
    if not isinstance(said, Sequence) or isinstance(said, str | bytes) or not said:
        raise ValueError(f"field_mapping is a list of mappings, such as {example}")
    parts = cast("Sequence[object]", said)
    fields: dict[str, Field] = {}
    for one in parts:
        if not isinstance(one, Mapping):
            raise ValueError(f"field_mapping holds {one!r}, and takes {example}")
        part = cast("Mapping[str, object]", one)
        model, ours, mandatory = (part.get(key) for key in _KEYS)
        mandatory = True if "is_mandatory" not in part else mandatory
        unknown = [key for key in part if key not in _KEYS]
        if (
            unknown
            or not (isinstance(model, str) and model and isinstance(ours, str) and ours)
            or not isinstance(mandatory, bool)
        ):
            raise ValueError(f"field_mapping holds {dict(part)!r}, and takes {example}")
        if model == _ARRAY:
            if len(parts) > 1 or not mandatory:
                raise ValueError(
                    f"the model field {_ARRAY} is the whole row: it stands alone, and is mandatory"
                )
            return ArrayField(ours)
        if ours in fields:
            raise ValueError(f"field_mapping names the tuple_field {ours!r} twice")
        fields[ours] = Field(model, mandatory=mandatory)
    return fields


def _warn_of_the_unused(space_guid: str | None, queue_size: int, channel_records: int) -> None:
    if space_guid is not None:
        warnings.warn(
            "space_guid is not sent: the id of a deployment is enough; give None", stacklevel=3
        )
    if queue_size not in (_QUEUE_SIZE, channel_records):
        warnings.warn(
            f"queue_size={queue_size} bounds nothing here: what waits before a node is bounded for "
            f"the whole graph, by Graph(..., channel_records={queue_size})",
            stacklevel=3,
        )
