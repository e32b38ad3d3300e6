"""Groups by name and by number."""

from __future__ import annotations

import pytest

from domstats.catalog.groups import GROUPS, group_bits
from domstats.errors import UnknownGroup


@pytest.mark.parametrize(
    ("name", "bit"),
    [
        *((group.name, group.bit) for group in GROUPS),
        *((group.name.upper(), group.bit) for group in GROUPS),
        ("net", 4),
        ("cpu-total", 1),
        *((str(bit), bit) for bit in range(32)),
        ("07", 7),
    ],
)
def test_bits(name: str, bit: int) -> None:
    assert group_bits(name) == 1 << bit


@pytest.mark.parametrize(
    "name", ["", "nope", "32", "99", "100", "-1", "+1", " 1", "1.0", "²", "٣", "9" * 5000, "0" * 5000]
)
def test_no_group(name: str) -> None:
    with pytest.raises(UnknownGroup) as caught:
        group_bits(name)
    assert caught.value.group == name
