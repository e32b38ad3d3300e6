"""Certificates and keys: those that fit, and what is said of all others, without a question at the terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from domstats.errors import ConfigError, UsageError
from domstats.serve.config import decode
from domstats.serve.http.tls import tls_context, tls_digest
from domstats.serve.settings import settings

CERTIFICATE = "openssl req -x509 -nodes -days 2 -subj /CN=localhost"
CURVE = "-newkey ec -pkeyopt ec_paramgen_curve:P-256"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With all kinds of files."""
    made = tmp_path_factory.mktemp("tls")
    for command in (
        f"{CERTIFICATE} {CURVE} -keyout own.key -out own.pem",
        f"{CERTIFICATE} {CURVE} -keyout other.key -out other.pem",
        f"{CERTIFICATE} -newkey rsa:512 -keyout weak.key -out weak.pem",
        "openssl genrsa -out rsa.key 2048",
        "openssl ec -in own.key -aes128 -passout pass:phrase -out phrase.key",
        "openssl pkcs8 -topk8 -in own.key -passout pass:phrase -out phrase8.key",
    ):
        subprocess.run(command.split(), cwd=made, check=True, capture_output=True)
    certificate, key = (made / "own.pem").read_bytes(), (made / "own.key").read_bytes()
    (made / "both.pem").write_bytes("# für uns\n".encode() + key + certificate)
    (made / "bothphrase.pem").write_bytes(certificate + (made / "phrase8.key").read_bytes())
    (made / "text").write_text("nothing\n")
    (made / "empty").write_text("")
    (made / "broken.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    (made / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    return made


ENCRYPTED = "is encrypted, which a service cannot use: give one without a pass phrase"
MISTAKES = [
    ("none.pem", "own.key", "certificate", "cannot use the certificate {}/none.pem: No such file or directory"),
    (".", "own.key", "certificate", "cannot use the certificate {}: Is a directory"),
    ("text", "own.key", "certificate", "cannot use the certificate {}/text: there is no PEM certificate in it"),
    ("empty", "own.key", "certificate", "cannot use the certificate {}/empty: there is no PEM certificate in it"),
    ("broken.pem", "own.key", "certificate", "cannot use the certificate {}/broken.pem: there is no PEM certificate"),
    ("own.key", "own.pem", "certificate", "cannot use the certificate {}/own.key: there is no PEM certificate in it"),
    (
        "weak.pem",
        "weak.key",
        "certificate",
        "cannot use the certificate {}/weak.pem: OpenSSL does not take it: key",
    ),
    ("own.pem", None, "certificate", "cannot use the certificate {}/own.pem: there is no key in it, and no other file"),
    ("bothphrase.pem", None, "certificate", "the key in {}/bothphrase.pem " + ENCRYPTED),
    ("own.pem", "none.key", "key", "cannot use the key {}/none.key: No such file or directory"),
    ("own.pem", "text", "key", "cannot use the key {}/text: there is no key in it"),
    ("own.pem", "own.pem", "key", "cannot use the key {}/own.pem: there is no key in it"),
    ("own.pem", "broken.key", "key", "cannot use the key {}/broken.key: the key in it cannot be read"),
    ("own.pem", "other.key", "key", "{}/other.key: the key in it does not fit the certificate {}/own.pem"),
    ("own.pem", "rsa.key", "key", "{}/rsa.key: the key in it does not fit the certificate {}/own.pem"),
    ("own.pem", "phrase.key", "key", "the key in {}/phrase.key " + ENCRYPTED),
    ("own.pem", "phrase8.key", "key", "the key in {}/phrase8.key " + ENCRYPTED),
]


@pytest.mark.parametrize(("certificate", "key", "place", "why"), MISTAKES)
def test_a_mistake_names_its_file(folder: Path, certificate: str, key: str | None, place: str, why: str) -> None:
    why = why.replace("{}", str(folder))
    with pytest.raises(UsageError) as caught:
        tls_context(folder / certificate, None if key is None else folder / key)
    assert why in str(caught.value)
    text = f'[http]\ncertificate = "{certificate}"\n' + ("" if key is None else f'key = "{key}"\n')
    with pytest.raises(ConfigError) as placed:
        settings(decode(text.encode(), folder / "file"), "file")
    assert placed.value.path == f"$.http.{place}"
    assert why in placed.value.why


def test_a_digest_tells_contents_apart(folder: Path) -> None:
    digests = [
        tls_digest(folder / "own.pem", folder / "own.key"),
        tls_digest(folder / "other.pem", folder / "other.key"),
        tls_digest(folder / "both.pem", None),
    ]
    assert len(set(digests)) == 3
    assert tls_digest(folder / "own.pem", folder / "own.key") == digests[0]


TERMINAL = """
import os, pty, sys
process, terminal = pty.fork()
if process == 0:
    os.execv(sys.executable, [sys.executable, "-m", "domstats", *sys.argv[1:]])
said = b""
try:
    while piece := os.read(terminal, 4096):
        said += piece
except OSError:  # what a terminal reads as when nobody has its other end
    pass
os.write(1, said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"""


def test_nothing_is_asked_at_the_terminal(folder: Path) -> None:
    options = ("serve", "-c", "sim:///", "--listen", "127.0.0.1:0", "--certificate", f"{folder}/own.pem")
    command = (sys.executable, "-c", TERMINAL, *options, "--key", f"{folder}/phrase.key", "--check")
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pass phrase:" not in done.stdout.decode()
    assert "is encrypted, which a service cannot use" in " ".join(done.stdout.decode().split())
