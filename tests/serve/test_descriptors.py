"""Room for clients, and a process without a descriptor left."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from descriptor_limits import no_descriptor_left, soft_limit
from domstats.serve.descriptors import make_room, open_descriptors
from domstats.serve.figures import resident_bytes
from serving import serving


def soft() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_room_is_made() -> None:
    with soft_limit(512):
        make_room(100)
        assert soft() == 612
        make_room(1 << 30)
        assert soft() == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        make_room(1)


def test_a_sandbox_that_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise ValueError

    with soft_limit(512), monkeypatch.context() as patched:
        patched.setattr(resource, "setrlimit", forbidden)
        make_room(100)


async def test_the_libvirt_socket_makes_room_for_its_clients(tmp_path: Path) -> None:
    with soft_limit(512):
        async with serving("sim:///?domains=3", tmp_path / "sock", max_clients=700):
            assert soft() == 1212


def test_what_is_said_without_a_descriptor_left() -> None:
    before = open_descriptors()
    with open(os.devnull, "rb"):  # noqa: PTH123  it is only to be open
        assert open_descriptors() == before + 1
    assert resident_bytes()
    with no_descriptor_left():
        assert open_descriptors() == soft()
        assert resident_bytes() is None
