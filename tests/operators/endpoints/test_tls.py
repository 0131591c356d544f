"""Whom connections trust, and the certificate that they show: real TLS on real sockets."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from thalweg.operators.endpoints import Answer, Tls, client_credentials, oip, wml
from thalweg.runtime.context import Context
from thalweg.runtime.errors import MisconfiguredError

from .conftest import serving

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script

PATH = "/ml/v4/deployments/iris/predictions?version=2020-09-01"
GOOD = {"predictions": [{"fields": ["prediction"], "values": [["setosa"]]}]}
HERE = Path(__file__).parent
PKI = HERE / "pki"
CA, CERTIFICATE, KEY, LOCKED = (
    str(PKI / name) for name in ("ca.pem", "client.pem", "client.key", "locked.key")
)
STRANGER = str(HERE / "self_signed.pem")
TEXTS = {path: Path(path).read_text() for path in (CERTIFICATE, KEY)}


def serves(*, asks: bool = False) -> ssl.SSLContext:
    """The TLS of a server that the test's authority signed, and that may ask for a client's."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(PKI / "server.pem", PKI / "server.key")
    if asks:
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(CA)
    return tls


@asynccontextmanager
async def server(*, asks: bool = False, host: str = "127.0.0.1") -> AsyncGenerator[Script, None]:
    """A model behind it."""
    async with serving(serves(asks=asks), host=host) as script:
        script.answer(200, GOOD)
        yield script


async def ask(url: str, tls: Tls | None, context: Context) -> Answer:
    endpoint = wml(url + PATH, tls=tls)
    await endpoint.open(context)
    try:
        return await endpoint.predict(("a",), [(1,)])
    finally:
        await endpoint.close()


@pytest.mark.asyncio
async def test_a_server_of_an_own_authority_is_trusted_where_that_is_given(
    context: Context,
) -> None:
    async with server() as script:
        with pytest.raises(MisconfiguredError, match=r"certificate is not trusted"):
            await ask(script.url, None, context)
        assert (await ask(script.url, Tls(ca=CA), context)).rows == [["setosa"]]


@pytest.mark.asyncio
async def test_another_authority_than_the_server_has_is_no_help(context: Context) -> None:
    async with server() as script:
        with pytest.raises(MisconfiguredError, match=r"certificate is not trusted"):
            await ask(script.url, Tls(ca=STRANGER), context)
        assert not script.requests


def test_an_own_authority_stands_instead_of_those_of_the_system() -> None:
    own = {authority["subject"] for authority in Tls(ca=CA).context().get_ca_certs()}
    assert own == {((("commonName", "Test authority"),),)}
    both = Tls(certificate=CERTIFICATE, key=KEY).context().cert_store_stats()
    assert both == ssl.create_default_context().cert_store_stats()


@pytest.mark.asyncio
async def test_a_name_that_is_not_in_the_certificate_is_refused(context: Context) -> None:
    async with server(host="127.0.0.2") as script:
        with pytest.raises(MisconfiguredError, match=r"certificate is not trusted.*127\.0\.0\.2"):
            await ask(script.url, Tls(ca=CA, certificate=CERTIFICATE, key=KEY), context)
        assert not script.requests


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "tls",
    [
        Tls(ca=CA, certificate=CERTIFICATE, key=KEY),
        Tls(ca=CA, certificate=CERTIFICATE, key=LOCKED, key_password="env:KEY_PASSWORD"),
    ],
)
async def test_a_client_shows_its_certificate(
    context: Context, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_PASSWORD", "open-sesame")
    async with server(asks=True) as script:
        assert (await ask(script.url, tls, context)).rows == [["setosa"]]


@pytest.mark.asyncio
async def test_a_certificate_and_its_key_may_stand_in_one_file(
    context: Context, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_text(TEXTS[CERTIFICATE] + TEXTS[KEY])
    async with server(asks=True) as script:
        assert (await ask(script.url, Tls(ca=CA, certificate=both), context)).rows


def refuse_one(listening: socket.socket, tls: ssl.SSLContext) -> None:
    """Refuse the next client as servers do: say why, and read what it still sends."""
    plain, _ = listening.accept()
    with plain, tls.wrap_socket(plain, True, do_handshake_on_connect=False) as shaking:
        with pytest.raises(ssl.SSLError):
            shaking.do_handshake()
        with socket.socket(fileno=shaking.detach()) as left:
            left.shutdown(socket.SHUT_WR)
            while left.recv(65_536):
                pass


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("tls", "told"),
    [
        (Tls(ca=CA), r"asks for a client's certificate: give tls=Tls\(certificate="),
        (Tls(ca=CA, certificate=STRANGER), r"does not know who signed the client's certificate"),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_refuses_the_client_is_a_mistake_and_not_silence(
    context: Context, tls: Tls, told: str, version: ssl.TLSVersion
) -> None:
    asking = serves(asks=True)
    asking.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as listening:
        refused = asyncio.create_task(asyncio.to_thread(refuse_one, listening, asking))
        with pytest.raises(MisconfiguredError, match=rf"was refused by the server: .*{told}"):
            await ask(f"https://127.0.0.1:{listening.getsockname()[1]}", tls, context)
        await refused


@pytest.mark.asyncio
async def test_a_token_server_has_a_tls_of_its_own(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_SECRET", "open-sesame")
    async with server() as script, serving() as model:
        script.answers.clear()
        script.answer(200, {"access_token": "token-1"})
        model.answer(200, GOOD)
        auth = client_credentials(
            script.url + "/token",
            client_id="scorer",
            client_secret="env:TOKEN_SECRET",
            tls=Tls(ca=CA),
        )
        endpoint = wml(model.url + PATH, auth=auth)
        await endpoint.open(context)
        await endpoint.predict(("a",), [(1,)])
        await endpoint.close()
    assert model.requests[0].headers["authorization"] == "Bearer token-1"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("tls", "told"),
    [
        (Tls(ca="missing.pem"), r"the file missing\.pem cannot be read: No such file"),
        (Tls(ca=KEY), r"client\.key holds no certificate in PEM"),
        (Tls(certificate=CERTIFICATE, key="missing.key"), r"missing\.key cannot be read"),
        (Tls(certificate="missing.pem", key=KEY), r"missing\.pem cannot be read"),
        (Tls(certificate=CERTIFICATE), r"client\.pem does not hold a certificate and its private"),
        (Tls(certificate=KEY, key=KEY), r"do not hold a certificate and its private key"),
        (Tls(certificate=CERTIFICATE, key=STRANGER), r"is not that of the certificate in"),
        (Tls(certificate=CERTIFICATE, key=LOCKED), r"locked\.key needs a password: give key_pass"),
        (
            Tls(certificate=CERTIFICATE, key=LOCKED, key_password="env:WRONG"),
            r"key_password='env:WRONG' does not open the key in .*locked\.key",
        ),
        (
            Tls(certificate=CERTIFICATE, key=LOCKED, key_password="env:NOT_SET"),
            r"variable NOT_SET holds no secret",
        ),
        (Tls(ca=HERE), r"cannot be read: Is a directory"),
    ],
)
async def test_a_wrong_file_is_told_at_the_start_by_its_name_and_not_its_content(
    context: Context, monkeypatch: pytest.MonkeyPatch, tls: Tls, told: str
) -> None:
    monkeypatch.setenv("WRONG", "abracadabra")
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(MisconfiguredError, match=told) as caught:
        await wml("https://127.0.0.1:9" + PATH, tls=tls).open(context)
    for secret in ("abracadabra", TEXTS[KEY].splitlines()[1][:20], "BEGIN"):
        assert secret not in str(caught.value)


def test_a_file_that_is_not_pem_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_bytes(b"\x30\x82\x00\xff sesame")
    with pytest.raises(MisconfiguredError, match=r"wrong\.pem holds no certificate"):
        Tls(ca=wrong).context()
    shutil.copy(CERTIFICATE, tmp_path / "good.pem")
    with pytest.raises(MisconfiguredError, match=r"good\.pem and .*wrong\.pem do not hold") as e:
        Tls(certificate=tmp_path / "good.pem", key=wrong).context()
    assert "sesame" not in str(e.value)


def test_wrong_options_are_told_when_the_graph_is_built() -> None:
    with pytest.raises(ValueError, match=r"Tls\(\) says nothing"):
        Tls()
    with pytest.raises(ValueError, match=r"key belongs to a certificate: give certificate="):
        Tls(key=KEY)
    with pytest.raises(ValueError, match=r"key_password belongs to a certificate"):
        Tls(ca=CA, key_password="env:X")
    with pytest.raises(ValueError, match=r"ca is the path of a file, and it is empty"):
        Tls(ca=" ")
    with pytest.raises(ValueError, match=r"key_password takes a secret as 'env:NAME'") as caught:
        Tls(certificate=CERTIFICATE, key=KEY, key_password="sesame")
    assert "sesame" not in str(caught.value)
    with pytest.raises(ValueError, match=r"tls is given, and the URL of localhost is not https"):
        oip("http://localhost/v2/models/iris", tls=Tls(ca=CA))


def test_it_shows_paths_and_places() -> None:
    tls = Tls(certificate="c.pem", key="k.pem", key_password="env:X")
    assert repr(tls) == "Tls(certificate='c.pem', key='k.pem', key_password='env:X')"
