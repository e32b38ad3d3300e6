"""sources.command_line: guests by the command lines of libvirt, Proxmox and plain QEMU, and by hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.sources.command_line import NAME_MAX, CommandLine, parse

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


def line(*words: str | bytes) -> bytes:
    return b"".join((word if isinstance(word, bytes) else word.encode()) + b"\0" for word in words)


def parsed(*words: str | bytes) -> CommandLine:
    found = parse(line(*words))
    assert found is not None
    return found


def test_libvirt() -> None:
    tap = '{"type":"tap","fd":"127","vhost":true,"vhostfd":"129","id":"hostnet0"}'
    found = parsed("/usr/bin/qemu-system-x86_64", "-name", "guest=web,debug-threads=on", "-S", "-smp",
                   "1,maxcpus=4,sockets=4,cores=1,threads=1", "-uuid", UUID.upper(), "-netdev", tap)  # fmt: skip
    assert found == CommandLine("web", UUID, 4, (127,))


def test_proxmox() -> None:
    found = parsed("/usr/bin/kvm", "-id", "100", "-name", "web,debug-threads=on", "-smbios", f"type=1,uuid={UUID}",
                   "-smp", "4,sockets=1,cores=4,maxcpus=4")  # fmt: skip
    assert found == CommandLine("web", UUID, 4, ())


def test_plain() -> None:
    assert parsed("qemu-system-aarch64", "-M", "virt") == CommandLine("", "", 1, ())
    assert parsed("./qemu-kvm", "--name", "x", "--uuid", UUID).uuid == UUID


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("web", "web"),
        ("guest=web", "web"),
        ("guest=a,,b,debug-threads=on", "a,b"),
        ("guest=a,,guest=b", "a,guest=b"),
        ("guest=a,guest=b", "b"),
        ("a,,,,b,process=p", "a,,b"),
        ("debug-threads=on", ""),
        ("guest=", ""),
        ("guest=two\nlines", "two\nlines"),
        (b"guest=\xff", "\udcff"),
        ("guest=" + "x" * NAME_MAX, "x" * NAME_MAX),
        ("guest=" + "x" * 100_000, ""),
    ],
)
def test_names(value: str | bytes, name: str) -> None:
    assert parsed("qemu-system-x86_64", "-name", value, "-uuid", UUID).name == name


@pytest.mark.parametrize(
    ("smp", "maximum"),
    [("2", 2), ("cpus=3", 3), ("2,maxcpus=8", 8), ("sockets=2,cores=2", None), ("0", None), ("x", None),
     ("9" * 5000, None)],
)  # fmt: skip
def test_vcpus(smp: str, maximum: int | None) -> None:
    assert parsed("qemu-system-x86_64", "-smp", smp).vcpus_maximum == maximum


def test_queues() -> None:
    assert parsed("kvm", "-netdev", "tap,fds=3:4,vhostfds=5:6", "-netdev", "tap,id=x,fd=9").tap_files == (3, 4, 9)


@pytest.mark.parametrize(
    "words",
    [(), ("vim", "-uuid", UUID), ("qemu-img", "-uuid"), ("qemu-img", "create"), ("qemu-nbd", "-name", "x"),
     ("/usr/bin/qemu-x86_64-static", "ls"), ("bash", "-c", "qemu-system-x86_64"), ("", "-uuid", UUID)],
)  # fmt: skip
def test_no_guests(words: tuple[str, ...]) -> None:
    assert parse(line(*words)) is None


@pytest.mark.parametrize(
    "words",
    [("qemu-system-x86_64", "-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", "none,accel=kvm:tcg",
      "-qmp", "unix:/var/lib/libvirt/qemu/capabilities.monitor.sock,server=on,wait=off", "-daemonize"),
     ("qemu-system-x86_64", "-M", "none"), ("qemu-system-x86_64", "--machine", "accel=tcg,type=none", "-uuid", UUID),
     ("/usr/bin/kvm", "-version"), ("kvm", "--version"), ("kvm", "-help"), ("kvm", "--help"), ("kvm", "-h"),
     ("kvm", "-m", "1", "-h")],
)  # fmt: skip
def test_questions_are_no_guests(words: tuple[str, ...]) -> None:
    assert parse(line(*words)) is None


def test_no_owner_hides_a_guest() -> None:
    words = ("qemu-system-x86_64", "-name", "guest=web", "-machine", "q35", "-append", "-version", "-machine", "none")
    assert parsed(*words).name == "web"
    assert parsed("qemu-system-x86_64", "-name", "none", "-machine", "pc,x=none").name == "none"


def test_what_the_owner_chooses_comes_too_late() -> None:
    other = "00000000-0000-0000-0000-000000000000"
    found = parsed("qemu-system-x86_64", "-name", "guest=web", "-uuid", UUID, "-append", "-uuid", other, "-name", "x")
    assert (found.name, found.uuid) == ("web", UUID)


@given(st.lists(st.one_of(st.binary(), st.sampled_from([b"-name", b"-uuid", b"-smp", b"-netdev", b"guest=a,,b"]))))
def test_any_words(words: list[bytes]) -> None:
    parse(line("qemu-system-x86_64", *words))
