"""sources.libvirt.uri: what a URI means."""

from __future__ import annotations

import pytest

from domstats.errors import BadUri
from domstats.sources.libvirt.uri import parse

SYSTEM = ("/run/libvirt/virtqemud-sock-ro", "/run/libvirt/libvirt-sock-ro")


@pytest.mark.parametrize(
    ("text", "name", "sockets"),
    [
        ("qemu:///system", "qemu:///system", SYSTEM),
        ("qemu+unix:///system", "qemu:///system", SYSTEM),
        ("qemu+unix:///system?socket=/tmp/a%20b", "qemu:///system", ("/tmp/a b",)),
        ("qemu:///system?socket=/tmp/sock", "qemu:///system", ("/tmp/sock",)),
        ("qemu:///system?socket=/a+b=%26%23&", "qemu:///system", ("/a+b=&#",)),
        ("QEMU:///system", "qemu:///system", SYSTEM),
        ("vz:///system", "vz:///system", ("/run/libvirt/virtvzd-sock-ro", "/run/libvirt/libvirt-sock-ro")),
        ("test:///default", "test:///default", ("/run/libvirt/libvirt-sock-ro",)),
        ("test+unix:///default", "test:///default", ("/run/libvirt/libvirt-sock-ro",)),
        ("test+unix:///default?socket=/s", "test:///default", ("/s",)),
        ("test:///etc/host.xml", "test:///etc/host.xml", ("/run/libvirt/libvirt-sock-ro",)),
    ],
)
def test_system_uris(text: str, name: str, sockets: tuple[str, ...]) -> None:
    uri = parse(text, {})
    assert (uri.text, uri.name, uri.sockets) == (text, name, sockets)


@pytest.mark.parametrize(
    ("env", "directory"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/7", "XDG_CACHE_HOME": "/c", "HOME": "/home/me"}, "/run/user/7/libvirt"),
        ({"XDG_RUNTIME_DIR": "", "XDG_CACHE_HOME": "/c", "HOME": "/home/me"}, "/c/libvirt"),
        ({"HOME": "/home/me"}, "/home/me/.cache/libvirt"),
    ],
)
def test_session_uris(env: dict[str, str], directory: str) -> None:
    uri = parse("qemu:///session", env)
    assert uri.name == "qemu:///session"
    assert uri.sockets == (f"{directory}/virtqemud-sock", f"{directory}/libvirt-sock")


def test_a_session_without_a_home() -> None:
    with pytest.raises(BadUri, match="neither XDG_RUNTIME_DIR nor HOME"):
        parse("qemu:///session", {})
    assert parse("qemu:///session?socket=/s", {}).sockets == ("/s",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("qemu+ssh://host/system", "not supported yet"),
        ("qemu+tls://host/system", "not supported yet"),
        ("qemu+tcp:///system", "not supported yet"),
        ("qemu://host/system", "not supported yet"),
        ("qemu://user@/system", "not supported yet"),
        ("qemu+carrier:///system", "unknown transport 'carrier'"),
        ("qemu:///", "qemu:///system or qemu:///session"),
        ("qemu:///System", "qemu:///system or qemu:///session"),
        ("qemu", "drivers with bulk statistics are qemu, vz, test"),
        ("", "drivers with bulk statistics are qemu, vz, test"),
        ("lxc:///system", "drivers with bulk statistics are qemu, vz, test"),
        ("qemu:///system?mode=legacy", "unknown parameter 'mode'; 'socket' is supported"),
        ("qemu:///system?socket=/s&x", "unknown parameter 'x'"),
        ("qemu:///system?socket=/a#b", "written %23"),
        ("qemu:///system?socket=", "must begin with /"),
        ("qemu:///system?socket=relative", "must begin with /"),
        ("qemu://[::1/system", "Invalid IPv6 URL"),
    ],
)
def test_uris_that_cannot_be_used(text: str, why: str) -> None:
    with pytest.raises(BadUri) as caught:
        parse(text, {"HOME": "/home/me"})
    assert why in str(caught.value)
    assert caught.value.uri == text
    assert "\n" not in str(caught.value)
