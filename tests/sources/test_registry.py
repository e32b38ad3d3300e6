"""sources.registry: which URI is used, and what opens it."""

from __future__ import annotations

from pathlib import Path

import pytest

from domstats.errors import BadUri
from domstats.sources.kernel.source import KernelSource
from domstats.sources.libvirt.source import LibvirtSource
from domstats.sources.registry import check_uri, open_kernel, open_source

SIM, OTHER = "sim:///?domains=3", "sim:///?domains=4"
OPENING = 10.0


@pytest.mark.parametrize(
    ("uri", "environment", "opened"),
    [
        (SIM, {}, SIM),
        (SIM, {"DOMSTATS_URI": OTHER, "LIBVIRT_DEFAULT_URI": OTHER}, SIM),
        (None, {"DOMSTATS_URI": SIM, "LIBVIRT_DEFAULT_URI": OTHER}, SIM),
        (None, {"LIBVIRT_DEFAULT_URI": OTHER}, OTHER),
        (None, {"DOMSTATS_URI": "", "LIBVIRT_DEFAULT_URI": OTHER}, OTHER),
    ],
)
async def test_which_uri(uri: str | None, environment: dict[str, str], opened: str) -> None:
    assert (await open_source(uri, environment, OPENING)).uri == opened


async def test_without_any_the_local_libvirt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def opened(uri: str, _environment: object, *, deadline: float) -> tuple[str, float]:
        return uri, deadline

    monkeypatch.setattr(LibvirtSource, "open", opened)
    assert await open_source(None, {}, OPENING) == ("qemu:///system", OPENING)


@pytest.mark.parametrize("uri", ["nonsense", "://", "xen:///system", "sim:///?domains=x", "qemu+ssh://host/system"])
@pytest.mark.parametrize("variable", ["DOMSTATS_URI", "LIBVIRT_DEFAULT_URI"])
async def test_a_bad_uri_of_the_environment_names_the_variable(variable: str, uri: str) -> None:
    with pytest.raises(BadUri, match=f"environment variable {variable}") as caught:
        await open_source(None, {variable: uri}, OPENING)
    assert caught.value.uri == uri


async def test_a_bad_uri_of_the_caller_names_no_variable() -> None:
    with pytest.raises(BadUri) as caught:
        await open_source("", {"DOMSTATS_URI": SIM}, OPENING)
    assert "variable" not in str(caught.value)


@pytest.mark.parametrize("uri", ["qemu:///system", "qemu:///session", "qemu+unix:///system?socket=/run/x"])
async def test_the_kernel_knows_the_guests_of_a_qemu_driver(uri: str) -> None:
    kernel = open_kernel(uri)
    assert isinstance(kernel, KernelSource)
    await kernel.aclose()


@pytest.mark.parametrize("uri", [SIM, "kernel:///", "test+unix:///default", "vz:///system"])
def test_of_others_it_knows_nothing(uri: str) -> None:
    assert open_kernel(uri) is None


@pytest.mark.parametrize(
    "uri", [SIM, "kernel:///", "qemu:///system", "qemu+unix:///system?socket=/none", "test:///default"]
)
def test_a_good_uri_is_not_opened(uri: str) -> None:
    check_uri(uri, {})


def test_a_script_is_read(tmp_path: Path) -> None:
    uri = f"sim:///?script={tmp_path}/script.toml"
    with pytest.raises(BadUri, match="cannot read the script"):
        check_uri(uri, {})
    (tmp_path / "script.toml").write_text('[[event]]\nat = 1.0\ndo = "dance"\n')
    with pytest.raises(BadUri, match=r"event\[0\]\.do"):
        check_uri(uri, {})
    (tmp_path / "script.toml").write_text('[[event]]\nat = 1.0\ndomains = "*"\ndo = "hang"\n')
    check_uri(uri, {})


@pytest.mark.parametrize("uri", ["nonsense", "", "xen:///system", "sim:///?domains=x", "kernel:///?x=1", "qemu:///x"])
def test_a_bad_uri(uri: str) -> None:
    with pytest.raises(BadUri):
        check_uri(uri, {})
