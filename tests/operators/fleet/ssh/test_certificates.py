"""Certificates in the place of single keys: of who logs in, and of machines."""

from __future__ import annotations

import getpass
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalweg.deploy.fleet_farm import Farm
from thalweg.deploy.fleet_farm.machine import listening

from .asked_farm import access, asked, good

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("sshd")]


def keygen(*words: str) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", *words], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a private key that signs others."""
    path = tmp_path_factory.mktemp("authority") / "authority"
    keygen("-t", "ed25519", "-N", "", "-f", str(path))
    return path


@pytest.fixture(scope="module")
def farm(sshd: None, authority: Path) -> Iterator[Farm]:
    """Two machines that trust the authority; the first one is trusted by it."""
    with Farm(2, options=f"TrustedUserCAKeys {authority}.pub") as farm:
        first = farm.machines[0]
        key = farm.folder / f"{first.name}.key"
        key.with_name(f"{key.name}.pub").write_text(f"{first.public_key.split(None, 1)[1]}\n")
        keygen("-s", str(authority), "-I", first.name, "-h", "-n", first.address, f"{key}.pub")
        with first.config.open("a") as config:
            config.write(f"HostCertificate {key}-cert.pub\n")
        first.stop()
        first.start(shutil.which("sshd", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "sshd")
        assert not listening([first], seconds=20)
        yield farm


@pytest.fixture
def stranger(tmp_path: Path) -> str:
    """The path of a private key that no machine knows."""
    path = tmp_path / "stranger"
    keygen("-t", "ed25519", "-N", "", "-f", str(path))
    return str(path)


def test_a_certificate_lets_a_key_in_that_no_machine_knows(
    farm: Farm, authority: Path, stranger: str, tmp_path: Path
) -> None:
    target = good(farm, 1)
    [before] = asked(access(farm, identities=[stranger]), [target], "true")
    assert before["outcome"] == "authentication"
    keygen("-s", str(authority), "-I", "probe", "-n", getpass.getuser(), f"{stranger}.pub")
    [beside] = asked(access(farm, identities=[stranger]), [target], "true")
    assert beside["outcome"] == "ok"
    elsewhere = tmp_path / "elsewhere.pub"
    Path(f"{stranger}-cert.pub").rename(elsewhere)
    named = access(farm, identities=[stranger], certificates=[str(elsewhere)])
    [told] = asked(named, [target], "true")
    assert told["outcome"] == "ok"


def test_a_machine_with_a_certificate_is_known_by_who_signed_it(
    farm: Farm, authority: Path, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    public = authority.with_suffix(".pub").read_text()
    known.write_text(f"@cert-authority [127.1.*]:* {public}")
    checked = access(farm, known_hosts=str(known))
    signed, other = asked(checked, [good(farm), good(farm, 1)], "true")
    found = {signed["target"]: signed, other["target"]: other}
    assert found["m0001"]["outcome"] == "ok"
    # Somebody vouches for its address, and it has nothing of theirs to show.
    assert found["m0002"]["outcome"] == "host_key_changed"


def test_a_certificate_of_another_authority_is_a_change(farm: Farm, tmp_path: Path) -> None:
    keygen("-t", "ed25519", "-N", "", "-f", str(tmp_path / "other"))
    known = tmp_path / "known_hosts"
    known.write_text(f"@cert-authority [127.1.*]:* {(tmp_path / 'other.pub').read_text()}")
    [result] = asked(access(farm, known_hosts=str(known)), [good(farm)], "true")
    assert result["outcome"] == "host_key_changed"
    assert "signed by another" in result["detail"]


def test_a_new_machine_with_a_certificate_is_trusted_by_its_key_when_asked_for(
    farm: Farm, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    for trust_new, outcome in ((False, "host_key_unknown"), (True, "ok")):
        checked = access(farm, known_hosts=str(known), trust_new=trust_new)
        [result] = asked(checked, [good(farm)], "true")
        assert result["outcome"] == outcome
    assert known.read_text() == f"{farm.machines[0].public_key}\n"


def test_a_key_that_is_revoked_is_refused(farm: Farm, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    line = farm.machines[1].public_key
    known.write_text(f"{line}\n@revoked {line}\n")
    for trust_new in (False, True):
        checked = access(farm, known_hosts=str(known), trust_new=trust_new)
        [result] = asked(checked, [good(farm, 1)], "true")
        assert result["outcome"] in ("host_key_unknown", "host_key_changed")
