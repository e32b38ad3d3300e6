"""`domstats get -f prometheus` and `openmetrics`: the options, and the labels out of definitions."""

from __future__ import annotations

import pytest

from domstats.cli import main

SIM = ("get", "-c", "sim:///?domains=4&time=1800000000")


def printed(capfd: pytest.CaptureFixture[str], *args: str) -> str:
    assert main([*SIM, *args]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return out


def refused(capfd: pytest.CaptureFixture[str], *args: str) -> str:
    assert main([*SIM, *args]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize(("form", "end"), [("prometheus", "\n"), ("openmetrics", "\n# EOF\n")])
def test_both_formats(capfd: pytest.CaptureFixture[str], form: str, end: str) -> None:
    text = printed(capfd, "-f", form)
    assert text.startswith("# HELP domstats_domain")
    assert text.endswith(end)
    assert "_kvm_" not in text
    assert "title=" not in text


def test_labels_of_nova(capfd: pytest.CaptureFixture[str]) -> None:
    text = printed(capfd, "-f", "prometheus", "--labels", "nova", "--group", "state", "web-1")
    assert 'title="Web 1",nova_name="web-1",nova_flavor="web",nova_project="shop",nova_project_uuid="' in text


def test_labels_of_ones_own(capfd: pytest.CaptureFixture[str]) -> None:
    nova = "http://openstack.org/xmlns/libvirt/nova/1.1"
    labels = (f"project={nova}:owner/project", f"f={nova}:flavor@name")
    text = printed(capfd, "-f", "openmetrics", "--label", labels[0], "--label", labels[1])
    assert ',project="shop",f="web"} 1' in text


def test_hypervisor_stats(capfd: pytest.CaptureFixture[str]) -> None:
    assert "domstats_vcpu_kvm_exits_total{" in printed(capfd, "-f", "prometheus", "--hypervisor-stats")


def test_fields(capfd: pytest.CaptureFixture[str]) -> None:
    text = printed(capfd, "-f", "prometheus", "--field", "block.<i>.rd.*", "--field", "cpu.time")
    names = {line.partition("{")[0] for line in text.splitlines() if "{domain=" in line and "_domain_" not in line}
    assert names == {
        "domstats_cpu_time_seconds_total",
        "domstats_block_rd_requests_total",
        "domstats_block_rd_bytes_total",
        "domstats_block_rd_time_seconds_total",
    }


def test_max_series(capfd: pytest.CaptureFixture[str]) -> None:
    text = printed(capfd, "-f", "prometheus", "--group", "state,cpu", "--max-series", "8")
    assert "cpu_time" not in text
    assert "domstats_domain_state{" in text
    dropped = [line for line in text.splitlines() if line.startswith('domstats_series_dropped{group="cpu"}')]
    assert int(dropped[0].rpartition(" ")[2]) > 0


def test_max_age(capfd: pytest.CaptureFixture[str]) -> None:
    assert "domstats_cpu_time_seconds_total{" in printed(capfd, "-f", "prometheus", "--max-age", "30")


@pytest.mark.parametrize(
    "args",
    [
        ("--labels", "nova"),
        ("--label", "a=b:c"),
        ("--field", "cpu.time"),
        ("--hypervisor-stats",),
        ("--unknown-stats",),
        ("--max-age", "0"),
        ("--max-series", "0"),
    ],
)
def test_another_format_has_no_use_for_them(capfd: pytest.CaptureFixture[str], args: tuple[str, ...]) -> None:
    message = f"Error: {args[0]} is for the formats prometheus and openmetrics, not for json\n"
    assert refused(capfd, "-f", "json", *args).endswith(message)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--label", "x"), "NAME=NAMESPACE:PATH"),
        (("--label", "uuid=a:b"), "has another meaning"),
        (("--label", "a-b=a:b"), "cannot be the name of a label"),
        (("--labels", "nova", "--label", "nova_name=a:b"), "two labels 'nova_name'"),
        (("--labels", "ovirt"), "'nova', 'kubevirt'"),
        (("--field", "nothing.*"), "no field fits 'nothing.*'"),
        (("--max-age", "nan"), "--max-age"),
        (("--max-age", "inf"), "--max-age"),
        (("--max-age", "-1"), "--max-age"),
        (("--max-series", "-1"), "--max-series"),
    ],
)
def test_what_makes_no_sense(capfd: pytest.CaptureFixture[str], args: tuple[str, ...], why: str) -> None:
    assert why in refused(capfd, "-f", "prometheus", *args)
