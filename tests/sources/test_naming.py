"""sources.naming: what a domain's name is taken for."""

from __future__ import annotations

import uuid

import pytest

from domstats.model.layout import DomainKey
from domstats.sources.naming import By, lookups

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


@pytest.mark.parametrize(
    ("name", "tries"),
    [
        ("web-1", [(By.NAME, "web-1")]),
        ("", [(By.NAME, "")]),
        ("7", [(By.ID, 7), (By.NAME, "7")]),
        ("2147483647", [(By.ID, 2147483647), (By.NAME, "2147483647")]),
        ("2147483648", [(By.NAME, "2147483648")]),
        ("9" * 5000, [(By.NAME, "9" * 5000)]),
        ("-1", [(By.NAME, "-1")]),
        ("²", [(By.NAME, "²")]),
        (UUID, [(By.UUID, UUID), (By.NAME, UUID)]),
        (UUID.upper(), [(By.UUID, UUID), (By.NAME, UUID.upper())]),
        (7, [(By.ID, 7)]),
        (0, [(By.ID, 0)]),
        (-1, []),
        (1 << 31, []),
        (uuid.UUID(UUID), [(By.UUID, UUID)]),
    ],
)
def test_lookups(name: DomainKey, tries: list[tuple[By, int | str]]) -> None:
    assert lookups(name) == tries
