"""The registry: the formats there are, and that none costs anything until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given

from domstats.formats import registry
from domstats.formats.options import Options
from domstats.formats.registry import FORMATS
from domstats.model.snapshot import Snapshot
from strategies import hosts


def test_the_formats() -> None:
    assert list(FORMATS) == [
        "table", "raw", "json", "ndjson", "tree", "xml", "csv", "arrow", "parquet", "prometheus", "openmetrics",
        "reply",
    ]  # fmt: skip


def test_every_module_with_an_encoder_is_in_it() -> None:
    folder = Path(str(registry.__file__)).parent
    modules = {path.stem: path for path in folder.glob("*.py")}
    modules |= {path.parent.name: path for path in folder.glob("*/__init__.py")}
    assert {name for name, path in modules.items() if "\ndef encode(" in path.read_text()} == set(FORMATS)


def test_a_format_is_imported_when_it_is_used() -> None:
    code = "import sys; from domstats.formats.registry import FORMATS; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "msgspec", "pyarrow", "domstats.model.snapshot"}
    assert not (heavy | {f"domstats.formats.{name}" for name in FORMATS}) & {*loaded}


def test_what_is_readable_has_a_decoder() -> None:
    modules = Path(str(registry.__file__)).parent.glob("*.py")
    readable = {name for name, form in FORMATS.items() if form.readable}
    assert {path.stem for path in modules if "\ndef decode(" in path.read_text()} == readable


@given(hosts, hosts)
def test_every_format_takes_every_host(now: Any, before: Any) -> None:
    snapshot, options = Snapshot.of_params(now, time=1.0), Options(width=80, before=Snapshot.of_params(before))
    for form in (each for each in FORMATS.values() if not each.binary):
        encoded = form.encode(snapshot, options)
        assert encoded == b"" or encoded.endswith(b"\n")
