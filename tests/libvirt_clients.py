"""What programs of others read through a libvirt socket: collectd, an exporter, munin's plugins, go-libvirt."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from client_packages import GO_ENVIRONMENT, TYPES, munin_plugin
from serving import PATIENCE, run

GO_PROGRAM = Path(__file__).parent / "inside/ask_go_libvirt.go"
_COLLECTD = """
Interval 3600
BaseDir "{folder}"
PIDFile "{folder}/pid"
TypesDB "{types}"
LoadPlugin csv
<Plugin csv>
  DataDir "{folder}/values"
  StoreRates false
</Plugin>
LoadPlugin virt
<Plugin virt>
  Connection "{uri}"
  HostnameFormat name
  InterfaceFormat name
  ExtraStats "domain_state memory vcpu"
</Plugin>
"""

Values = dict[str, dict[str, float]]
"""By the names of the domains, then by the names of the values."""


async def collectd(uri: str, folder: Path, complete: Callable[[Values], bool]) -> Values:
    """What collectd's virt plugin reads, as type-instance.field, as soon as all of that is written."""
    settings = _collectd_settings(uri, folder)
    process = await asyncio.create_subprocess_exec(
        "collectd", "-f", "-C", str(settings), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(PATIENCE):
            while not complete(values := await asyncio.to_thread(_collected, folder)):  # noqa: ASYNC110  nothing tells
                await asyncio.sleep(2.0)
            return values
    finally:
        process.kill()
        await process.wait()


def _collectd_settings(uri: str, folder: Path) -> Path:
    folder.mkdir()
    settings = folder / "collectd.conf"
    settings.write_text(_COLLECTD.format(folder=folder, types=TYPES, uri=uri))
    return settings


def _collected(folder: Path) -> Values:
    found: Values = {}
    for file in folder.glob("values/*/virt/*"):
        header, *rows = csv.reader(file.read_text().splitlines()) if file.stat().st_size else [[]]
        if not rows:
            continue  # it is just being written
        name = file.name[: -len("-2000-01-01")]
        values = found.setdefault(file.parts[-3], {})
        values |= {f"{name}.{field}": float(value) for field, value in zip(header[1:], rows[0][1:], strict=True)}
    return found


async def exporter(uri: str) -> dict[tuple[str, str, str], float]:
    """A scrape of prometheus-libvirt-exporter: (metric, domain, device); one of the exporter itself has no domain."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (f"--web.listen-address=127.0.0.1:{port}", f"--libvirt.uri={uri}")
    process = await asyncio.create_subprocess_exec("prometheus-libvirt-exporter", *options)
    try:
        async with asyncio.timeout(PATIENCE):
            text = await _get(port, "/metrics")
    finally:
        process.kill()
        await process.wait()
    found = {}
    for name, labels, value in re.findall(r"^(libvirt_\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
        known = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
        found[name.removeprefix("libvirt_"), known.get("domain", ""), known.get("target_device", "")] = float(value)
    return found


async def _get(port: int, path: str) -> str:
    """What a server that is about to start says."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)  # nothing tells that it listens
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    assert text.startswith("HTTP/1.0 200"), text[:200]
    return text.replace("\r\n", "\n")


async def munin(plugin: str, uri: str) -> dict[str, int]:
    """What one of munin's plugins reads."""
    code, out, complaints = await run(*munin_plugin(plugin), uri=uri)
    assert (code, complaints) == (0, "")
    return {name: int(value) for name, value in re.findall(r"^(\w+)\.value (-?\d+)$", out, re.MULTILINE)}


def munin_name(domain: str) -> str:
    """What munin calls a domain."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", domain)


async def build_go(folder: Path) -> Path:
    """The program that asks with go-libvirt."""
    program = folder / "ask"
    settings = GO_ENVIRONMENT | {"GOCACHE": str(folder / "cache")}
    code, _, complaints = await run("go", "build", "-o", str(program), str(GO_PROGRAM), **settings)
    assert code == 0, complaints
    return program


async def go_libvirt(program: Path, path: Path) -> list[dict[str, Any]]:
    """What it says of the domains: Name, UUID, ID, State, Stats."""
    code, out, complaints = await run(str(program), str(path))
    assert code == 0, complaints
    found: list[dict[str, Any]] = json.loads(out)
    return found
