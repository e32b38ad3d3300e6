"""What would be served with some settings, for people."""

from __future__ import annotations

from collections.abc import Iterator

from domstats.catalog.groups import GROUPS
from domstats.formats.text import escape
from domstats.serve.settings import HostSettings, Settings

MIB = 1 << 20
_WIDTH = 16


def summary(chosen: Settings) -> list[str]:
    """Some lines."""
    return [escape(f"{name:{_WIDTH}}{text}".rstrip()) for name, text in _lines(chosen)]


def _lines(chosen: Settings) -> Iterator[tuple[str, str]]:
    host, http, libvirt, history = chosen.host, chosen.http, chosen.libvirt, chosen.history
    yield "host", host.uri or "the one of $DOMSTATS_URI or $LIBVIRT_DEFAULT_URI, or this one's libvirt daemon"
    yield "domains", ", ".join(host.domains) or "all"
    for text in _plan(host):
        yield "plan", text
    if http is not None:
        marks = [mark for mark, is_so in (("TLS", http.tls), ("with a token", http.options.token)) if is_so]
        where = [str(each) for each in http.listen or ()] or ["the sockets that systemd passes"]
        yield "http", ", ".join((*where, *marks))
    if libvirt is not None:
        where = ["the sockets that systemd passes"]
        if libvirt.path is not None:
            where = [str(libvirt.path), f"mode {libvirt.mode:04o}"]
        group = [] if libvirt.group is None else [f"group {libvirt.group}"]
        yield "libvirt socket", ", ".join((*where, *group))
    if history is not None:
        yield "history", f"{len(history.fields)} fields, at most {history.bytes / MIB:g} MiB"
    yield "log", f"{chosen.log.level}, {'JSON' if chosen.log.json else 'plain'}"


def _plan(host: HostSettings) -> Iterator[str]:
    for pace in (host.plan.free, *host.plan.guests):
        names = [group.name for group in GROUPS if pace.groups >> group.bit & 1]
        if names:
            yield f"every {pace.period:g} s {', '.join(names)}"
    yield f"at most {host.plan.share:.0%} of libvirtd's time"
