"""`thalweg score` and `thalweg check`: what is printed where, and the exit statuses."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from thalweg.deploy.by_hand.checking import check
from thalweg.deploy.by_hand.given_records import decoded, read_records
from thalweg.deploy.by_hand.scoring import score_by_hand
from thalweg.deploy.cli import main
from thalweg.deploy.exit_status import UsageError
from thalweg.operators.endpoints import Endpoint, parse_endpoint
from thalweg.runtime.errors import DataError

ROOT = Path(__file__).resolve().parents[3]
IRIS = f"onnx:{ROOT}/graphs/models/iris.onnx"
STACKED = f"onnx:{ROOT}/tests/operators/endpoints/stacked.onnx"
FLOWER = {"Sepal.Length": 5.1, "Sepal.Width": 3.5, "Petal.Length": 1.4, "Petal.Width": 0.2}
HTTPS = "oip+https://127.0.0.1:1/v2/models/m"
OURS = "sl=Sepal.Length,sw=Sepal.Width,pl=Petal.Length,pw=Petal.Width"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command line."""
    try:
        status = main(words)
    except SystemExit as stop:
        status = int(str(stop.code))
    out, err = capsys.readouterr()
    return status, out, err


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_record_is_scored_and_only_the_answer_printed(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "score", IRIS, "--record", json.dumps({**FLOWER, "n": 1}))
    assert (status, err) == (0, "")
    (answer,) = lines(out)
    assert list(answer) == ["prediction", "probability", "model_version"]
    assert (answer["prediction"], answer["model_version"]) == ("setosa", "1")


def test_fields_are_mapped_and_the_records_own_printed_where_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = {"sl": 5.1, "sw": 3.5, "pl": 1.4, "pw": 0.2, "note": "mine"}
    words = ("--record", json.dumps(ours), "--fields", OURS, "--join")
    status, out, _ = run(capsys, "score", IRIS, *words)
    (answer,) = lines(out)
    assert status == 0
    assert {name: answer[name] for name in ours} == ours
    assert answer["prediction"] == "setosa"


@pytest.mark.parametrize("name", ["flowers.ndjson", "flowers.json"])
@pytest.mark.parametrize("stdin", [False, True])
def test_what_fails_is_told_by_number_and_the_rest_is_printed_in_order(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    stdin: bool,
) -> None:
    flowers: list[object] = [{**FLOWER, "n": n} for n in range(200)]
    flowers[70] = {"n": 70, "Petal.Length": 1.0}
    flowers[150] = 7
    if name == "flowers.json":
        data = json.dumps(flowers, indent=1).encode()
    else:
        data = b"".join(orjson.dumps(flower) + b"\n" for flower in flowers)
    (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    file = "-" if stdin else str(tmp_path / name)
    status, out, err = run(capsys, "score", IRIS, "--file", file, "--join")
    assert status == 1
    assert [line["n"] for line in lines(out)] == [n for n in range(200) if n not in (70, 150)]
    assert sorted(err.splitlines()) == [
        'record 151: DataError: a record is a JSON object such as {"length": 5.1}, not 7',
        "record 71: DataError: field 'Sepal.Length' (model field 'Sepal.Length') is missing",
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n \n", []),
        (b'\xef\xbb\xbf{"a": 1}\n', [{"a": 1}]),
        (b'\n{"a": 1}\r\n\r\n{"a": 2}', [{"a": 1}, {"a": 2}]),
        (b'{\n"a": 1}', [{"a": 1}]),
        (b' [{"a": 1},\n{"a": 2}]\n', [{"a": 1}, {"a": 2}]),
        (b'{"a": 1\n{"a": 2}\n', [None, {"a": 2}]),
        (b'[1]\n{"a": 2}\n', [None, {"a": 2}]),
    ],
)
def test_a_file_is_lines_or_a_list(data: bytes, expected: list[object]) -> None:
    found: list[object] = []
    for given in read_records(io.BytesIO(data)):
        try:
            found.append(decoded(given))
        except DataError:
            found.append(None)
    assert found == expected


def test_a_model_of_one_tensor_takes_the_fields_of_the_first_record(
    capsys: pytest.CaptureFixture[str],
) -> None:
    records: list[object] = [{"n": n, "x": n / 8, "y": -n, "parts": [1]} for n in range(3)]
    words = [word for record in records for word in ("--record", json.dumps(record))]
    status, out, _ = run(capsys, "score", STACKED, *words)
    assert status == 0
    assert [line["same"] for line in lines(out)] == [[n, n / 8, -n] for n in range(3)]


def test_a_reader_that_has_gone_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "flowers.ndjson").write_bytes(20_000 * (orjson.dumps(FLOWER) + b"\n"))
    done = subprocess.run(
        ["bash", "-c", '"$0" -m thalweg.deploy.cli score "$1" --file "$2" | head -1; '
         "exit ${PIPESTATUS[0]}", sys.executable, IRIS, str(tmp_path / "flowers.ndjson")],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout)[0]["prediction"] == "setosa"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["score", IRIS], "one of the arguments --record --file is required"),
        (["score", IRIS, "--record", "{}", "--file", "x"], "not allowed with argument"),
        (["score", "iris.onnx", "--record", "{}"], "did you mean onnx:iris.onnx?"),
        (["score", IRIS, "--file", "no.ndjson"], "no.ndjson: No such file or directory"),
        (["score", IRIS, "--record", "{}", "--fields", "=b"], "OURS=THEIRS"),
        (["score", IRIS, "--record", "{}", "--fields", "a,a=b"], "'a' is given twice"),
        (["score", IRIS, "--record", "{}", "--timeout", "0"], "a number of seconds above 0"),
        (["score", STACKED, "--record", "{}"], "give --fields"),
        (["check", IRIS, "--record", "[]"], "--record: a record is a JSON object"),
        (["check", IRIS, "--record", "{}", "--fields", "a=A,b=A"], "two fields feed 'A'"),
        (["check", IRIS, "--batch", "0"], "a number, 1 or more"),
        (["check", IRIS, "--bearer", "env:T"], "sends nothing, so it takes no auth"),
        (["check", HTTPS, "--ca", ""], "ca is the path of a file, and it is empty"),
        (["check", HTTPS, "--bearer", "env:T", "--api-key", "env:K"], "not allowed with argument"),
    ],
)
def test_a_wrong_command_line_exits_with_2(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["score", "check"])
@pytest.mark.parametrize("option", ["--bearer", "--api-key", "--iam"])
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str], command: str, option: str
) -> None:
    words = [command, HTTPS, "--record", '{"a": 1}', option, "s3cret-itself"]
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"thalweg: {option} takes the place of a secret, env:NAME or file:PATH")
    assert "s3cret" not in err


@pytest.mark.parametrize("command", ["score", "check"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([HTTPS, "--basic", "scorer:s3cret"], "--basic takes USER:PLACE, as in scorer:env:"),
        ([HTTPS, "--basic", "s3cret"], "--basic takes USER:PLACE, as in scorer:env:"),
        (["oip+https://ada:s3cret@h/v2/models/m"], "the address holds a password, and other"),
        ([f"{HTTPS} oip+https://a:s3cret@h/v2/models/m"], "the address holds a password, and"),
    ],
)
def test_a_password_on_the_command_line_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str], command: str, words: list[str], told: str
) -> None:
    status, out, err = run(capsys, command, *words, "--record", '{"a": 1}')
    assert (status, out) == (2, "")
    assert err.startswith(f"thalweg: {told}")
    assert "s3cret" not in err


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("option", "header", "expected"),
    [
        ("--bearer", "Authorization", "Bearer s3cret"),
        ("--api-key", "X-API-Key", "s3cret"),
        ("--basic", "Authorization", "Basic c2NvcmVyOnMzY3JldA=="),
    ],
)
async def test_a_secret_is_taken_from_its_place(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    header: str,
    expected: str,
) -> None:
    monkeypatch.setenv("MODEL_SECRET", "s3cret")
    model = Model()
    async with model.served() as endpoint:
        address = "oip+" + repr(endpoint).removeprefix("oip('").removesuffix("')")
        place = "scorer:env:MODEL_SECRET" if option == "--basic" else "env:MODEL_SECRET"
        words = ("check", address, option, place)
        status, out, _ = await asyncio.to_thread(run, capsys, *words)
    assert status == 0
    assert {headers.get(header) for headers in model.headers} == {expected}
    assert "s3cret" not in out


def test_a_model_that_cannot_be_asked_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "score", "onnx:no.onnx", "--record", "{}")
    assert (status, out) == (1, "")
    assert err.startswith("thalweg: MisconfiguredError: there is no model file")
    status, out, err = run(capsys, "check", "onnx:no.onnx")
    assert (status, err) == (1, "")
    assert out.splitlines()[-1].startswith("failed    MisconfiguredError: there is no model file")


def test_a_check_tells_fields_version_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "check", IRIS, "--batch", "8")
    assert (status, err) == (0, "")
    told = dict(line.split("  ", 1) for line in out.splitlines())
    assert told["fields"].strip() == (
        "Sepal.Length FP32, Sepal.Width FP32, Petal.Length FP32, Petal.Width FP32"
    )
    assert told["up"].strip() == "yes"
    assert told["record"].strip() == "made of zeros"
    assert told["model version"] == "1"
    for name in ("first call", "one record", "batch of 8"):
        assert told[name].strip().partition(" (")[0].endswith(" ms")


def test_a_check_of_several_tells_of_each_and_fails_when_one_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = run(capsys, "check", f"{IRIS} onnx:no.onnx, {STACKED}", "--json")
    first, second, third = lines(out)
    assert status == 1
    assert [one["fine"] for one in (first, second, third)] == [True, False, True]
    assert second["reason"].startswith("MisconfiguredError: there is no model file")
    assert third["fields"] == {"x": "FP32[3]"}
    assert first["first_call_seconds"] > 0


def test_a_check_scores_the_record_that_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--record", json.dumps({**FLOWER, "n": 1}), "--json")
    status, out, _ = run(capsys, "check", IRIS, *words)
    assert (status, lines(out)[0]["record_made_of_zeros"]) == (0, False)
    status, out, _ = run(capsys, "check", IRIS, "--record", '{"Sepal.Length": 1}', "--json")
    assert status == 1
    assert lines(out)[0]["reason"].startswith("DataError: field 'Sepal.Width'")


class Model:
    """A model over the Open Inference Protocol that does as `status` and `inputs` say."""

    def __init__(self) -> None:
        self.status = 200
        self.inputs: list[dict[str, Any]] = [{"name": "a", "datatype": "FP64", "shape": [-1, 1]}]
        self.asked: list[Any] = []
        self.headers: list[Any] = []

    async def metadata(self, _: web.Request) -> web.Response:
        return web.json_response({"name": "m", "inputs": self.inputs, "outputs": []})

    async def infer(self, request: web.Request) -> web.Response:
        said = await request.json()
        self.headers.append(request.headers)
        self.asked.append(said["inputs"])
        if self.status != 200:
            return web.json_response({"error": "as told"}, status=self.status)
        count = said["inputs"][0]["shape"][0]
        output = {"name": "y", "datatype": "FP64", "shape": [count], "data": [0.5] * count}
        return web.json_response({"outputs": [output]})

    @asynccontextmanager
    async def served(self) -> AsyncGenerator[Endpoint, None]:
        app = web.Application()
        app.router.add_get("/v2/models/m", self.metadata)
        app.router.add_post("/v2/models/m/infer", self.infer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield parse_endpoint(f"oip+http://127.0.0.1:{port}/v2/models/m")
        finally:
            await runner.cleanup()


@pytest.mark.asyncio
async def test_a_check_asks_for_one_record_and_then_for_full_batches() -> None:
    model = Model()
    async with model.served() as endpoint:
        found = await check(endpoint, record=None, fields=None, batch=16, timeout=5.0)
    assert (found.up, found.fine, found.answers) == (True, True, ("y",))
    assert [inputs[0]["shape"][0] for inputs in model.asked] == [1] * 6 + [16] * 6
    assert model.asked[0][0]["data"] == [0.0]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "DataError"),
        (429, "BusyError"),
        (500, "UnavailableError"),
        (404, "MisconfiguredError"),
    ],
)
async def test_a_check_tells_one_that_is_up_and_refuses(status: int, error: str) -> None:
    model = Model()
    model.status = status
    async with model.served() as endpoint:
        found = await check(endpoint, record={"a": 1.0}, fields=None, batch=16, timeout=5.0)
    assert (found.up, found.fine) == (True, False)
    assert found.reason is not None
    assert found.reason.startswith(f"{error}: ")
    assert "as told" in found.reason


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([], "the protocol does not tell"),
        (
            [{"name": "t", "datatype": "BYTES", "shape": [-1]}],
            r"'t', which is BYTES: give one, as in --record '\{\"t\":\"…\"\}'",
        ),
        ([{"name": "x", "datatype": "FP32", "shape": [-1, -1]}], r"'x', which is FP32\[\?\]"),
    ],
)
async def test_a_check_says_what_to_give_where_no_record_can_be_made(
    inputs: list[dict[str, Any]], expected: str
) -> None:
    model = Model()
    model.inputs = inputs
    async with model.served() as endpoint:
        with pytest.raises(UsageError, match=expected):
            await check(endpoint, record=None, fields=None, batch=16, timeout=5.0)
    assert model.asked == []


@pytest.mark.asyncio
async def test_a_check_tells_one_that_is_down() -> None:
    async with Model().served() as endpoint:
        pass
    found = await check(endpoint, record={"a": 1}, fields=None, batch=16, timeout=5.0)
    assert (found.up, found.fine) == (False, False)
    assert found.reason is not None
    assert found.reason.startswith("UnavailableError: ")


@pytest.mark.asyncio
async def test_records_for_a_server_that_breaks_are_told_and_not_waited_for_without_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = Model()
    model.status = 500
    given = iter([b'{"a": 1}', b'{"a": 2}'])
    async with model.served() as endpoint:
        assert not await score_by_hand(endpoint, given, fields=None, join=False, timeout=5.0)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.partition(": POST")[0] for line in err.splitlines()] == [
        "record 1: UnavailableError",
        "record 2: UnavailableError",
    ]
