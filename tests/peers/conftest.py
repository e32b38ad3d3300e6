"""The hypervisor under test has another suite's libvirt and QEMU. It takes minutes to make, so it must be asked for:

DOMSTATS_PEERS=1, or `make peers`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import guests
import suite
from hypervisor import Hypervisor, own
from hypervisor_packages import HypervisorError

ASKED_FOR = "DOMSTATS_PEERS"
SUITE = "trixie"
PLAIN = 4


@pytest.fixture(scope="session")
def peer() -> Iterator[Hypervisor]:
    """The hypervisor under test, with 15 guests of most shapes."""
    if os.environ.get(ASKED_FOR) != "1":
        pytest.skip(f"the libvirt of Debian {SUITE} is a test of its own: make peers ({ASKED_FOR}=1)")
    some = [guest for number, guest in enumerate(guests.rich()) if number % 5 in (0, 2)]
    mine = None
    try:
        mine = own(SUITE, suite.system(SUITE))
        mine.start()
        mine.add(guests.plain(PLAIN) + some)
        yield mine
    except HypervisorError as error:
        pytest.fail(f"{error} ({ASKED_FOR}=1)", pytrace=False)
    finally:
        if mine is not None:
            mine.stop()
