"""The captured replies of real daemons in tests/data."""

from __future__ import annotations

import functools
import lzma
from pathlib import Path

DATA = Path(__file__).parent / "data"
CAPTURES = tuple(sorted(path.name.removesuffix(".xdr.xz") for path in DATA.glob("*.xdr.xz")))

POLL1 = "libvirt-9.0-1024-guests-poll1"
POLL2 = "libvirt-9.0-1024-guests-poll2"
FLAT = ("libvirt-12.8-12-guests-backing", "libvirt-12.8-12-guests-poll1", "libvirt-9.0-1024-guests-backing")
"""Those with most kinds of values, where a test would take long for all."""


@functools.cache
def capture(name: str) -> bytes:
    """The body of a captured reply."""
    return lzma.decompress((DATA / f"{name}.xdr.xz").read_bytes())
