"""Fixtures for tests against real hypervisors, a pytest plugin.

The one for all tests is the one that `tests/hypervisor.py up` keeps, or else one that the test run starts and ends.
Where there can be none these tests are skipped, by name and with the reason; with DOMSTATS_REQUIRE_LIBVIRTD=1 they
fail instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest

from hypervisor import KEPT, PLAIN, Hypervisor, own
from hypervisor_packages import HypervisorError, provide, run

REQUIRE = "DOMSTATS_REQUIRE_LIBVIRTD"
_ASKING = 20.0


def unavailable(reason: object) -> NoReturn:
    """Skip the test, or fail it where the hypervisor is required."""
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"no hypervisor: {reason} ({REQUIRE}=1)", pytrace=False)
    pytest.skip(f"no hypervisor: {reason}")


@pytest.fixture(scope="session")
def hypervisor() -> Iterator[Hypervisor]:
    """A real libvirtd with 50 plain guests and the rich ones."""
    kept = Hypervisor(KEPT)
    if kept.init is not None:
        yield kept
        return
    with ExitStack() as stack:
        started = _start(stack)
        if not isinstance(started, Hypervisor):
            unavailable(started)
        yield started


def _start(stack: ExitStack) -> Hypervisor | HypervisorError:
    """One for this test run, which ends with the stack; or why there is none."""
    try:
        provide()
        mine = own()
        stack.callback(mine.stop)
        mine.start()
        mine.add_plain(PLAIN)
        mine.add_rich()
    except HypervisorError as error:
        return error
    return mine


@pytest.fixture(scope="session")
def libvirtd(hypervisor: Hypervisor) -> str:
    """Path of its read-only socket."""
    return str(hypervisor.socket)


@pytest.fixture(scope="session")
def libvirt_uri(hypervisor: Hypervisor) -> str:
    """The URI that leads to its qemu driver."""
    return hypervisor.uri


def pytest_report_header() -> str:
    """What the tests against a real libvirtd will meet."""
    try:
        libvirt = run("libvirtd", "--version", deadline=_ASKING).split()[-1]
        qemu = run("qemu-system-x86_64", "--version", deadline=_ASKING).split()[3]
    except HypervisorError as error:
        return f"hypervisor: {error}"
    kept = Hypervisor(KEPT)
    pids = kept.run_directory.glob("libvirt/qemu/*.pid")
    guests = "" if kept.init is None else f"; {len(list(pids))} guests run in {KEPT}"
    return f"hypervisor: libvirt {libvirt}, QEMU {qemu}{guests}"
