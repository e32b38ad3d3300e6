"""The checks against this machine's versions of libvirt and QEMU."""

from __future__ import annotations

from against_libvirt import AgainstLibvirt


class TestThisMachine(AgainstLibvirt):
    """All of them."""
