"""TLS: a certificate and its key out of their files, and what is wrong with them."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import NoReturn

from domstats.errors import UsageError

_KEY = b"PRIVATE KEY-----"
"""What the first line of every kind of PEM key ends with."""
_TOO_WEAK = ("EE_", "CA_")
"""How OpenSSL's words for a certificate it would not use begin, such as EE_KEY_TOO_SMALL."""
_OF_ANOTHER = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""OpenSSL's words for a key that is not the certificate's; the last one, where their kinds differ."""


def tls_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """What a server speaks TLS 1.2 and newer with; `key`: None where it is in the certificate's file.

    Raises UsageError, which names the file that cannot be used.
    """
    check_certificate(certificate)
    of_key = certificate if key is None else key
    what = "certificate" if key is None else "key"
    if _KEY not in _read(of_key, what):
        raise _error(of_key, what, "there is no key in it" + (", and no other file for it is given" * (key is None)))

    def refuse() -> NoReturn:
        why = f"the key in {of_key} is encrypted, which a service cannot use: give one without a pass phrase"
        raise UsageError(why)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=refuse)  # without it OpenSSL asks at the terminal
    except ssl.SSLError as error:
        if error.reason in _OF_ANOTHER:
            raise _error(of_key, what, f"the key in it does not fit the certificate {certificate}") from None
        raise _error(of_key, what, "the key in it cannot be read") from None
    except OSError as error:
        raise _error(of_key, what, error.strerror or str(error)) from None
    return context


def tls_digest(certificate: Path, key: Path | None) -> str:
    """A digest of both, which are fit for tls_context. Raises UsageError."""
    tls_context(certificate, key)
    digest = hashlib.sha256(_read(certificate, "certificate"))
    if key is not None:
        digest.update(_read(key, "key"))
    return digest.hexdigest()


def check_certificate(certificate: Path) -> None:
    """See that there are certificates in a file, and such as OpenSSL uses. Raises UsageError."""
    text = _read(certificate, "certificate").decode("ascii", "ignore")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):  # a ValueError for no text at all
        raise _error(certificate, "certificate", "there is no PEM certificate in it") from None
    try:
        context.load_cert_chain(certificate, certificate, password="")  # whatever becomes of the key
    except ssl.SSLError as error:
        if error.reason is not None and error.reason.startswith(_TOO_WEAK):
            words = error.reason[len(_TOO_WEAK[0]) :].replace("_", " ").lower()
            raise _error(certificate, "certificate", f"OpenSSL does not take it: {words}") from None
    except OSError as error:
        raise _error(certificate, "certificate", error.strerror or str(error)) from None


def _read(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise _error(file, what, error.strerror or str(error)) from None


def _error(file: Path, what: str, why: str) -> UsageError:
    return UsageError(f"cannot use the {what} {file}: {why}")
