"""The documentation tells the truth: its examples run, its links lead somewhere, its reference is current."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLE = re.compile(r"```python\n(?P<code>.*?)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)
EXAMPLES = [
    pytest.param(match["code"], match["output"], id=f"{page.name}-{number}")
    for page in PAGES
    for number, match in enumerate(EXAMPLE.finditer(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_examples_print_what_is_said(code: str, output: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout == output


def test_every_python_example_has_its_output() -> None:
    count = sum(page.read_text(encoding="utf-8").count("```python") for page in PAGES)
    assert count == len(EXAMPLES) >= 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def test_make_targets_in_the_text_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"(?:`|^    )make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


def test_the_reference_is_current() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "reference.py"))
    pages: dict[str, str] = tool["pages"]()
    written = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md")}
    assert written == pages, "run tools/reference.py"
    assert (ROOT / "share" / "domstats.toml").read_text(encoding="utf-8") == tool["example"](), "run tools/reference.py"


def test_the_libvirt_socket_is_at_one_path_whose_folder_is_made() -> None:
    unit = (ROOT / "share" / "systemd" / "domstats-libvirt.socket").read_text(encoding="utf-8")
    (path,) = re.findall(r"^ListenStream=(.*)$", unit, re.MULTILINE)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for command in re.findall(r"(?:.*\n).*--libvirt-socket /run/.*", text):
            assert command.startswith(f"    mkdir -p {Path(path).parent}\n")
            assert command.endswith(f"--libvirt-socket {path}")
