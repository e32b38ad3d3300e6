"""/v1/history: what may be asked, and the JSON that answers; and a history that follows a collector."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from domstats.collector.collector import Collector
from domstats.collector.plan import make_plan
from domstats.collector.reach import Reach
from domstats.errors import UnknownDomain, UsageError
from domstats.model.flags import NO_FILTERS
from domstats.model.params import ParamType
from domstats.serve.history.answers import Question, encode, find, split_names
from domstats.serve.history.following import Following, history_of
from domstats.serve.history.history import History
from domstats.sources.sim.source import SimSource
from fast_time import clock, in_fast_time
from histories import EPOCH, EVERY_15, Vm, host

UUID = Vm().uuid


def filled(vm: Vm, *fields: str) -> History:
    history = History(fields, periods=EVERY_15)
    for number in range(3):
        history.add(host(15.0 * number, [vm]))
    return history


class TestQuestion:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("", ()),
            (",,", ()),
            ("block[a,b].read,cpu", ("block[a,b].read", "cpu")),
            ("net[[x],y].rx,tx", ("net[[x],y].rx", "tx")),
            ("a],b", ("a]", "b")),
            ("a[,b", ("a[,b",)),
        ],
    )
    def test_names_are_split_at_commas_outside_brackets(self, text: str, names: tuple[str, ...]) -> None:
        assert split_names(text) == names

    @pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf, 3600.1])
    def test_an_hour_is_kept_at_most(self, seconds: float) -> None:
        with pytest.raises(UsageError, match=f"seconds is a number over 0, up to 3600, not {seconds}"):
            Question("web", (), seconds)

    def test_somebody_is_asked_about(self) -> None:
        with pytest.raises(UsageError, match="domain is missing"):
            Question("")


def document(history: History, asked: Question) -> bytes:
    return encode(find(history, asked))


class TestAnswer:
    def test_it_has_times_and_values(self) -> None:
        history = filled(Vm(), "cpu", "rx", "balloon.rss")
        assert json.loads(document(history, Question("vm-1", ("rx", "balloon.rss", "nothing")))) == {
            "domain": UUID,
            "fields": {
                "rx": {"times": [EPOCH, EPOCH + 15, EPOCH + 30], "values": [None, 100.0, 100.0]},
                "balloon.rss": {
                    "times": [EPOCH, EPOCH + 15, EPOCH + 30],
                    "values": [(1 << 19) + 1, (1 << 19) + 16, (1 << 19) + 31],
                },
            },
            "all": ["cpu", "rx", "balloon.rss"],
        }

    def test_without_fields_it_has_all_of_them(self) -> None:
        found = json.loads(document(filled(Vm(), "cpu", "rx"), Question(UUID, seconds=20.0)))
        assert list(found["fields"]) == ["cpu", "rx"]
        assert all(each["times"] == [EPOCH + 15, EPOCH + 30] for each in found["fields"].values())

    @pytest.mark.parametrize(
        ("kind", "value", "written"),
        [
            (ParamType.ULLONG, 2**53, 2**53),
            (ParamType.ULLONG, 2**53 + 1, "9007199254740993"),
            (ParamType.ULLONG, 2**64 - 1, "18446744073709551615"),
            (ParamType.LLONG, -(2**63), "-9223372036854775808"),
            (ParamType.INT, -5, -5),
            (ParamType.BOOLEAN, True, True),
            (ParamType.DOUBLE, 0.25, 0.25),
            (ParamType.DOUBLE, float("inf"), None),
            (ParamType.DOUBLE, float("nan"), None),
            (ParamType.DOUBLE, 0.0, 0.0),
        ],
    )
    def test_a_plain_value_is_not_rounded_by_javascript(self, kind: ParamType, value: object, written: object) -> None:
        history = filled(Vm(values=(("a.value", kind, value),)), "a.value")  # type: ignore[arg-type]
        values = json.loads(document(history, Question(UUID)))["fields"]["a.value"]["values"]
        assert values == [written] * 3
        assert type(values[0]) is type(written)

    def test_figures_are_written_with_the_digits_they_have(self) -> None:
        history = History(["cpu"], periods=EVERY_15)
        for number in range(4):
            history.add(host(15.0 * number, age=3.0 * number + number**3 * 0.01))
        text = document(history, Question(UUID)).decode()
        values = json.loads(text)["fields"]["cpu"]["values"]
        assert values[1:] == [pytest.approx(value, rel=1e-6) for value in (10.03333, 10.23333, 10.63333)]
        assert max(len(str(value)) for value in values[1:]) <= 9

    def test_an_unknown_domain(self) -> None:
        with pytest.raises(UnknownDomain):
            find(filled(Vm(), "cpu"), Question("nobody"))

    @pytest.mark.parametrize("name", ["<script>", 'a"b', "x\x1b[2J", "\u202e", "a\udcffb", "]", "[", "a,b"])
    def test_hostile_names_are_text(self, name: str) -> None:
        history = filled(Vm(disks=(name,)), "block.<i>.read")
        whole = document(history, Question(UUID))
        assert b"\x1b" not in whole
        assert "\u202e" not in whole.decode()
        names = json.loads(whole)["all"]
        assert list(json.loads(whole)["fields"]) == names
        assert len(names) == 1
        assert json.loads(document(history, Question(UUID, tuple(names)))) == json.loads(whole)


class TestFollowing:
    @in_fast_time
    async def test_an_hour_of_a_simulated_host(self) -> None:
        source = SimSource("sim:///?domains=10", clock)
        collector = Collector(Reach(source), make_plan(0, {}), 5.0, NO_FILTERS, lambda _: True)
        await collector.start()
        history = history_of(collector)
        following = Following(history, collector)
        await following.start()
        await asyncio.sleep(4000.0)
        await collector.aclose()
        await following.stop()
        kept = history.kept()
        assert (kept.guests, kept.waiting) == (10, 0)
        assert kept.seconds > 3590
        running = [domain.uuid for domain in collector.latest.domains if domain.id is not None]
        assert running
        for uuid in running:
            points = history.series(uuid, history.fields(uuid))
            cpu, rx = points["cpu"], points["rx"]
            assert len(cpu.times) == pytest.approx(3600 / 15, abs=12)
            assert 600 / 2 + 3000 / 10 <= len(rx.times) <= 660 / 2 + 2940 / 10 + 2
            assert cpu.known.mean() > 0.95
            assert rx.known.mean() > 0.95
