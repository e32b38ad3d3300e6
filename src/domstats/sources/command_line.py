"""What QEMU's command line says of its guest: name, UUID, and the most vCPUs it may have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from domstats.model.domain import is_uuid

NAME_MAX = 1024
"""Bytes of a name; one that is longer counts as none."""
_PROGRAM = re.compile(rb"\.?(qemu-system-[^/]+|qemu-kvm|kvm|qemu)\Z")
"""File names of QEMU: everywhere, in Red Hat's systems, in Proxmox, and renamed."""
_QUESTIONS = (b"-version", b"--version", b"-help", b"--help", b"-h")
_DIGITS_MAX = 9
_TAP_FILES = re.compile(rb"""\bfds?"?[=:] ?"?([0-9:]+)""")
_TAP_FILES_MAX = 4096
_TOPOLOGY = (b"drawers", b"books", b"sockets", b"dies", b"clusters", b"modules", b"cores", b"threads")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A guest, by the command line that started it."""

    name: str
    """Empty where it has none. Bytes that are not UTF-8 are surrogate escapes."""
    uuid: str
    """In lower case; empty where it has none."""
    vcpus_maximum: int | None
    """None where QEMU itself works it out."""
    tap_files: tuple[int, ...]
    """The descriptors of network devices that it was started with, in the order of the guest's definition."""


def parse(text: bytes) -> CommandLine | None:
    """The guest that a command line (words that end with a NUL) starts; None for one that starts no guest.

    Of an option that is there twice the first counts: libvirt writes its own before what the guest's owner chooses.
    """
    words = text.split(b"\0")
    program = words[0].rpartition(b"/")[2]
    if b"qemu" not in program and b"kvm" not in program:
        return None
    given = _option(words, b"uuid").decode("ascii", "replace").lower()
    if not (_PROGRAM.match(program) or is_uuid(given)) or _is_question(words):
        return None
    name = _properties(_option(words, b"name"), b"guest").get(b"guest", b"")
    if len(name) > NAME_MAX:
        name = b""
    return CommandLine(
        name.decode("utf-8", "surrogateescape"),
        given if is_uuid(given) else _smbios_uuid(words),
        _vcpus_maximum(_properties(_option(words, b"smp"), b"cpus")),
        _tap_files(words),
    )


def _is_question(words: list[bytes]) -> bool:
    """Whether QEMU is only asked what it can do: it says so and ends, or has a machine with nothing in it, for libvirt.

    A word behind an option may be its value, which the guest's owner chooses (`-append`): that says nothing.
    """
    machine = _properties(_option(words, b"machine") or _option(words, b"M"), b"type")
    if machine.get(b"type") == b"none":
        return True
    return any(word in _QUESTIONS and not before.startswith(b"-") for before, word in pairwise(words))


def _option(words: list[bytes], name: bytes) -> bytes:
    """What follows the first `-name` or `--name`; nothing where it is not there."""
    for spelled in (b"-" + name, b"--" + name):
        if spelled in words[:-1]:
            return words[words.index(spelled) + 1]
    return b""


def _properties(text: bytes, implied: bytes) -> dict[bytes, bytes]:
    """QEMU's `key=value,...`, where a comma in a value is written twice and the first key may be left out."""
    found: dict[bytes, bytes] = {}
    for number, part in enumerate(text.replace(b",,", b"\0").split(b",")):
        key, equals, value = part.partition(b"=")
        if not equals and number == 0:
            key, value = implied, part
        found[key] = value.replace(b"\0", b",")
    return found


def _smbios_uuid(words: list[bytes]) -> str:
    """That of `-smbios type=1,uuid=...`, which is how Proxmox gives it."""
    for option, value in pairwise(words):
        if option in (b"-smbios", b"--smbios"):
            properties = _properties(value, b"")
            uuid = properties.get(b"uuid", b"").decode("ascii", "replace").lower()
            if properties.get(b"type") == b"1" and is_uuid(uuid):
                return uuid
    return ""


def _vcpus_maximum(smp: dict[bytes, bytes]) -> int | None:
    """What `-smp` allows; 1 without it, as in QEMU."""
    numbers = {key: int(value) for key, value in smp.items() if value.isdigit() and len(value) <= _DIGITS_MAX}
    for key in (b"maxcpus", b"cpus"):
        if numbers.get(key):
            return numbers[key]
    if any(key in smp for key in _TOPOLOGY):
        return None
    return 1 if not any(smp.values()) else None


def _tap_files(words: list[bytes]) -> tuple[int, ...]:
    """What `-netdev` names as fd or fds, in either of its forms: `tap,fds=3:4` and `{"type":"tap","fd":"3"}`."""
    values = (value for option, value in pairwise(words) if option in (b"-netdev", b"--netdev"))
    found = [match[1].split(b":") for value in values for match in _TAP_FILES.finditer(value)]
    numbers = [int(number) for each in found for number in each if number and len(number) <= _DIGITS_MAX]
    return tuple(numbers[:_TAP_FILES_MAX])
