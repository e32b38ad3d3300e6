"""Fixtures for tests in a browser, Debian's Chromium, a pytest plugin.

Where it can neither be found nor brought, or uPlot cannot, these tests are skipped, by name and with the reason; with
DOMSTATS_REQUIRE_LIBVIRTD=1, as for the hypervisor, they fail instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fix_libvirtd import REQUIRE
from hypervisor_packages import SYSTEM_PATH, HypervisorError, install

if TYPE_CHECKING:
    from playwright.async_api import Browser

_ROOT = Path(__file__).parent.parent
_PATIENCE = 120.0


def _lacking(what: str) -> None:
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{what} ({REQUIRE}=1)", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser."""
    found = shutil.which("chromium", path=SYSTEM_PATH)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        try:
            install("chromium", "fonts-dejavu-core")
        except HypervisorError as error:
            _lacking(f"no Chromium: {error}")
        found = shutil.which("chromium", path=SYSTEM_PATH)
    if found is None:
        _lacking("no Chromium here, and no way to bring it")
    return str(found)


@pytest.fixture(scope="session")
def charts() -> None:
    """The page has what it draws its charts with."""
    subprocess.run([_ROOT / "tools" / "page"], check=True, timeout=_PATIENCE)
    if not (_ROOT / "src/domstats/serve/http/page/uPlot.esm.js").exists():
        _lacking("no uPlot: npm is not here, or does not get it")


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A browser of the test's own."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        await started.close()
