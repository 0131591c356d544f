"""`mail`: handed to a real server over TLS, refused, put off and tried again."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from thalweg import Graph, State
from thalweg.operators import sinks, sources
from thalweg.operators.endpoints import Tls
from thalweg.operators.sinks import Attachment, Mail, MailSink
from thalweg.runtime.contracts import (
    DataError,
    MisconfiguredError,
    Outcome,
    Retry,
    UnavailableError,
)
from thalweg.testing import SINK_CHECKS, MemoryStore, SinkCase, context, run_virtual

PKI = Path(__file__).parents[1] / "endpoints" / "pki"
TRUSTED = Tls(ca=PKI / "ca.pem")
Check = Callable[[SinkCase[Any]], Awaitable[None]]
QUICK = Retry(attempts=3, first=0.01, longest=0.02, when_down="failed")


class Postman:
    """What the server was handed, and what it answers: whatever the test says, in turn."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.data: list[str] = []
        self.recipients: dict[str, str] = {}
        self.attempts = 0

    async def handle_RCPT(  # noqa: N802  its name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.recipients.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802  its name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.attempts += 1
        if self.data and not (answer := self.data.pop(0)).startswith("250"):
            return answer
        content = envelope.content
        assert isinstance(content, bytes)
        parsed = message_from_bytes(content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        assert server.transport is not None
        parsed["X-Tls"] = str(server.transport.get_extra_info("ssl_object") is not None)
        parsed["X-Receivers"] = ",".join(envelope.rcpt_tos)
        self.mails.append(parsed)
        return "250 taken"


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    right = (data.login, data.password) == (b"lab", b"s3cret")
    return AuthResult(success=right, handled=False)


@contextmanager
def serving(postman: Postman, kind: str = "starttls", *, login: bool = False) -> Generator[str]:
    """A mail server in a thread; the address of it."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(PKI / "server.pem", PKI / "server.key")
    options: dict[str, Any] = {"hostname": "127.0.0.1", "port": 0}
    if login:
        options |= {"authenticator": authenticate, "auth_required": True}
    if kind == "starttls":
        options |= {"tls_context": tls, "require_starttls": True}
    elif kind == "at once":
        options |= {"ssl_context": tls, "auth_require_tls": False}
    with socket.create_server(("127.0.0.1", 0)) as free:
        options["port"] = free.getsockname()[1]
    controller = Controller(postman, **options)
    controller.start()
    try:
        scheme = "smtps" if kind == "at once" else "smtp"
        yield f"{scheme}://127.0.0.1:{options['port']}"
    finally:
        controller.stop()


def mail(server: str, **options: Any) -> MailSink:
    given: dict[str, Any] = {
        "sender": "lab@example.org", "to": ["a@example.org", "b@example.org"], "tls": TRUSTED
    }  # fmt: skip
    return sinks.mail(server, **{**given, **options})


async def sent(sink: MailSink, *mails: Any) -> Outcome[None] | None:
    await sink.open(context())
    try:
        return await sink.write(mails)
    finally:
        await sink.close()


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check) -> None:
    postman = Postman()

    def read_back() -> list[Mail]:
        return [Mail(got["Subject"], got.get_content().rstrip()) for got in postman.mails]

    with serving(postman) as server:
        case: SinkCase[Any] = SinkCase(
            lambda: mail(server),
            [Mail(f"number {number}", "text") for number in range(5)],
            read_back,
            bad=["no mail", None],
            again="appends",
        )
        run_virtual(lambda: check(case))


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["starttls", "at once"])
async def test_a_mail_arrives_over_tls_with_what_is_attached(kind: str, tmp_path: Path) -> None:
    trace = tmp_path / "usage.trace"
    trace.write_text("1081948390|1|0|0|100.0|1.0|m1,| | |\n")
    postman = Postman()
    with serving(postman, kind) as server:
        attached = (Attachment("usage.trace", trace), Attachment("note", b"\0\xff", compress=False))
        assert (
            await sent(mail(server), Mail("Ümlaut", "From here\n.\nto there ü", attached)) is None
        )
    (got,) = postman.mails
    assert (got["X-Tls"], got["X-Receivers"]) == ("True", "a@example.org,b@example.org")
    assert (got["Subject"], got["From"]) == ("Ümlaut", "lab@example.org")
    assert got["Auto-Submitted"] == "auto-generated"
    body = got.get_body()
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == "From here\n.\nto there ü\n"
    first, second = got.iter_attachments()
    assert first.get_filename() == "usage.trace.gz"
    assert gzip.decompress(first.get_content()) == trace.read_bytes()
    assert (second.get_filename(), second.get_content()) == ("note", b"\0\xff")


@pytest.mark.asyncio
async def test_nothing_in_a_mail_makes_another_header_or_another_mail() -> None:
    postman = Postman()
    with serving(postman) as server:
        name = "x\r\nBcc: evil@example.org"
        evil = Mail(
            "hello\r\nBcc: evil@example.org\ud800" + "x" * 500,
            "text\r\n.\r\nMAIL FROM:<x@example.org>\r\n\ud800",
            [Attachment(name, b"")],
        )
        await sent(mail(server), evil)
    (got,) = postman.mails
    assert got["Bcc"] is None
    assert got["Subject"].startswith("hello  Bcc: evil@example.org")
    assert len(got["Subject"]) <= 200
    assert "\n.\nMAIL FROM" in str(got.get_body())


@pytest.mark.asyncio
async def test_what_cannot_be_attached_is_told_in_the_mail(tmp_path: Path) -> None:
    postman = Postman()
    with serving(postman) as server:
        attached = [
            Attachment("gone", tmp_path / "gone"),
            Attachment("big", b"x" * 2_000, compress=False),
            Attachment("small", b"x" * 900, compress=False),
            Attachment("zeros", b"\0" * 10_000),
        ]
        await sent(mail(server, largest=1_000), Mail("s", "t", attached))
    (got,) = postman.mails
    assert [part.get_filename() for part in got.iter_attachments()] == ["small", "zeros.gz"]
    body = str(got.get_body())
    assert "gone is not attached: No such file or directory" in body
    assert "big is not attached: 2000 bytes are more than may be sent" in body


@pytest.mark.asyncio
async def test_it_logs_in_with_a_secret_that_nobody_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret")
    postman = Postman()
    with serving(postman, login=True) as server:
        sink = mail(server, username="lab", password="env:MAIL_PASSWORD")
        assert await sent(sink, Mail("s", "t")) is None
        assert len(postman.mails) == 1
        assert "s3cret" not in repr(sink) + repr(vars(sink))
        monkeypatch.setenv("MAIL_PASSWORD", "wr0ng")
        with pytest.raises(MisconfiguredError, match="does not accept") as refused:
            await sent(sink, Mail("s", "t"))
    assert "wr0ng" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.asyncio
async def test_a_password_that_changes_later_costs_the_mail_and_not_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret")
    postman = Postman()
    with serving(postman, login=True) as server:
        sink = mail(server, username="lab", password="env:MAIL_PASSWORD")
        await sink.open(context())
        monkeypatch.setenv("MAIL_PASSWORD", "wr0ng")
        outcome = await sink.write([Mail("s", "t"), Mail("s", "u")])
        await sink.close()
    assert outcome is not None
    assert {type(error) for error in outcome.rejected.values()} == {MisconfiguredError}
    assert list(outcome.rejected) == [0, 1]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("starttls", {"tls": None}, "not trusted"),
        ("at once", {"tls": None}, "not trusted"),
        ("plain", {}, "offers no TLS"),
    ],
)
async def test_a_server_that_is_not_trusted_gets_nothing(
    kind: str, options: dict[str, Any], told: str
) -> None:
    postman = Postman()
    with serving(postman, kind) as server, pytest.raises(MisconfiguredError, match=told):
        await sent(mail(server, **options), Mail("s", "t"))
    assert postman.mails == []


@pytest.mark.asyncio
async def test_tls_at_once_where_the_server_waits_for_starttls_is_told() -> None:
    with serving(Postman()) as server, pytest.raises(MisconfiguredError, match="smtp://"):
        await sent(mail(server.replace("smtp:", "smtps:")), Mail("s", "t"))


@pytest.mark.asyncio
async def test_without_tls_only_where_it_is_said() -> None:
    postman = Postman()
    with serving(postman, "plain") as server:
        assert await sent(mail(server, tls=None, encrypt=False), Mail("s", "t")) is None
    assert postman.mails[0]["X-Tls"] == "False"


@pytest.mark.asyncio
async def test_a_mail_that_is_refused_for_good_is_rejected_alone() -> None:
    postman = Postman()
    postman.data = ["250", "554 looks like spam", "250"]
    with serving(postman) as server:
        outcome = await sent(mail(server), *(Mail(str(n), "t") for n in range(3)), "no mail")
    assert outcome is not None
    assert {index: str(error) for index, error in outcome.rejected.items()} == {
        1: f"the mail server {server.removeprefix('smtp://')} says 554: looks like spam",
        3: "a mail is a Mail, not a str",
    }
    assert [got["Subject"] for got in postman.mails] == ["0", "2"]


@pytest.mark.asyncio
@pytest.mark.parametrize("refused", [["a@example.org"], ["a@example.org", "b@example.org"]])
async def test_a_receiver_that_is_refused_is_told_of(refused: list[str]) -> None:
    postman = Postman()
    postman.recipients = dict.fromkeys(refused, "550 no such user")
    with serving(postman) as server:
        outcome = await sent(mail(server), Mail("s", "t"))
    assert outcome is not None
    assert isinstance(outcome.rejected[0], DataError)
    assert all(name in str(outcome.rejected[0]) for name in refused)
    assert len(postman.mails) == 2 - len(refused)


@pytest.mark.asyncio
async def test_what_was_taken_is_not_sent_again_when_the_rest_is_tried_again() -> None:
    postman = Postman()
    postman.data = ["250", "451 try again later"]
    with serving(postman) as server:
        sink = mail(server)
        await sink.open(context())
        mails = [Mail("same", "same"), Mail("same", "same"), Mail("2", "t")]
        with pytest.raises(UnavailableError, match="451"):
            await sink.write(mails)
        assert await sink.write(mails) is None
        await sink.close()
    assert [got["Subject"] for got in postman.mails] == ["same", "same", "2"]
    identities = [got["Message-ID"] for got in postman.mails]
    assert len(set(identities)) == 3
    assert all(identity.endswith("@example.org>") for identity in identities)


@pytest.mark.asyncio
async def test_the_same_record_has_the_same_identity_after_a_restart() -> None:
    postman = Postman()
    with serving(postman) as server:
        for key in ("results//7", "results//7", "results//8"):
            sink = mail(server)
            await sink.open(context())
            await sink.write_keyed([Mail("s", "t")], [key])
            await sink.close()
    first, again, other = (got["Message-ID"] for got in postman.mails)
    assert first == again != other


def run(server: str, count: int = 1, **options: Any) -> list[Any]:
    """Send mails in a graph; what became a dead letter."""
    failed: list[Any] = []
    graph = Graph("mails")
    mails = graph.read("mails", sources.records([Mail(str(n), "t") for n in range(count)]))
    mails.to("mail", mail(server, retry=QUICK, **options))
    graph.failed.to("failed", sinks.collect(failed))
    graph.run()
    return failed


def test_a_server_that_puts_off_is_tried_again_by_the_runtime() -> None:
    postman = Postman()
    postman.data = ["451 busy", "451 busy", "250"]
    with serving(postman) as server:
        assert run(server) == []
    assert (postman.attempts, len(postman.mails)) == (3, 1)


def test_a_server_that_is_down_costs_the_mails_and_not_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    failed = run(f"smtp://127.0.0.1:{port}", 2)
    assert [letter.record.subject for letter in failed] == ["0", "1"]
    assert "cannot be reached: Connection refused" in failed[0].error.message


@contextmanager
def talking(answer: Callable[[socket.socket], object]) -> Generator[str]:
    """A server that says what it likes to one client after the other."""
    import threading

    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                answer(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.mark.parametrize(
    "said",
    [b"", b"554 go away\r\n", b"421 too busy\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n",
     b"220 hello\r\n", b"\xff" * 10_000 + b"\r\n"],
    ids=["nothing", "no service", "busy", "another protocol", "half", "noise"],
)  # fmt: skip
def test_a_server_that_talks_nonsense_costs_the_mail_and_not_the_run(said: bytes) -> None:
    with talking(lambda client: client.sendall(said)) as server:
        (letter,) = run(server)
    assert letter.error.type == "UnavailableError"


def test_under_a_store_a_mail_goes_out_and_epochs_go_on() -> None:
    postman = Postman()
    graph = Graph("mails")
    with serving(postman) as server:
        mails = graph.read("mails", sources.records([Mail(str(n), "t") for n in range(5)]))
        mails.to("mail", mail(server))

        async def main() -> None:
            async with graph.start(state=State(MemoryStore(), interval=0.01)) as job:
                await job.wait()

        asyncio.run(main())
    assert [got["Subject"] for got in postman.mails] == list("01234")


@pytest.mark.parametrize(
    ("server", "options", "told"),
    [
        ("mail.example.org", {}, "smtp://host:587"),
        ("http://mail.example.org", {}, "smtp://host:587"),
        ("smtp://lab:s3cret@mail.example.org", {}, "without user and password"),
        ("smtp://mail.example.org:99999", {}, "smtp://host:587"),
        ("smtp://mail.example.org/path", {}, "smtp://host:587"),
        ("smtp://h", {"to": []}, "to is empty"),
        ("smtp://h", {"to": ["a@b\nBcc: c@d"]}, "to takes addresses"),
        ("smtp://h", {"sender": "Lab <lab@example.org>"}, "sender takes addresses"),
        ("smtp://h", {"username": "lab"}, "belong together"),
        ("smtp://h", {"username": "lab", "password": "s3cret"}, "'env:NAME'"),
        ("smtp://h", {"encrypt": False}, "encrypt=False"),
        ("smtps://h", {"encrypt": False, "tls": None}, "encrypt=False"),
        ("smtp://h", {"largest": -1}, "largest"),
    ],
)
def test_options_that_make_no_sense_are_refused_without_a_secret(
    server: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        mail(server, **options)
    assert "s3cret" not in str(refused.value)
