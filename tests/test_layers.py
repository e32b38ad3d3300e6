"""The architecture, read from the source: arrows point down, and the import graph has no cycle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "domstats"

LAYERS = (
    ("errors", "version"),
    ("catalog",),
    ("model",),
    ("wire",),
    ("sources",),
    ("collector",),
    ("formats",),
    ("host", "aio", "collecting", "compat", ""),
    ("doctor", "serve"),
    ("cli", "__main__"),
)
"""From the bottom to the top; a module imports from its own layer or a lower one. "" is domstats/__init__.py."""

UPWARD: frozenset[tuple[str, str]] = frozenset({("model.snapshot", "formats"), ("model.tables", "formats")})
"""Snapshot.to_*() and Table.to_*() import their format inside the method."""

NEVER = {
    "wire": {"asyncio", "socket", "ssl", "time", "os", "logging", "threading"},
    "model": {"asyncio", "socket", "ssl", "time", "os", "logging", "threading"},
    "catalog": {"asyncio", "socket", "time", "os", "numpy"},
    "formats": {"asyncio", "socket", "time", "os"},
}
"""What a layer must not even know of."""

LINES_MAX, FUNCTION_MAX = 400, 60


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in ROOT.rglob("*.py")}


def imports(module: str) -> set[str]:
    """Full names of everything a module imports, inside functions too; ours without the leading `domstats.`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def our_imports(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    found = set()
    for name in imports(module):
        if name == "domstats" or name.startswith("domstats."):
            inner = name.removeprefix("domstats").removeprefix(".")
            while inner not in MODULES:
                inner = inner.rpartition(".")[0]
            found.add(inner)
    return found


def layer_of(module: str) -> int:
    top = module.partition(".")[0]
    return next(number for number, names in enumerate(LAYERS) if top in names)


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_down(module: str) -> None:
    for other in our_imports(module):
        if (module, other.partition(".")[0]) not in UPWARD:
            assert layer_of(other) <= layer_of(module), f"{module} imports {other} from a higher layer"


def test_there_is_no_cycle() -> None:
    # domstats/__init__.py names the public modules without importing them; static_order raises CycleError.
    graph = {
        module: {other for other in our_imports(module) if (module, other.partition(".")[0]) not in UPWARD}
        for module in MODULES
        if module
    }
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)


@pytest.mark.parametrize("module", MODULES)
def test_lower_layers_know_no_io(module: str) -> None:
    known = {name.partition(".")[0] for name in imports(module)}
    assert not known & NEVER.get(module.partition(".")[0], set())


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_stay_short(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    assert text.count("\n") <= LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < FUNCTION_MAX, f"{module}.{node.name}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_knows(module: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))
