"""The metrics texts: what is left out, what is added, and what is kept from one rendering to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from captures import POLL1, POLL2, capture
from domstats.catalog.groups import GROUP_NAMES
from domstats.collector.cost import Cost
from domstats.errors import UsageError
from domstats.formats import openmetrics, prometheus
from domstats.formats.metrics import plan
from domstats.formats.metrics.metadata import metadata_labels
from domstats.formats.metrics.options import PRESETS, MetadataLabel, MetricsOptions, metadata_label
from domstats.formats.metrics.page import fitting
from domstats.formats.options import Options
from domstats.model.description import Description
from domstats.model.domain import Domain
from domstats.model.layout import Layout, RecordLayout
from domstats.model.merge import without_old_groups
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.decoder import ReplyDecoder

UUIDS = [f"6695eb01-f6a4-8304-79aa-{number:012x}" for number in range(16)]
STATE, CPU, VCPU = (GROUP_NAMES.index(name) for name in ("state", "cpu", "vcpu"))
NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
NOVA_XML = (
    f'<nova:instance xmlns:nova="{NOVA}"><nova:name>vm</nova:name>'
    '<nova:flavor name="m1.small"><nova:name>no</nova:name></nova:flavor><nova:owner>'
    '<nova:user uuid="u1">admin</nova:user><nova:project uuid="p1">shop &amp; co</nova:project>'
    "</nova:owner></nova:instance>"
)


def host(count: int = 4) -> Snapshot:
    """Domains vm-0, vm-1, ... of which every other is shut off."""
    return Snapshot.of_params(
        (
            (
                Domain(f"vm-{number}", UUIDS[number], number),
                [
                    TypedParameter("state.state", ParamType.INT, 5 if number % 2 else 1),
                    TypedParameter("state.reason", ParamType.INT, 1),
                    TypedParameter("cpu.time", ParamType.ULLONG, number * 10**9),
                    TypedParameter("vcpu.0.time", ParamType.ULLONG, number * 10**9),
                    TypedParameter("vcpu.0.exits.sum", ParamType.ULLONG, number),
                ],
            )
            for number in range(count)
        ),
        time=1000.0,
    )


def text_of(snapshot: Snapshot, **options: object) -> str:
    return prometheus.encode(snapshot, Options(metrics=MetricsOptions(**options))).decode()  # type: ignore[arg-type]


def series(text: str, name: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]


def names(text: str) -> set[str]:
    """Of the metrics of domains."""
    found = {line.partition("{")[0] for line in text.splitlines() if "{domain=" in line}
    return {name.removeprefix("domstats_") for name in found}


ALWAYS = {"domain_info", "domain_status", "domain_sample_age_seconds"}
STATES = {"domain_state", "domain_state_reason", "domain_state_info"}


def with_ages(snapshot: Snapshot, ages: Sequence[tuple[int, int, float]]) -> Snapshot:
    """The snapshot with these ages, by position and group."""
    times = snapshot.sampling.times.copy()
    for position, group, age in ages:
        times[position, group] = snapshot.time - age
    return snapshot.with_sampling(replace(snapshot.sampling, times=times))


class TestChoosing:
    def test_groups(self) -> None:
        assert names(text_of(host(), groups=1 << CPU)) == ALWAYS | {"cpu_time_seconds_total"}
        assert names(text_of(host(), groups=1 << STATE)) == ALWAYS | STATES

    def test_fields(self) -> None:
        assert names(text_of(host(), fields=("vcpu.*",))) == ALWAYS | {"vcpu_time_seconds_total"}
        chosen = names(text_of(host(), fields=("*time", "vcpu.<id>.<name>.sum"), hypervisor=True))
        assert chosen == ALWAYS | {"cpu_time_seconds_total", "vcpu_time_seconds_total", "vcpu_kvm_exits_total"}

    def test_domains_by_pattern_and_uuid(self) -> None:
        text = text_of(host(), domains=("vm-[01]", UUIDS[3].upper()))
        assert series(text, "domstats_cpu_time_seconds_total") == [
            'domstats_cpu_time_seconds_total{domain="vm-0"} 0',
            'domstats_cpu_time_seconds_total{domain="vm-1"} 1',
            'domstats_cpu_time_seconds_total{domain="vm-3"} 3',
        ]
        assert "vm-2" not in text

    def test_states(self) -> None:
        text = text_of(host(), states=("shutoff", "paused"))
        assert series(text, "domstats_domain_state") == [
            'domstats_domain_state{domain="vm-1"} 5',
            'domstats_domain_state{domain="vm-3"} 5',
        ]
        assert "vm-0" not in text
        assert names(text_of(host(), states=("crashed",))) == set()

    def test_a_domain_that_changes_its_state_comes_and_goes(self) -> None:
        before = host()
        values = before.values.copy()
        values[0] = 5
        after = Snapshot.of_one_poll(before.layout, values, time=1000.0, source="")
        for snapshot, there in ((before, False), (after, True), (before, False)):
            assert ("vm-0" in text_of(snapshot, states=("shutoff",))) is there

    def test_names_are_told_apart_whoever_is_chosen(self) -> None:
        twins = Snapshot.of_params((Domain("twin", uuid, None), []) for uuid in UUIDS[:2])
        text = text_of(twins, domains=(UUIDS[0],))
        assert series(text, "domstats_domain_sample_age_seconds") == [
            f'domstats_domain_sample_age_seconds{{domain="twin~{UUIDS[0]}"}} NaN'
        ]


class TestLimit:
    def test_families_listed_last_go_first(self) -> None:
        snapshot = host()
        for limit, left, gone in (
            (20, STATES | {"cpu_time_seconds_total", "vcpu_time_seconds_total", "vcpu_kvm_exits_total"}, 0),
            (19, STATES | {"cpu_time_seconds_total", "vcpu_time_seconds_total"}, 4),
            (15, STATES | {"cpu_time_seconds_total"}, 8),
        ):
            text = text_of(snapshot, max_series=limit, hypervisor=True)
            assert names(text) == ALWAYS | left
            assert f'domstats_series_dropped{{group="vcpu"}} {gone}' in text

    def test_who_is_there_is_never_dropped(self) -> None:
        text = text_of(host(), max_series=0)
        assert names(text) == ALWAYS | {"domain_state_info"}
        assert [line.rpartition(" ")[2] for line in series(text, "domstats_series_dropped")] == [
            *("8", "4", "0", "4"),
            *("0" for _ in GROUP_NAMES[4:]),
        ]

    def test_no_header_is_left_of_what_is_dropped(self) -> None:
        assert "cpu_time" not in text_of(host(), max_series=0)


class TestOldGroups:
    OLD = ((0, CPU, 61.0), (1, CPU, 60.0), (2, VCPU, 3600.0), (2, STATE, 3600.0), (3, CPU, float("nan")))

    def test_their_values_are_left_out(self) -> None:
        text = text_of(with_ages(host(), self.OLD), max_age=60.0)
        assert series(text, "domstats_cpu_time_seconds_total") == [
            'domstats_cpu_time_seconds_total{domain="vm-1"} 1',
            'domstats_cpu_time_seconds_total{domain="vm-2"} 2',
        ]
        assert len(series(text, "domstats_vcpu_time_seconds_total")) == 3
        assert len(series(text, "domstats_domain_state_info")) == 3

    def test_status_and_age_stay(self) -> None:
        snapshot = with_ages(host(), self.OLD)
        status = np.array([Status.BLOCKED, Status.FRESH, Status.STALE, Status.PARTIAL], np.uint8)
        snapshot = snapshot.with_sampling(replace(snapshot.sampling, status=status))
        text = text_of(snapshot, max_age=60.0)
        assert series(text, "domstats_domain_sample_age_seconds") == [
            'domstats_domain_sample_age_seconds{domain="vm-0"} 61',
            'domstats_domain_sample_age_seconds{domain="vm-1"} 60',
            'domstats_domain_sample_age_seconds{domain="vm-2"} 3600',
            'domstats_domain_sample_age_seconds{domain="vm-3"} 0',
        ]
        on = [line for line in series(text, "domstats_domain_status") if line.endswith(" 1")]
        assert on == [
            'domstats_domain_status{domain="vm-0",status="blocked"} 1',
            'domstats_domain_status{domain="vm-1",status="fresh"} 1',
            'domstats_domain_status{domain="vm-2",status="stale"} 1',
            'domstats_domain_status{domain="vm-3",status="partial"} 1',
        ]
        assert len(series(text, "domstats_domain_info")) == 4

    def test_it_is_what_the_model_leaves_out(self) -> None:
        snapshot = with_ages(host(), self.OLD)
        ours = text_of(snapshot, max_age=60.0, hypervisor=True)
        theirs = text_of(without_old_groups(snapshot, 60.0), hypervisor=True)
        cut = "domstats_domain_state{"
        assert sorted(ours[ours.index(cut) :].splitlines()) == sorted(theirs[theirs.index(cut) :].splitlines())

    @pytest.mark.parametrize(
        ("age", "written"),
        [
            (0.25, "0.25"), (1e-7, "0"), (-0.75, "0"), (-5.0, "NaN"), (-1e30, "NaN"), (float("nan"), "NaN"),
            (1e30, "1000000000000"),
        ],
    )  # fmt: skip
    def test_ages(self, age: float, written: str) -> None:
        snapshot = Snapshot.of_params([(Domain("vm", UUIDS[0], None), [TypedParameter("x.y", ParamType.UINT, 1)])])
        text = text_of(with_ages(snapshot, [(0, len(GROUP_NAMES) - 1, age)]))
        assert f'domstats_domain_sample_age_seconds{{domain="vm"}} {written}\n' in text


class TestSamplesOfALaterTime:
    """After the clock was set back nobody knows how old they are."""

    def test_their_values_are_left_out_as_the_model_has_it(self) -> None:
        snapshot = with_ages(host(), [(0, CPU, -3600.0), (1, VCPU, -3600.0), (2, CPU, -0.75), (3, CPU, 59.0)])
        text = text_of(snapshot, max_age=60.0)
        assert series(text, "domstats_cpu_time_seconds_total") == [
            f'domstats_cpu_time_seconds_total{{domain="vm-{number}"}} {number}' for number in (1, 2, 3)
        ]
        theirs = text_of(without_old_groups(snapshot, 60.0))
        cut = "domstats_domain_state{"
        assert sorted(text[text.index(cut) :].splitlines()) == sorted(theirs[theirs.index(cut) :].splitlines())
        assert len(series(text_of(snapshot), "domstats_cpu_time_seconds_total")) == 4

    def test_their_age_is_not_known_whatever_else_there_is(self) -> None:
        snapshot = with_ages(host(), [(0, CPU, -3600.0), (1, CPU, -3600.0), (1, VCPU, 30.0), (2, CPU, -0.75)])
        for max_age in (None, 60.0):
            assert series(text_of(snapshot, max_age=max_age), "domstats_domain_sample_age_seconds") == [
                'domstats_domain_sample_age_seconds{domain="vm-0"} NaN',
                'domstats_domain_sample_age_seconds{domain="vm-1"} NaN',
                'domstats_domain_sample_age_seconds{domain="vm-2"} 0',
                'domstats_domain_sample_age_seconds{domain="vm-3"} 0',
            ]

    def test_what_their_uncertainty_explains_is_of_now(self) -> None:
        snapshot = with_ages(host(1), [(0, CPU, -3.5)])
        uncertain = replace(snapshot.sampling, uncertainty=np.full(snapshot.sampling.times.shape, 2.75))
        text = text_of(snapshot.with_sampling(uncertain), max_age=60.0)
        assert series(text, "domstats_cpu_time_seconds_total") == ['domstats_cpu_time_seconds_total{domain="vm-0"} 0']
        assert 'domstats_domain_sample_age_seconds{domain="vm-0"} 0\n' in text

    def test_a_group_that_a_record_has_no_values_of_says_nothing(self) -> None:
        text = text_of(with_ages(host(1), [(0, GROUP_NAMES.index("block"), -3600.0)]))
        assert 'domstats_domain_sample_age_seconds{domain="vm-0"} 0\n' in text


class TestMetadata:
    INFO = Description(title="A title", metadata=(("urn:other", "<x xmlns='urn:other'/>"), (NOVA, NOVA_XML)))

    def test_labels_of_nova(self) -> None:
        assert metadata_labels(self.INFO, PRESETS["nova"]) == [
            ("nova_name", "vm"),
            ("nova_flavor", "m1.small"),
            ("nova_project", "shop & co"),
            ("nova_project_uuid", "p1"),
            ("nova_user", "admin"),
            ("nova_user_uuid", "u1"),
        ]

    def test_labels_of_nova_before_1_1(self) -> None:
        old = NOVA.replace("1.1", "1.0")
        info = Description(metadata=((old, NOVA_XML.replace("1.1", "1.0")),))
        assert dict(metadata_labels(info, PRESETS["nova"]))["nova_project_uuid"] == "p1"

    def test_labels_of_kubevirt(self) -> None:
        xml = '<kubevirt xmlns="http://kubevirt.io"><uid>1234</uid><graceperiod/></kubevirt>'
        info = Description(metadata=(("http://kubevirt.io", xml),))
        assert metadata_labels(info, PRESETS["kubevirt"]) == [("kubevirt_uid", "1234")]

    def test_they_are_labels_of_the_info(self) -> None:
        domain = Domain("vm", UUIDS[0], 7, self.INFO)
        text = text_of(Snapshot.of_params([(domain, [])]), labels=PRESETS["nova"][:3])
        (line,) = series(text, "domstats_domain_info")
        assert line.startswith(f'domstats_domain_info{{domain="vm",uuid="{UUIDS[0]}",id="7",title="A title",nova_name=')
        assert line.endswith('nova_name="vm",nova_flavor="m1.small",nova_project="shop & co"} 1')

    def test_a_description_that_comes_later_is_seen(self) -> None:
        snapshot = host(1)
        assert "title" not in text_of(snapshot)
        assert 'title="A title"' in text_of(snapshot.with_descriptions({UUIDS[0]: self.INFO}))

    def test_the_element_itself_and_its_attributes(self) -> None:
        info = Description(metadata=(("urn:x", '<a:it xmlns:a="urn:x" who="me">text<a:b/> on</a:it>'),))
        assert metadata_labels(info, [metadata_label("it=urn:x:"), metadata_label("who=urn:x:@who")]) == [
            ("it", "text on"),
            ("who", "me"),
        ]

    @pytest.mark.parametrize(
        "xml",
        [
            "",
            "<a",
            "<a xmlns='urn:x'><b>1</b>",
            "<!DOCTYPE a [<!ENTITY e 'boom'>]><a xmlns='urn:x'><b>&e;</b></a>",
            "<a xmlns='urn:x'><b>\x00</b></a>",
            "<a xmlns='urn:x'><b>\udcff</b></a>",
            "<a xmlns='urn:y'><b>1</b></a>",
        ],
    )
    def test_what_cannot_be_read_has_none(self, xml: str) -> None:
        assert metadata_labels(Description(metadata=(("urn:x", xml),)), [metadata_label("b=urn:x:b")]) == []

    def test_an_element_of_another_namespace_is_another(self) -> None:
        info = Description(metadata=(("urn:x", "<a xmlns='urn:x'><b xmlns='urn:y'>1</b><b>2</b><b>3</b></a>"),))
        assert metadata_labels(info, [metadata_label("b=urn:x:b")]) == [("b", "2")]

    def test_how_a_label_is_written(self) -> None:
        assert metadata_label("p=http://a:1/b:owner/project@uuid") == MetadataLabel(
            "p", ("http://a:1/b",), "owner/project", "uuid"
        )

    @pytest.mark.parametrize("text", ["", "p", "p=", "p=x", "=u:x", "1=u:x", "__p=u:x", "uuid=u:x", "p-q=u:x", "p=:x"])
    def test_a_label_that_is_none(self, text: str) -> None:
        with pytest.raises(UsageError):
            metadata_label(text)

    @pytest.mark.parametrize(
        "options",
        [
            {"labels": PRESETS["nova"] + PRESETS["nova"]},
            {"states": ("on",)},
            {"max_age": -1.0},
            {"max_age": float("nan")},
            {"max_series": -1},
        ],
    )
    def test_options_that_make_no_sense(self, options: dict[str, object]) -> None:
        with pytest.raises(UsageError):
            MetricsOptions(**options)  # type: ignore[arg-type]


class TestOfTheHost:
    def test_what_collecting_costs(self) -> None:
        cost = Cost(calls=3, bytes=2**40, seconds=1.5, hung_calls=1, hung_total=2, reconnects=4)
        cost.seconds_by_group = {"vcpu": 1.0, "block": 0.5}
        for form in (prometheus, openmetrics):
            text = form.encode(host(), Options(cost=cost)).decode()
            for line in (
                "domstats_collector_calls_total 3",
                "domstats_collector_reply_bytes_total 1099511627776",
                "domstats_collector_call_seconds_total 1.5",
                'domstats_collector_group_seconds_total{group="block"} 0.5',
                "domstats_collector_hung_calls 1",
                "domstats_collector_calls_hung_total 2",
                "domstats_collector_reconnects_total 4",
            ):
                assert f"\n{line}\n" in text
        assert "collector" not in prometheus.encode(host()).decode()

    def test_processors(self) -> None:
        assert "host_cpus" not in text_of(host())
        assert "\ndomstats_host_cpus 8\n" in text_of(Snapshot.of_params([], host_cpus=8))

    def test_of_no_domains(self) -> None:
        assert names(text_of(Snapshot.of_params([]))) == set()
        assert openmetrics.encode(Snapshot.of_params([])).endswith(b"# EOF\n")


class TestKept:
    def test_a_second_rendering_works_nothing_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        decoder = ReplyDecoder()
        prometheus.encode(decoder.decode(capture(POLL1)))
        expected = prometheus.encode(ReplyDecoder().decode(capture(POLL2)))
        monkeypatch.setattr(plan, "metric_of", None)
        monkeypatch.setattr(plan, "_label_texts", None)
        assert prometheus.encode(decoder.decode(capture(POLL2))) == expected

    def test_one_changed_guest_costs_its_own_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        snapshot = ReplyDecoder().decode(capture(POLL1))
        prometheus.encode(snapshot)
        records = list(snapshot.layout.records)
        domain = replace(records[7].domain, name="another")
        records[7] = RecordLayout(domain, records[7].shape, records[7].strings)
        made: list[RecordLayout] = []
        original = plan._label_texts
        monkeypatch.setattr(plan, "_label_texts", lambda record, *rest: made.append(record) or original(record, *rest))
        changed = Snapshot.of_one_poll(Layout(records), snapshot.values.copy(), time=0.0, source="")
        text = prometheus.encode(changed)
        assert made == [records[7]]
        fresh = Layout([RecordLayout(record.domain, record.shape, record.strings) for record in records])
        assert text == prometheus.encode(Snapshot.of_one_poll(fresh, snapshot.values.copy(), time=0.0, source=""))

    def test_one_page_a_layout_and_format(self) -> None:
        snapshot = host()
        for options in ({}, {"hypervisor": True}, {"max_series": 5}, {"domains": ("vm-1",)}):
            text_of(snapshot, **options)
        assert len([key for key in snapshot.layout.derived if "metrics" in key]) == 1


def test_a_name_that_looks_like_a_pattern() -> None:
    names = ("web-[1]*", "web-1", "web-2", "[a]", "b")
    domains = [Domain(name, uuid, None) for name, uuid in zip(names, UUIDS, strict=False)]
    assert [domain.name for domain in domains if fitting(["web-[1]*"])(domain)] == ["web-[1]*", "web-1"]
    assert [domain.name for domain in domains if fitting(["[a]", "x"])(domain)] == ["[a]"]
