"""The hypervisor under test is the one of all tests."""

from __future__ import annotations

import pytest

from hypervisor import Hypervisor


@pytest.fixture(scope="session")
def peer(hypervisor: Hypervisor) -> Hypervisor:
    """The hypervisor under test."""
    return hypervisor
