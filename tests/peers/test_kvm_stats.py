"""KVM's statistics of the guests of Debian 13, whose QEMU holds the descriptors."""

from __future__ import annotations

from hypervisor import Hypervisor
from kvm_against_libvirt import same_as_libvirt


def test_kvm_statistics_are_those_of_libvirt(peer: Hypervisor) -> None:
    same_as_libvirt(peer)
