"""The history of made-up hosts: what is kept, of whom, and for how long."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domstats.catalog.groups import group_of
from domstats.errors import UnknownDomain, UsageError
from domstats.model.params import ParamType
from domstats.model.sampling import COLUMN_NAMES, Status
from domstats.model.snapshot import Snapshot
from domstats.serve.history.history import LEAST_BYTES, History
from domstats.serve.history.rings import FIGURES, LANES, Block, geometry
from histories import EPOCH, EVERY_15, MIXED, Vm, host, later, numbers, overlaid

CPU, BLOCK = group_of("cpu.time"), group_of("block.0.name")
PLAIN = ["balloon.rss", "block.<i>.rd.bytes", "net.<i>.rx.bytes"]


class TestSamples:
    def test_a_rate_is_that_since_the_sample_before(self) -> None:
        history = History(["cpu", "mem", "read"], periods=EVERY_15)
        for number in range(4):
            history.add(host(15.0 * number))
        assert numbers(history, "cpu") == [(0, None), (15, 50), (30, 50), (45, 50)]
        assert numbers(history, "read") == [(0, None), (15, 4096), (30, 4096), (45, 4096)]
        assert numbers(history, "mem") == [(15 * number, ((1 << 19) + 15 * number + 1) * 1024) for number in range(4)]

    def test_a_group_is_taken_in_when_it_was_sampled(self) -> None:
        history = History(["cpu", "rx"], periods=MIXED)
        for number in range(31):
            time = 2.0 * number
            sweep = time // 15 * 15
            history.add(host(time, sampled=dict.fromkeys((CPU, BLOCK), sweep), age=time))
        assert [time for time, _ in numbers(history, "cpu")] == [0, 15, 30, 45, 60]
        assert [time for time, _ in numbers(history, "rx")] == [2.0 * number for number in range(31)]
        assert {rate for _, rate in numbers(history, "rx")[1:]} == {100}

    def test_a_snapshot_that_was_missed_is_made_up_for_by_the_next(self) -> None:
        history = History(["cpu"], periods=EVERY_15)
        for time in (0.0, 15.0, 90.0):
            history.add(host(time))
        assert numbers(history, "cpu") == [(0, None), (15, 50), (90, 50)]

    def test_a_guest_started_anew_has_no_rate_at_first(self) -> None:
        history = History(["cpu"], periods=EVERY_15)
        for number in range(4):
            history.add(host(15.0 * number, [Vm(run=7 if number < 2 else 8)], age=100.0 + 15.0 * number))
        assert numbers(history, "cpu") == [(0, None), (15, 50), (30, None), (45, 50)]

    def test_nothing_is_told_of_a_guest_that_does_not_answer_but_that(self) -> None:
        history = History(["cpu", "rx"], periods=MIXED)
        for number in range(100):
            time = 2.0 * number
            stuck = 60.0 < time <= 150.0
            vm = Vm(status=Status.BLOCKED if stuck else Status.FRESH)
            sampled = dict.fromkeys(range(len(COLUMN_NAMES)), 60.0) if stuck else {}
            history.add(host(time, [vm], sampled=sampled | ({} if stuck else {CPU: time // 16 * 16})))
        cpu = numbers(history, "cpu")
        assert [time for time, _ in cpu] == [0, 16, 32, 48, 60, 75, 144, 160, 176, 192]
        assert [time for time, value in cpu if value is None] == [0, 75]
        rx = [time for time, value in numbers(history, "rx") if value is None]
        assert rx == [0, 62]

    @pytest.mark.parametrize("seconds", [5.0, 60.0])
    def test_other_periods_keep_what_there_is(self, seconds: float) -> None:
        history = History(["cpu"], periods=EVERY_15)
        times = [15.0 * number for number in range(40)]
        for time in times:
            history.add(host(time))
        history.repace(np.full(len(COLUMN_NAMES), seconds))
        anew = [times[-1] + seconds * number for number in range(1, 51)]
        for time in anew:
            history.add(host(time))
        found = [time for time, _ in numbers(history, "cpu")]
        assert found[-len(anew) :] == anew
        assert set(found[: -len(anew)]) <= set(times)
        assert found[0] < 100.0

    def test_a_clock_set_back_a_little_is_waited_for(self) -> None:
        history = History(["mem"], periods=EVERY_15)
        for time in (0.0, 15.0, 30.0, 5.0, 29.0, 45.0):
            history.add(host(time))
        assert [time for time, _ in numbers(history, "mem")] == [0, 15, 30, 45]

    def test_with_a_clock_set_back_far_it_begins_anew(self) -> None:
        history = History(["mem"], periods=EVERY_15)
        for time in (10_000.0, 10_015.0, 0.0, 15.0):
            history.add(host(time))
        assert [time for time, _ in numbers(history, "mem")] == [0, 15]

    def test_of_two_records_of_one_domain_the_last_counts(self) -> None:
        history = History(["balloon.rss"], periods=EVERY_15)
        for time in (0.0, 15.0):
            history.add(host(time, [Vm(), Vm(2), Vm()]))
        assert [time for time, _ in numbers(history, "balloon.rss")] == [0, 15]


class TestPlainValues:
    def test_counters_beyond_2_53_are_exact(self) -> None:
        history = History(["a.counter", "a.loss", "a.flag", "a.ratio", "a.small"], periods=EVERY_15)
        wanted: list[tuple[float, Any]] = []
        for number in range(5):
            values: dict[str, tuple[ParamType, Any]] = {
                "a.counter": (ParamType.ULLONG, 2**64 - 1 - number),
                "a.loss": (ParamType.LLONG, -(2**63) + number),
                "a.flag": (ParamType.BOOLEAN, number % 2 == 0),
                "a.ratio": (ParamType.DOUBLE, 0.1 + number),
                "a.small": (ParamType.INT, -number - 1),
            }
            history.add(host(15.0 * number, [Vm(values=tuple((key, *each) for key, each in values.items()))]))
            wanted.append((15.0 * number, values))
        for key in ("a.counter", "a.loss", "a.flag", "a.ratio", "a.small"):
            assert numbers(history, key) == [(time, values[key][1]) for time, values in wanted]

    def test_missing_is_missing(self) -> None:
        history = History(["a.counter", "b.counter"], periods=EVERY_15)
        for number in range(6):
            names = ["a.counter", "b.counter"] if number % 2 == 0 else ["b.counter"]
            history.add(host(15.0 * number, [Vm(values=tuple((name, ParamType.ULLONG, 0) for name in names))]))
        assert [value for _, value in numbers(history, "a.counter")] == [0, None, 0, None, 0, None]
        assert [value for _, value in numbers(history, "b.counter")] == [0] * 6

    def test_one_whose_type_changes_begins_anew(self) -> None:
        history = History(["a.number"], periods=EVERY_15)
        kinds = [ParamType.UINT] * 2 + [ParamType.ULLONG] * 2 + [ParamType.STRING] * 2
        for number, kind in enumerate(kinds):
            history.add(host(15.0 * number, [Vm(values=(("a.number", kind, "x" if kind is ParamType.STRING else 5),))]))
        assert [value for _, value in numbers(history, "a.number")][:4] == [None, None, 5, 5]


class TestDevices:
    def test_a_disk_keeps_its_history_when_one_before_it_is_detached(self) -> None:
        history = History(["block.<i>.read", "block.<i>.rd.bytes"], periods=EVERY_15)
        for number in range(6):
            history.add(host(15.0 * number, [Vm(disks=("vda", "vdbb") if number < 3 else ("vdbb",))]))
        assert [value for _, value in numbers(history, "block[vdbb].read")] == [None] + [4096] * 5
        wanted = [int(15 * number + 1) * 4096 + 4 for number in range(6)]
        assert [value for _, value in numbers(history, "block[vdbb].rd.bytes")] == wanted
        assert [value for _, value in numbers(history, "block[vda].read")] == [None, 4096, 4096, None, None, None]

    def test_a_disk_that_is_attached_does_not_inherit(self) -> None:
        history = History(["block.<i>.read", "block.<i>.rd.bytes"], periods=EVERY_15)
        for number in range(6):
            history.add(host(15.0 * number, [Vm(disks=("vda",) if number < 3 else ("sda",))]))
        assert [value for _, value in numbers(history, "block[sda].read")][:3] == [None] * 3
        assert [value for _, value in numbers(history, "block[sda].rd.bytes")][:3] == [None] * 3
        assert None not in [value for _, value in numbers(history, "block[sda].rd.bytes")][3:]

    @pytest.mark.parametrize("again", [None, 130], ids=["once", "and another in between"])
    def test_those_that_are_detached_are_remembered_for_an_hour(self, again: int | None) -> None:
        history = History(["block.<i>.read", "block.<i>.rd.bytes", "mem"], periods=EVERY_15)
        many, gone, tracks = ("vda", "vdb", "vdc", "vdd", "vde"), 10, []
        for number in range(420):
            disks = many if number < gone else ("vda", "vdx") if number == again else ("vda",)
            history.add(host(15.0 * number, [Vm(disks=disks)]))
            tracks.append(sum(map(len, history._guests[Vm().uuid]._tracks)))
            if gone <= number < gone + 240:
                known = [time for time, value in numbers(history, "block[vde].read") if value is not None]
                assert known[-1] == 15.0 * (gone - 1)
        last = gone - 1 if again is None else again
        assert set(tracks[: last + 241]) == {2 * 2 + 1}
        assert set(tracks[last + 242 :]) == {2 + 1}
        assert not [name for name in history.fields(Vm().uuid) if name.startswith(("block[vde]", "block[vdx]"))]
        assert len(numbers(history, "block[vda].read")) == len(numbers(history, "block[vda].rd.bytes")) == 241

    def test_those_of_a_guest_that_is_stuck_stay(self) -> None:
        history = History(["block.<i>.read", "mem"], periods=EVERY_15)
        for number in range(600):
            vm = Vm(disks=("vda",), status=Status.BLOCKED if number > 20 else Status.FRESH)
            sampled = dict.fromkeys(range(len(COLUMN_NAMES)), min(15.0 * number, 300.0))
            history.add(host(15.0 * number, [vm, Vm(2)], sampled=sampled))
        assert len(history.fields(Vm().uuid)) == len(history._guests[Vm().uuid]._tracks[0]) == 2

    def test_the_room_of_what_was_detached_is_for_others(self) -> None:
        history = History(["mem", "block.<i>.read"], periods=EVERY_15)
        disks, none = (host(0.0, [Vm(each, disks=has) for each in range(200)]) for has in (("vda",), ()))
        more = host(0.0, [Vm(each, disks=()) for each in range(400)])
        kept = []
        for number in range(270):
            history.add(later(disks if number < 10 else none if number < 260 else more, 15.0 * number))
            kept.append(history.kept().bytes)
        assert set(kept) == {kept[0]}
        assert len(numbers(history, "mem", Vm(399))) == 10

    def test_names_that_change_for_ever_take_no_more_room(self) -> None:
        history = History(periods=EVERY_15)
        for number in range(500):
            history.add(host(15.0 * number, [Vm(nics=(f"vnet{number}",), disks=(f"vd{number}",))]))
        assert history.kept().series <= 2 * 19 + 8
        assert len(history._guests[Vm().uuid]._tracks[0]) <= 8


class TestGuests:
    def test_one_that_is_gone_is_remembered_for_an_hour(self) -> None:
        history = History(["mem"], periods=EVERY_15)
        for number in range(300):
            history.add(host(15.0 * number, [Vm(), Vm(2)] if number < 10 else [Vm()]))
            if number == 10 + 240:
                assert numbers(history, "mem", Vm(2), 3600) == [(150.0, None)], "that nothing is known since"
                assert history.kept().guests == 2
        with pytest.raises(UnknownDomain):
            history.fields(Vm(2).uuid)
        assert history.kept().guests == 1

    def test_one_that_comes_back_has_its_history(self) -> None:
        history = History(["balloon.rss"], periods=EVERY_15)
        for number in range(100):
            history.add(host(15.0 * number, [Vm(2)] if 10 <= number < 90 else [Vm(), Vm(2)]))
        found = numbers(history, "balloon.rss")
        assert [time for time, _ in found] == [15.0 * number for number in (*range(10), 10, *range(90, 100))]
        assert [time for time, value in found if value is None] == [150.0], "what it was like meanwhile is not known"

    @pytest.mark.parametrize("phase", [0.0, 3.0, 5.5, 9.5])
    @pytest.mark.parametrize("what", ["off", "gone", "stuck"])
    def test_a_gap_stays_one_when_its_points_are_combined(self, what: str, phase: float) -> None:
        history = History(["cpu", "mem", "balloon.rss"], periods=[1.0] * len(COLUMN_NAMES))
        for number in range(2000):
            time, away = phase + number, 400 <= number < 700
            sampled: dict[int, float] = {}
            vms = [Vm(run=7 if number < 400 else 8)]
            if away and what == "off":
                vms = [Vm(run=None)]
            elif away and what == "gone":
                vms = []
            elif away:
                vms = [Vm(status=Status.BLOCKED)]
                sampled = dict.fromkeys(range(len(COLUMN_NAMES)), phase + 399)
            history.add(host(time, vms, sampled=sampled))
        for name in ("cpu", "mem", "balloon.rss"):
            points = numbers(history, name)
            assert [value for time, value in points if phase + 430 < time < phase + 690] in ([], [None])
            before, after = [(phase + a, phase + b) for a, b in ((390, 420), (690, 720))]
            around = [value for time, value in points if before[0] <= time <= after[1]]
            assert None in around[1:-1], (name, around)
            assert around[0] is not None
            assert around[-1] is not None

    def test_a_gap_stays_one_when_all_is_kept_coarser(self) -> None:
        block = Block(geometry(1.0, 1), FIGURES)
        rows = np.array([0])
        for second in (*range(100), *range(300, 400)):
            block.add(rows, np.array([1000.0 + second]), np.ones((1, LANES), np.float32))
            if second == 99:
                block.add(rows, np.array([1100.0]), np.full((1, LANES), np.nan, np.float32))
        for squeeze in (2, 4, 8):
            block = block.remade(geometry(1.0, squeeze))
            times, values = block.read(0)
            assert np.isnan(values[:, 0]).sum() == 1
            assert times[np.isnan(values[:, 0])][0] <= 1000.0 + 300.0
        copy = Block(geometry(1.0, 8), FIGURES)
        copy.fill(7, *block.read(0))
        assert np.isnan(copy.read(7)[1][:, 0]).sum() == 1

    def test_it_is_found_by_uuid_or_name(self) -> None:
        history = History(periods=EVERY_15)
        with pytest.raises(UnknownDomain):
            history.find("vm-1")
        history.add(host(0.0))
        assert history.find("vm-1") == history.find(Vm().uuid.upper()) == Vm().uuid
        with pytest.raises(UnknownDomain):
            history.find("vm-2")

    def test_a_host_without_guests(self) -> None:
        history = History(periods=EVERY_15)
        for time in (0.0, 15.0):
            history.add(host(time, []))
        assert (history.kept().guests, history.kept().bytes, history.kept().seconds) == (0, 0, 0.0)


class TestTheKernelsValues:
    """Where the host's kernel gives values in libvirt's place, they are sampled more often."""

    KERNEL = ("cpu.time", "vcpu.", "net.")

    def test_series_go_on_when_it_begins_and_ends(self) -> None:
        history = History(["cpu", "steal", "rx", "cpu.time", "vcpu.<id>.time", "balloon.current"], periods=MIXED)
        wanted: list[float] = []
        for number in range(300):
            time = 1.0 * number
            snapshot = host(time, sampled=dict.fromkeys((CPU, group_of("vcpu.0.time")), time // 15 * 15), age=time)
            kernel = 60 <= number < 200
            history.add(overlaid(snapshot, self.KERNEL, time) if kernel else snapshot)
            if kernel or time % 15 == 0:
                wanted.append(time)
        exact = dict(numbers(history, "cpu.time"))
        assert list(exact)[:4] == [0, 15, 30, 45]
        assert list(exact)[-4:] == [240, 255, 270, 285]
        assert all(value == int((time + 1) * 1e9) // 2 for time, value in exact.items())
        for name in ("cpu", "vcpu.1.time"):
            times = [time for time, _ in numbers(history, name)]
            assert times == sorted(set(times))
            assert set(times) <= set(wanted)
            assert sum(60 <= time < 200 for time in times) > 15
        assert [value for time, value in numbers(history, "cpu") if 70 < time < 200] == pytest.approx(
            [50] * sum(70 < time < 200 for time, _ in numbers(history, "cpu"))
        )
        assert len(history._guests[Vm().uuid]._tracks[0]) == 3

    def test_they_are_kept_at_their_own_pace(self) -> None:
        history = History(["cpu", "read"], periods=MIXED)
        for number in range(100):
            snapshot = host(1.0 * number, sampled={BLOCK: number // 15 * 15.0}, age=1.0 * number)
            history.add(overlaid(snapshot, self.KERNEL, 1.0 * number))
        assert [time for time, _ in numbers(history, "cpu")] == [1.0 * number for number in range(100)]
        assert [time for time, _ in numbers(history, "read")] == [0, 15, 30, 45, 60, 75, 90]

    @given(st.lists(st.booleans(), min_size=1, max_size=40))
    def test_however_often_that_changes(self, kernel_at: list[bool]) -> None:
        history = History(["cpu.time", "cpu"], periods=MIXED)
        for number, kernel in enumerate(kernel_at):
            snapshot = host(20.0 * number)
            history.add(overlaid(snapshot, self.KERNEL, 20.0 * number) if kernel else snapshot)
        found = numbers(history, "cpu.time")
        assert found == [(20.0 * number, int((20 * number + 1) * 1e9) // 2) for number in range(len(kernel_at))]
        assert history.kept().points <= 4 * len(kernel_at)


class TestThinning:
    def test_ten_minutes_as_they_came_and_the_rest_of_an_hour_every_10_s(self) -> None:
        history = History(["net.<i>.rx", "net.<i>.rx.bytes", "cpu"], periods=MIXED)
        for number in range(2000):
            time = 2.0 * number
            history.add(host(time, sampled={CPU: time // 15 * 15}, age=time + (time // 10 % 2) * 100))
        now = 2.0 * 1999
        rx = numbers(history, "net[vnet0].rx")
        full = [time for time, _ in rx if time > now - 600]
        assert full == [2.0 * number for number in range(1700, 2000)]
        older = [time for time, _ in rx if time < now - 700]
        assert older[0] == pytest.approx(now - 3600, abs=10)
        assert set(np.diff(older)) == {10.0}
        assert len(rx) < 640
        exact = dict(numbers(history, "net[vnet0].rx.bytes"))
        assert exact[older[5]] == int(older[5] + (older[5] // 10 % 2) * 100 + 1) * 100
        # Every other ten seconds the counter leaps ahead by 100 s, and then goes back.
        assert {value for time, value in rx if 0 < time < now - 700} == {(5100 + 4 * 100) / 5, 100}

    def test_no_more_than_two_points_a_period(self) -> None:
        history = History(["mem"], periods=EVERY_15)
        for number in range(200):
            history.add(host(0.5 * number))
        assert len(numbers(history, "mem")) == 100 // 7.5 + 1

    def test_an_hour_is_what_is_given(self) -> None:
        history = History(["mem"], periods=EVERY_15)
        for number in range(1000):
            history.add(host(15.0 * number))
        assert len(numbers(history, "mem")) == 241
        assert len(numbers(history, "mem", seconds=60.0)) == 5
        assert history.kept().seconds == 3600.0


class TestBounds:
    def test_what_is_too_little_is_refused(self) -> None:
        with pytest.raises(UsageError, match="history_bytes"):
            History(history_bytes=LEAST_BYTES - 1, periods=EVERY_15)

    def test_guests_that_come_and_go_for_ever(self) -> None:
        limit = 6 << 20
        history = History(history_bytes=limit, periods=MIXED)
        for number in range(200):
            vms = [Vm(10 * number + each) for each in range(60)]
            history.add(host(15.0 * number, vms))
            kept = history.kept()
            assert kept.bytes <= kept.limit == limit
            assert kept.waiting == 0 or number < 60
        assert kept.guests < 600
        points = history.series(Vm(10 * 199 + 5).uuid, ["cpu"])["cpu"]
        assert points.times.tolist() == [EPOCH + 15.0 * number for number in range(194, 200)]

    def test_where_there_is_no_room_it_is_coarser_and_finer_again_later(self) -> None:
        limit = 10 << 20
        history = History(["cpu", "read", "rx", "balloon.rss"], history_bytes=limit, periods=EVERY_15)
        few, many = (host(0.0, [Vm(each) for each in range(count)]) for count in (20, 400))
        coarsest = 0.0
        for number in range(700):
            time = 15.0 * number
            history.add(later(many if 100 <= number < 300 else few, time))
            kept = history.kept()
            assert kept.bytes <= limit
            coarsest = max(coarsest, kept.step)
            if number == 299:
                assert kept.waiting == 0
                times = np.diff([time for time, _ in numbers(history, "cpu", Vm(399))])
                assert times.max() <= kept.step + 15.0
                assert numbers(history, "cpu", Vm(3))[0][0] == pytest.approx(time - 3600, abs=60)
        assert coarsest >= 20
        assert (kept.step, kept.guests, kept.waiting) == (10.0, 20, 0)
        assert {a - b for (a, _), (b, _) in pairwise(numbers(history, "cpu", Vm(3))[:-100:-1])} == {15.0}

    def test_where_even_that_does_not_do_some_wait(self) -> None:
        history = History(history_bytes=LEAST_BYTES, periods=MIXED)
        vms = [Vm(each, disks=("vda", "vdb")) for each in range(1500)]
        snapshot = host(0.0, vms)
        for number in range(60):
            history.add(later(snapshot, 15.0 * number))
            assert history.kept().bytes <= LEAST_BYTES
        kept = history.kept()
        assert 0 < kept.waiting < 1500
        assert kept.guests == 1500
        found = [vm for vm in vms if history.fields(vm.uuid)]
        assert {len(numbers(history, history.fields(vm.uuid)[0], vm)) > 0 for vm in found} == {True}


vms_of_a_time = st.dictionaries(
    st.integers(1, 4),
    st.tuples(
        st.permutations(["vda", "vdb", "vdc"]).flatmap(lambda names: st.integers(0, 3).map(lambda n: names[:n])),
        st.permutations(["vnet0", "vnet1"]).flatmap(lambda names: st.integers(0, 2).map(lambda n: names[:n])),
        st.integers(1, 3),
    ),
    max_size=4,
)


@given(st.lists(vms_of_a_time, min_size=1, max_size=25))
def test_what_is_there_now_has_all_its_points(host_of_times: list[dict[int, Any]]) -> None:
    """Whoever comes, goes and changes: each plain series of a guest that is there is what its records held."""
    history = History([*PLAIN, "vcpu.<id>.time", "cpu"], periods=EVERY_15)
    held: dict[tuple[int, str], dict[float, Any]] = {}
    for number, of_time in enumerate(host_of_times):
        vms = [Vm(each, disks, nics, vcpus) for each, (disks, nics, vcpus) in of_time.items()]
        snapshot = host(15.0 * number, vms)
        history.add(snapshot)
        for vm in vms:
            record = snapshot[vm.uuid]
            names = [name for name in history.fields(vm.uuid) if record.get(name) is not None and name != "cpu"]
            for name in names:
                held.setdefault((vm.number, name), {})[15.0 * number] = record[name]
    for vm in vms:
        now = snapshot[vm.uuid]
        wanted_now = ["balloon.rss", *(f"block[{disk}].rd.bytes" for disk in vm.disks)]
        wanted_now += [*(f"net[{nic}].rx.bytes" for nic in vm.nics), *(f"vcpu.{each}.time" for each in range(vm.vcpus))]
        assert set(wanted_now) <= set(history.fields(vm.uuid))
        for name in wanted_now:
            found = numbers(history, name, vm)
            # A lane may have been another's meanwhile: what is there is right, and the last points in a row are.
            assert all(value in (None, held[vm.number, name].get(time)) for time, value in found)
            assert found[-1] == (15.0 * (len(host_of_times) - 1), now[name])


def test_a_snapshot_is_taken_in_where_nothing_is_known_of_it() -> None:
    history = History(periods=EVERY_15)
    bare = Snapshot.of_params([], time=EPOCH)
    history.add(bare)
    full = host(15.0)
    history.add(full.with_sampling(replace(full.sampling, times=np.full_like(full.sampling.times, np.nan))))
    assert numbers(history, "cpu") == []
    history.add(host(30.0))
    assert numbers(history, "cpu") == [(30, None)]
