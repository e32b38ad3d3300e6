"""The checks against the libvirt and QEMU of Debian 13: libvirt 11.3, QEMU 10.0."""

from __future__ import annotations

from against_libvirt import AgainstLibvirt


class TestTrixie(AgainstLibvirt):
    """All of them."""
