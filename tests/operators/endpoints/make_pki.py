"""Write the certificates that the tests here use: `python make_pki.py` (needs openssl).

An authority, a certificate of each side that it signed, and keys. They guard nothing, and are good
for a hundred years.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

PKI = Path(__file__).resolve().parent / "pki"
PASSWORD = "open-sesame"
DAYS = "36500"
CURVE = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, cwd=PKI, timeout=60)


def main() -> None:
    openssl("genpkey", *CURVE, "-out", "ca.key")
    openssl(
        *("req", "-x509", "-new", "-key", "ca.key", "-days", DAYS, "-subj", "/CN=Test authority"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", "ca.pem"),
    )
    for name, use in (("server", "serverAuth"), ("client", "clientAuth")):
        openssl("genpkey", *CURVE, "-out", f"{name}.key")
        (PKI / "extensions").write_text(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
            f"extendedKeyUsage={use}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
        )
        openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", "request")
        openssl(
            *("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", DAYS, "-extfile", "extensions", "-out", f"{name}.pem"),
        )
    openssl(
        *("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-iter", "2048", "-in", "client.key"),
        *("-passout", f"pass:{PASSWORD}", "-out", "locked.key"),
    )
    for name in ("ca.key", "ca.srl", "extensions", "request"):
        (PKI / name).unlink()


if __name__ == "__main__":
    main()
