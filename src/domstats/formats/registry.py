"""The formats by name. A format's module is imported when it is used, and not before."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from domstats.formats.options import NO_OPTIONS, Options

if TYPE_CHECKING:
    from domstats.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Format:
    """A format, and the module of this package with its name."""

    name: str
    summary: str
    """What it is, for a list of formats."""
    binary: bool = False
    """Whether it is nothing for a terminal."""
    readable: bool = False
    """Whether a snapshot can be read from it."""

    def load(self) -> ModuleType:
        """Its module, imported now if it was not. Raises MissingExtra."""
        return import_module(f"domstats.formats.{self.name}")

    def encode(self, snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
        """The snapshot in this format. Raises MissingExtra."""
        encoded: bytes = self.load().encode(snapshot, options)
        return encoded

    def decode(self, data: bytes) -> Snapshot:
        """The snapshot in a document of a readable format. Raises BadDocument; of a reply, ProtocolError."""
        snapshot: Snapshot = self.load().decode(data)
        return snapshot


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format("table", "a line a domain, or a device of each, for people"),
        Format("raw", "the text of `virsh domstats`"),
        Format("json", "one document with everything", readable=True),
        Format("ndjson", "JSON, a line a domain", readable=True),
        Format("tree", "JSON, nested by the parts of the keys"),
        Format("xml", "one document with everything, nested in elements", readable=True),
        Format("csv", "CSV, a line a value or, with --table, a row a line"),
        Format("arrow", "Arrow's IPC stream", binary=True),
        Format("parquet", "a Parquet file", binary=True),
        Format("prometheus", "metrics in Prometheus's text format"),
        Format("openmetrics", "metrics in OpenMetrics's"),
        Format("reply", "the bytes of libvirt's own reply", binary=True, readable=True),
    )
}
