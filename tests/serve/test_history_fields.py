"""Which fields may be chosen, and which series a record has of them."""

from __future__ import annotations

import gc
from weakref import ref

import pytest

from domstats.errors import UnknownColumn, UsageError
from domstats.formats.named import COLUMNS
from domstats.formats.table.view import View
from domstats.model.params import ParamType
from domstats.serve.history.fields import _DEVICES, _DOMAIN, DEFAULT_FIELDS, FIELDS_MAX, Fields
from domstats.serve.history.guests import Guest
from domstats.serve.history.history import History
from histories import EVERY_15, Vm, host, numbers

FULL_VM = Vm(disks=("vda", "vdb"))
MARKS = {"vcpu": "vcpu.<id>", "block": "block.<i>", "interface": "net.<i>"}
EVERY_FIELD = [*_DOMAIN, *(f"{MARKS[table]}.{word}" for table, words in _DEVICES.items() for word in words)]


def names(fields: Fields, vm: Vm) -> list[str]:
    return [series.name for series in fields.of_record(host(0.0, [vm]).layout.records[0])]


def test_words_are_those_of_the_tables() -> None:
    for table, words in {"domain": _DOMAIN, **_DEVICES}.items():
        assert all(COLUMNS[table].find(word) for word in words)


def test_there_are_about_30_when_nobody_says() -> None:
    vm = Vm(disks=("vda", "vdb"), values=tuple((f"vcpu.{vcpu}.wait", ParamType.ULLONG, 1) for vcpu in (0, 1)))
    found = names(Fields(), vm)
    assert len(found) == 29  # this guest's disks have no times of writes, a real one's have
    assert found[:4] == ["cpu", "cpu-guest", "steal", "mem"]
    assert {"vcpu.1.wait", "block[vdb].reads", "block[vda].rd-time", "net[vnet0].tx"} <= set(found)


def test_what_a_guest_does_not_report_is_no_series() -> None:
    assert names(Fields(), Vm(disks=(), nics=(), vcpus=0)) == ["cpu", "mem", "total"]


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("block.<i>.rd.bytes", ["block[vda].rd.bytes", "block[vdb].rd.bytes"]),
        ("block[vdb].wr.reqs", ["block[vdb].wr.reqs"]),
        ("block.0.wr.reqs", ["block.0.wr.reqs"]),
        ("vcpu.<id>.time", ["vcpu.0.time", "vcpu.1.time"]),
        ("balloon.rss", ["balloon.rss"]),
        ("net.<i>.rx-drop", []),
        ("block.<i>.path", []),
        ("a.key.of.tomorrow", []),
    ],
)
def test_a_field_is_chosen_by_word_pattern_or_key(field: str, found: list[str]) -> None:
    assert names(Fields([field]), FULL_VM) == found


@pytest.mark.parametrize("name", ["cpus", "", "steal%", "vcpu.<i>.cpu", "block.<i>.raed", "net.<i>.wait"])
def test_what_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(UnknownColumn):
        Fields([name])


@pytest.mark.parametrize("name", ["name", "state", "from", "status"])
def test_a_column_that_is_no_figure(name: str) -> None:
    with pytest.raises(UsageError, match=f"the column '{name}' is none that a history keeps; there are cpu, cpu-guest"):
        Fields([name])


def test_there_are_not_too_many() -> None:
    with pytest.raises(UsageError, match="too many"):
        Fields(f"key.{number}" for number in range(FIELDS_MAX + 1))


def test_of_a_disks_images_the_topmost_counts() -> None:
    vm = Vm(disks=("vda", "vda", "vdb"))
    assert names(Fields(["block.<i>.read"]), vm) == ["block[vda].read", "block[vdb].read"]


def test_a_guest_keeps_its_series_as_long_as_its_devices_have_their_names() -> None:
    fields, guest = Fields(DEFAULT_FIELDS), Guest()
    first, again, other = (host(0.0, [Vm(nics=(nic,))]).layout.records[0] for nic in ("tap1", "tap1", "tap2"))
    series = guest.see(first, fields)
    assert guest.see(again, fields) is series
    assert [each.name for each in guest.see(other, fields) if each not in series] == ["net[tap2].rx", "net[tap2].tx"]


def test_nothing_is_remembered_of_shapes_that_are_no_more() -> None:
    fields = Fields(DEFAULT_FIELDS)
    record = host(0.0, [Vm(vcpus=11)]).layout.records[0]
    assert len(fields.of_record(record)) == 40
    shape = ref(record.shape)
    del record
    gc.collect()
    assert shape() is None


RICH = (
    *((f"vcpu.{vcpu}.wait", ParamType.ULLONG, 10**9) for vcpu in (0, 1)),
    *((f"net.0.{way}.{what}", ParamType.ULLONG, 5) for way in ("rx", "tx") for what in ("pkts", "drop", "errs")),
    *((f"block.{disk}.{way}.times", ParamType.ULLONG, 9) for disk in (0, 1) for way in ("wr", "fl")),
    ("block.0.fl.reqs", ParamType.ULLONG, 9),
)
"""What the other guests do not report."""


@pytest.mark.parametrize("field", EVERY_FIELD)
def test_figures_are_those_of_the_table(field: str) -> None:
    vms = [Vm(2, disks=()), Vm(disks=("vda", "vdb"), values=RICH), Vm(3, disks=("sda",), vcpus=4)]
    before, now = host(0.0, vms), host(20.0, vms)
    history = History([field], periods=EVERY_15)
    history.add(before)
    history.add(now)
    found = {(vm.uuid, name): numbers(history, name, vm)[-1][1] for vm in vms for name in history.fields(vm.uuid)}
    prefix, _, word = field.rpartition(".")
    table = next((table for table, pattern in MARKS.items() if pattern == prefix), "domain")
    view = View(now, table, before)
    wanted = {}
    for record, device, value in zip(view.by_record(now.records), view.devices, view.column(word).values, strict=True):
        entry = f"{prefix.partition('.')[0]}.{device}"
        of_device = f"{entry}.{word}" if table == "vcpu" else f"{entry[:-2]}[{record.get(f'{entry}.name')}].{word}"
        wanted[record.domain.uuid, of_device if prefix else word] = value
    assert found
    assert found.keys() <= wanted.keys()
    assert all(value is None for series, value in wanted.items() if series not in found)
    for series, value in found.items():
        assert value == (None if wanted[series] is None else pytest.approx(wanted[series]))
