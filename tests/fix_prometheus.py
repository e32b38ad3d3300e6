"""Fixtures for tests against the real Prometheus, a pytest plugin.

Where it can neither be found nor brought these tests are skipped, by name and with the reason; with
DOMSTATS_REQUIRE_LIBVIRTD=1, as for the hypervisor, they fail instead.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fix_libvirtd import REQUIRE
from hypervisor_packages import HypervisorError
from prometheus_packages import Programs, provide

_PATIENCE = 60.0


@pytest.fixture(scope="session")
def prometheus_programs() -> Programs:
    """promtool and prometheus."""
    try:
        return provide()
    except HypervisorError as error:
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"no Prometheus: {error} ({REQUIRE}=1)", pytrace=False)
        pytest.skip(f"no Prometheus: {error}")


@pytest.fixture(scope="session")
def promtool(prometheus_programs: Programs) -> Callable[..., str]:
    """Runs promtool with these arguments and this text; what it prints, complaints first. It has to be content."""

    def call(*args: str | Path, given: bytes = b"") -> str:
        done = subprocess.run(
            [prometheus_programs.promtool, *args], input=given, capture_output=True, timeout=_PATIENCE, check=False
        )
        assert done.returncode == 0, (done.stderr + done.stdout).decode(errors="replace")[:4000]
        return (done.stderr + done.stdout).decode()

    return call
