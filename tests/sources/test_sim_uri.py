"""sources.sim.uri: what the parameters of a simulated host may be."""

from __future__ import annotations

import pytest

from domstats.errors import BadUri
from domstats.sources.sim.uri import SimConfig, parse


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("sim:///", SimConfig()),
        ("sim:", SimConfig()),
        ("SIM:///?", SimConfig()),
        ("sim:?domains=3", SimConfig(domains=3)),
        ("sim:///?domains=0", SimConfig(domains=0)),
        ("sim:///?domains=100000&seed=18446744073709551615", SimConfig(domains=100_000, seed=2**64 - 1)),
        ("sim:///?vcpus=1024&disks=128&nics=64", SimConfig(vcpus=1024, disks=128, nics=64)),
        ("sim:///?vcpus=1&disks=0&nics=0&seed=0", SimConfig(vcpus=1, disks=0, nics=0, seed=0)),
        ("sim:///?time=1767225600.25", SimConfig(time=1_767_225_600.25)),
        ("sim:///?time=0&speed=1e-3", SimConfig(time=0.0, speed=0.001)),
        ("sim:///?time=253402300799&speed=1e300", SimConfig(time=253_402_300_799.0, speed=1e300)),
    ],
)
def test_uris(text: str, config: SimConfig) -> None:
    assert parse(text) == config


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sim:///?domains=100001", "domains must be a whole number from 0 to 100,000, not '100001'"),
        ("sim:///?domains=-1", "domains must be a whole number from 0 to 100,000, not '-1'"),
        ("sim:///?domains=", "domains must be a whole number from 0 to 100,000, not ''"),
        ("sim:///?domains=1_0", "domains must be a whole number"),
        ("sim:///?domains=%D9%A3", "domains must be a whole number"),
        ("sim:///?domains=" + "9" * 5000, "domains must be a whole number"),
        ("sim:///?seed=18446744073709551616", "seed must be a whole number from 0 to 18,446,744,073,709,551,615"),
        ("sim:///?vcpus=0", "vcpus must be a whole number from 1 to 1,024, not '0'"),
        ("sim:///?vcpus=1025", "vcpus must be a whole number from 1 to 1,024"),
        ("sim:///?disks=129", "disks must be a whole number from 0 to 128"),
        ("sim:///?nics=65", "nics must be a whole number from 0 to 64"),
        ("sim:///?nics=1.5", "nics must be a whole number from 0 to 64"),
        ("sim:///?time=253402300800", "time must be seconds since the epoch, from 0 to 253402300799"),
        ("sim:///?time=-1", "time must be seconds since the epoch"),
        ("sim:///?time=nan", "time must be seconds since the epoch"),
        ("sim:///?speed=0", "speed must be a finite number over 0, not '0'"),
        ("sim:///?speed=1e999", "speed must be a finite number over 0"),
        ("sim:///?speed=inf", "speed must be a finite number over 0"),
        ("sim:///?speed=fast", "speed must be a finite number over 0"),
        (
            "sim:///?guests=3",
            "unknown parameter 'guests'; there are domains, seed, vcpus, disks, nics, time, speed",
        ),
        ("sim:///?domains=3&domains=3", "domains is given twice"),
        ("sim:///host", "no name and no path"),
        ("sim://host/", "no name and no path"),
        ("sim:///#x", "no name and no path"),
        ("sim://[", "Invalid IPv6 URL"),
        ("qemu:///system", "sim:///"),
    ],
)
def test_what_cannot_be_used_is_named(text: str, why: str) -> None:
    with pytest.raises(BadUri) as caught:
        parse(text)
    assert why in caught.value.why
    assert caught.value.uri == text
