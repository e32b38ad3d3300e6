"""`domstats get`: what it asks for, what it prints, and how it fails."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import click
import numpy as np
import pytest

from captures import POLL1, capture
from command import Ended, domstats, end, on_terminal, start, without_colors
from domstats import aio
from domstats.catalog.groups import GROUPS
from domstats.cli import console, get, main
from domstats.cli.console import terminal_color
from domstats.collector.round import Progress
from domstats.errors import RemoteError, UnknownDomain
from domstats.formats import raw
from domstats.formats.registry import FORMATS
from domstats.model.domain import Domain
from domstats.model.flags import NO_FILTERS, DomainFilter
from domstats.model.params import ParamType, TypedParameter
from domstats.model.sampling import Status
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.encoder import encode_reply
from domstats.wire.procedures import Procedure
from fake_daemon import DOMAINS, FakeDaemon

BULK = Procedure.CONNECT_GET_ALL_DOMAIN_STATS
RATE_GROUPS = 0b111010
"""cpu, vcpu, interface, block."""
TABLE_GROUPS = RATE_GROUPS | 0b101
"""And state and balloon: what the table of domains is made of."""


def snapshot_of(domains: Iterable[Domain], cpu_time: int = 0, time: float = 0.0) -> Snapshot:
    return Snapshot.of_params(
        [
            (
                domain,
                [
                    TypedParameter("state.state", ParamType.INT, 1 if domain.id else 5),
                    TypedParameter("cpu.time", ParamType.ULLONG, cpu_time),
                ],
            )
            for domain in domains
        ],
        time=time,
        source="fake:///",
    )


@dataclass
class StubHost:
    """Stands for `aio.Host` and what `aio.connect` gives; remembers what it was asked."""

    statuses: dict[str, Status] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Names of domains that are found, but then have no record."""
    uri: str | None = None
    asked: list[tuple[list[str] | None, int, DomainFilter]] = field(default_factory=list)
    connecting: float = 0.0
    """Seconds that takes."""

    def connect(self, uri: str | None, *, deadline: float, kernel: str) -> Self:
        self.uri = uri
        assert 0 < deadline <= 30
        assert kernel == "off"
        return self

    async def __aenter__(self) -> Self:
        await asyncio.sleep(self.connecting)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        pass

    async def find(self, name: str) -> Domain:
        for domain in DOMAINS:
            if name in (domain.name, domain.uuid, str(domain.id)):
                return domain
        raise UnknownDomain(name)

    async def stats(
        self, domains: list[Domain] | None, groups: int, *, filters: DomainFilter, deadline: float, progress: Progress
    ) -> Snapshot:
        progress(0, len(DOMAINS))
        assert domains != []
        assert 0 < deadline <= 30
        self.asked.append((None if domains is None else [domain.name for domain in domains], groups, filters))
        polls = len(self.asked)
        there = [domain for domain in domains or DOMAINS if domain.name not in self.gone]
        snapshot = snapshot_of(there, cpu_time=polls * 10**9, time=float(polls))
        status = np.array([self.statuses.get(domain.name, Status.FRESH) for domain in there], np.uint8)
        sampling = replace(snapshot.sampling, status=status)
        return Snapshot(snapshot.layout, snapshot.values, snapshot.time, sampling, None)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> StubHost:
    stub = StubHost()
    monkeypatch.setattr(aio, "connect", stub.connect)
    return stub


class TestWhatItAsksFor:
    @pytest.mark.parametrize(
        ("args", "groups", "filters"),
        [
            ([], 0, NO_FILTERS),
            (["--group", "cpu", "--group", "net", "--group", "31"], 1 << 1 | 1 << 4 | 1 << 31, NO_FILTERS),
            (["--group", "state,NET,31", "--group", "vcpu"], 1 | 1 << 4 | 1 << 31 | 1 << 3, NO_FILTERS),
            (["--group", "VCPU", "--vcpu", "--block"], 1 << 3 | 1 << 5, NO_FILTERS),
            *((["--group", group.name], 1 << group.bit, NO_FILTERS) for group in GROUPS),
            *(([f"--{group.option}"], 1 << group.bit, NO_FILTERS) for group in GROUPS),
            (["--active", "--paused"], 0, DomainFilter.ACTIVE | DomainFilter.PAUSED),
            *(([f"--{name.lower()}"], 0, flag) for name, flag in DomainFilter.__members__.items()),
            *(([f"--list-{name.lower()}"], 0, flag) for name, flag in DomainFilter.__members__.items() if flag < 0x100),
        ],
        ids=str,
    )
    def test_groups_and_filters(self, host: StubHost, args: list[str], groups: int, filters: DomainFilter) -> None:
        assert main(["get", *args]) == 0
        assert host.asked == [(None, groups, filters)]

    @pytest.mark.parametrize(
        ("names", "asked"),
        [
            (["web-1"], ["web-1"]),
            (["db über 2", "3"], ["db über 2", "web-1"]),
            (["web-1", "3", DOMAINS[0].uuid], ["web-1"]),
            (["--domain", "web-1"], ["web-1"]),
            (["--domain", "web-1", "7"], ["web-1", "7"]),
            (["--domain", "7", "--domain", "web-1"], ["7", "web-1"]),
        ],
    )
    def test_domains(self, host: StubHost, names: list[str], asked: list[str]) -> None:
        assert main(["get", *names]) == 0
        assert host.asked == [(asked, 0, NO_FILTERS)]

    @pytest.mark.parametrize(("args", "uri"), [([], None), (["-c", "a:///"], "a:///"), (["--connect", "b:"], "b:")])
    def test_host(self, host: StubHost, args: list[str], uri: str | None) -> None:
        assert main(["get", *args]) == 0
        assert host.uri == uri

    @pytest.mark.parametrize(
        ("args", "polls"),
        [
            (["--interval", "0"], [(TABLE_GROUPS, NO_FILTERS)]),
            ([], [(RATE_GROUPS, NO_FILTERS), (TABLE_GROUPS, NO_FILTERS)]),
            (["--perf"], [(1 << 6, NO_FILTERS)]),
            (["--state", "--cpu-total"], [(1 << 1, NO_FILTERS), (0b11, NO_FILTERS)]),
            (["--state", "--balloon"], [(0b101, NO_FILTERS)]),
            (
                ["--nowait", "--enforce", "--state", "--cpu-total"],
                [
                    (1 << 1, DomainFilter.NOWAIT),
                    (0b11, DomainFilter.NOWAIT | DomainFilter.ENFORCE),
                ],
            ),
            (
                ["--nowait", "--running", "--enforce"],
                [
                    (RATE_GROUPS, DomainFilter.NOWAIT | DomainFilter.RUNNING),
                    (TABLE_GROUPS, DomainFilter.NOWAIT | DomainFilter.RUNNING),
                ],
            ),
        ],
    )
    def test_a_table_polls_twice_for_its_rates(
        self, host: StubHost, args: list[str], polls: list[tuple[int, DomainFilter]]
    ) -> None:
        assert main(["get", "-f", "table", "--interval", "0.001", *args]) == 0
        assert [(groups, filters) for _, groups, filters in host.asked] == polls

    @pytest.mark.parametrize(
        ("args", "polls"),
        [
            (["--columns", "name,state"], [1]),
            (["--columns", "name,status"], [1]),
            (["--columns", "name,mem", "--sort", "cpu"], [1 << 1, 1 << 1 | 1 << 2]),
            (["--columns", "name,mem", "--sort", "-cpu", "--interval", "0"], [1 << 1 | 1 << 2]),
            (["--columns", "name, vcpu.current ,net.0.rx.pkts"], [1 << 4, 1 << 3 | 1 << 4]),
            (["--columns", "name,block[vda].capacity", "--top", "2"], [1 << 5]),
            (["--top", "1"], [RATE_GROUPS, TABLE_GROUPS]),
            (["--table", "vcpu"], [1 << 3, 1 << 3]),
            (["--table", "block", "--columns", "disk,capacity"], [1 << 5]),
            (["--table", "iothread"], [1 << 7]),
            (["--columns", "name,cpu", "--group", "state,cpu,perf"], [1 << 1, 0b1000011]),
            (["--columns", "name,cpu", "--group", "state"], [1]),
            (["-f", "csv", "--columns", "cpu.time"], [1 << 1]),
            (["-f", "csv", "--table", "vcpu"], [1 << 3]),
            (["-f", "csv", "--top", "2"], [0]),
        ],
    )
    def test_the_groups_that_the_columns_are_made_of(
        self, host: StubHost, monkeypatch: pytest.MonkeyPatch, args: list[str], polls: list[int]
    ) -> None:
        choice = next(param for param in get.command.params if param.name == "form")
        monkeypatch.setattr(choice, "type", click.Choice([*FORMATS, "csv"]))
        monkeypatch.setitem(FORMATS, "csv", FORMATS["raw"])
        assert main(["get", "--interval", "0.001", *args]) == 0
        assert [groups for _, groups, _ in host.asked] == polls

    @pytest.mark.parametrize("form", ["raw", "json", "ndjson", "tree"])
    def test_the_other_formats_poll_once(self, host: StubHost, form: str) -> None:
        assert main(["get", "-f", form]) == 0
        assert len(host.asked) == 1


class TestWhatItPrints:
    @pytest.mark.usefixtures("host")
    def test_raw_where_there_is_no_terminal(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        assert main(["get"]) == 0
        out, err = capfdbinary.readouterr()
        assert out == raw.encode(snapshot_of(DOMAINS, cpu_time=10**9))
        assert err == b""

    @pytest.mark.usefixtures("host")
    def test_virshs_option_for_plain_values(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        assert main(["get", "--raw"]) == 0
        assert capfdbinary.readouterr() == (raw.encode(snapshot_of(DOMAINS, cpu_time=10**9)), b"")
        assert main(["get", "--raw", "-f", "json"]) == 0
        assert capfdbinary.readouterr().out.startswith(b'{"domstats"')
        assert main(["get", "--raw", "--columns", "name"]) == 2

    @pytest.mark.usefixtures("host")
    def test_json(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert main(["get", "-f", "json", "web-1"]) == 0
        document = json.loads(capfd.readouterr().out)
        assert [domain["name"] for domain in document["domains"]] == ["web-1"]
        assert document["source"] == "fake:///"

    @pytest.mark.usefixtures("host")
    def test_a_tables_rates(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert main(["get", "-f", "table", "--interval", "0.001", "web-1"]) == 0
        assert capfd.readouterr().out.splitlines()[1].split()[:3] == ["web-1", "running", "100.0"]

    @pytest.mark.usefixtures("host")
    def test_columns_and_rows(self, capfd: pytest.CaptureFixture[str]) -> None:
        args = ("--columns", "cpu,id,name,cpu.time", "--sort=-id", "--top", "2", "--interval", "0.001")
        assert main(["get", *args]) == 0
        out, err = capfd.readouterr()
        ids = sorted(domain.id for domain in DOMAINS if domain.id is not None)
        assert [line.split()[:2] for line in out.splitlines()[1:]] == [["100.0", str(number)] for number in ids[:2]]
        assert out.splitlines()[0].split() == ["cpu", "%", "id", "name", "cpu.time/s"]
        assert err == ""

    @pytest.mark.parametrize(
        ("args", "code", "printed", "said"),
        [
            (["web-1", "nope"], 3, True, ["no domain 'nope'"]),
            (["nope", "web-1", "a\x1bb", "nope"], 3, True, ["no domain 'nope'", "no domain 'a\\x1bb'"]),
            (["nope", "nix"], 1, False, ["no domain 'nope'", "no domain 'nix'"]),
            (["nope", "--running"], 1, False, ["no domain 'nope'"]),
            (["web-*"], 1, False, ["no domain 'web-*'; domains are given by name, id or UUID (domstats watch takes"]),
        ],
    )
    @pytest.mark.usefixtures("host")
    def test_unknown_domains(
        self,
        capfd: pytest.CaptureFixture[str],
        args: list[str],
        code: int,
        printed: bool,
        said: list[str],
    ) -> None:
        assert main(["get", *args]) == code
        out, err = capfd.readouterr()
        assert bool(out) == printed
        assert len(err.splitlines()) == len(said)
        assert all(f"domstats: {start}" in line for start, line in zip(said, err.splitlines(), strict=True))

    def test_a_domain_that_goes_in_the_middle(self, host: StubHost, capfd: pytest.CaptureFixture[str]) -> None:
        host.gone = {"7"}
        assert main(["get", "web-1", "7"]) == 3
        out, err = capfd.readouterr()
        assert out.startswith("Domain: 'web-1'")
        assert err == "domstats: domain '7' has just gone\n"
        assert main(["get", "7"]) == 1

    def test_a_filter_may_match_nothing(self, host: StubHost, capfd: pytest.CaptureFixture[str]) -> None:
        host.gone = {domain.name for domain in DOMAINS}
        for args in ([], ["--transient"], ["7", "--transient"], ["-f", "table"], ["-f", "ndjson"]):
            assert main(["get", "--interval", "0", *args]) == 0
            assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("status", [status for status in Status if status is not Status.FRESH])
    def test_what_is_not_fresh_is_named(
        self, host: StubHost, capfd: pytest.CaptureFixture[str], status: Status
    ) -> None:
        host.statuses = {"db über 2": status}
        assert main(["get"]) == 3
        out, err = capfd.readouterr()
        assert out.count("Domain: ") == 3
        assert err.startswith(f"domstats: domain 'db über 2' is {status.label}")
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--group", "nope"], "'nope'"),
        (["--group", "32"], "'32'"),
        (["--group", "-1"], "'-1'"),
        (["--group", "9" * 5000], "9999"),
        (["--group", "state,"], "''"),
        (["--group", ""], "''"),
        (["--group", "state,nope"], "'nope'"),
        (["-c", "foo:///bar"], "foo:///bar"),
        (["-c", ""], "no scheme"),
        (["-c", "qemu:///nowhere"], "qemu:///system"),
        (["-c", "qemu+ssh://host/system"], "not supported"),
        (["-f", "yaml"], "'yaml'"),
        (["--columns", "name,stael"], "no column 'stael'; do you mean steal"),
        (["--columns", ""], "no column ''"),
        (["--columns", "name,a\x1b"], r"no column 'a\x1b'"),
        (["--sort", "-stael"], "no column 'stael'; do you mean steal"),
        (["--top", "0"], "--top"),
        (["--top", "few"], "'few'"),
        (["--table", "floppy"], "'floppy'"),
        *(
            ([option, value, "-f", form], f"not for {form}")
            for option, value in (("--columns", "name"), ("--sort", "name"), ("--top", "1"), ("--table", "vcpu"))
            for form in ("raw", "json", "ndjson", "tree")
        ),
        (["--deadline", "0"], "--deadline"),
        (["--deadline", "-1"], "--deadline"),
        (["--deadline", "nan"], "--deadline"),
        (["--deadline", "inf"], "--deadline"),
        (["--deadline", "soon"], "'soon'"),
        (["--interval", "-1"], "--interval"),
        (["--interval", "nan"], "--interval"),
        (["-f", "table", "--interval", "2", "--deadline", "2"], "deadline of 2 s"),
    ],
)
def test_wrong_use(args: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["get", *args]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    assert "Traceback" not in err


def test_no_time_for_two_polls(host: StubHost, capfd: pytest.CaptureFixture[str]) -> None:
    host.connecting = 0.1
    assert main(["get", "-f", "table", "--interval", "0.4", "--deadline", "0.45"]) == 1
    out, err = capfd.readouterr()
    assert (out, host.asked) == ("", [])
    assert err.startswith("domstats: no answer to two polls within 0.45 s: a table's rates need two")
    assert "--interval 0" in err


@pytest.mark.usefixtures("host")
def test_a_key_that_no_record_has(capfd: pytest.CaptureFixture[str]) -> None:
    for args in (["--columns", "name,cpu.tiem"], ["--sort", "-cpu.tiem"]):
        assert main(["get", "--interval", "0.001", *args]) == 2
        assert capfd.readouterr() == ("", "domstats: no column 'cpu.tiem'; do you mean cpu.time?\n")


@pytest.mark.parametrize(
    ("environment", "colors"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": ""}, False),
        ({}, False),
    ],
)
def test_colors_are_for_terminals_that_show_them(
    environment: dict[str, str], colors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not terminal_color(environment), "of a file"
    screen, terminal = os.openpty()
    monkeypatch.setattr(console, "STDOUT", terminal)
    assert terminal_color(environment) is colors
    os.close(terminal)
    os.close(screen)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


def reply(domains: Iterable[Domain] = DOMAINS) -> bytes:
    return encode_reply(snapshot_of(domains))


async def ask(daemon: FakeDaemon, *args: str) -> Ended:
    return await domstats("get", "-c", daemon.uri, *args)


class TestWithADaemon:
    async def test_all_domains(self, path: Path) -> None:
        async with FakeDaemon(path, bulk=reply()) as daemon:
            ended = await ask(daemon)
        assert (ended.code, ended.out, ended.err) == (0, raw.encode(snapshot_of(DOMAINS)), "")
        first, second = (asked.args for asked in daemon.calls(BULK))
        assert first == ([], 0x151, 0), "those that need no guest, of all domains"
        assert second == (list(DOMAINS), 0xFFFFFFFF & ~0x151, 0), "the rest, of those that are there"

    async def test_the_uri_of_the_environment(self, path: Path) -> None:
        async with FakeDaemon(path, bulk=reply()) as daemon:
            ended = await domstats("get", DOMSTATS_URI=daemon.uri)
        assert (ended.code, ended.out) == (0, raw.encode(snapshot_of(DOMAINS)))

    async def test_some_domains(self, path: Path) -> None:
        async with FakeDaemon(path, bulk=reply(DOMAINS[:2])) as daemon:
            ended = await ask(daemon, "nope", "db über 2", "web-1", "--state", "--list-persistent", "--backing")
        assert (ended.code, ended.out.count(b"Domain: ")) == (3, 2)
        assert ended.message.startswith("no domain 'nope'")
        (asked,) = daemon.calls(BULK)
        assert asked.args == ([DOMAINS[1], DOMAINS[0]], 1, DomainFilter.PERSISTENT | DomainFilter.BACKING)

    async def test_a_host_without_domains(self, path: Path) -> None:
        async with FakeDaemon(path) as daemon:
            ended = await ask(daemon)
        assert (ended.code, ended.out, ended.err) == (0, b"", "")

    async def test_an_error_of_the_daemon(self, path: Path) -> None:
        error = RemoteError(74, 10, "Stats types bits 0x400 are not supported\nby this daemon")
        async with FakeDaemon(path, answers={BULK: error}) as daemon:
            ended = await ask(daemon, "--enforce", "--vm")
        assert (ended.code, ended.out) == (1, b"")
        assert r"Stats types bits 0x400 are not supported\x0aby this daemon" in ended.message

    async def test_a_daemon_that_goes_away_in_mid_call(self, path: Path) -> None:
        async with FakeDaemon(path, held={BULK}) as daemon:
            process = await start("get", "-c", daemon.uri)
            await daemon.until_asked(BULK)
            await daemon.disconnect()
            ended = await end(process)
        assert (ended.code, ended.out) == (1, b"")
        assert "connection" in ended.message

    @pytest.mark.parametrize("held", [Procedure.AUTH_LIST, Procedure.DOMAIN_LOOKUP_BY_NAME, BULK])
    async def test_a_daemon_that_does_not_answer(self, path: Path, held: Procedure) -> None:
        async with FakeDaemon(path, held={held}) as daemon:
            ended = await ask(daemon, "--deadline", "0.25", "web-1")
        assert (ended.code, ended.out) == (1, b"")
        assert "within 0.25 s" in ended.message

    @pytest.mark.parametrize(
        "garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x1c" + b"\xff" * 24, b"\xff" * 99]
    )
    async def test_a_socket_that_is_not_libvirts(self, path: Path, garbage: bytes) -> None:
        async with FakeDaemon(path, greeting=garbage) as daemon:
            ended = await ask(daemon)
        assert (ended.code, ended.out) == (1, b"")
        assert str(path) in ended.message

    async def test_a_socket_that_hangs_up(self, path: Path) -> None:
        async with FakeDaemon(path, hangs_up=True) as daemon:
            ended = await ask(daemon)
        assert (ended.code, ended.out) == (1, b"")
        assert str(path) in ended.message

    async def test_ctrl_c(self, path: Path) -> None:
        async with FakeDaemon(path, held={BULK}) as daemon:
            process = await start("get", "-c", daemon.uri)
            await daemon.until_asked(BULK)
            process.send_signal(signal.SIGINT)
            ended = await end(process)
        assert (ended.code, ended.out, ended.err) == (130, b"", "")

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    async def test_a_closed_pipe(self, path: Path, unbuffered: str) -> None:
        reader, writer = os.pipe()
        async with FakeDaemon(path, bulk=capture(POLL1)) as daemon:
            process = await start("get", "-c", daemon.uri, stdout=writer, PYTHONUNBUFFERED=unbuffered)
            os.close(writer)
            first = await asyncio.to_thread(os.read, reader, 10)
            os.close(reader)
            ended = await end(process)
        assert first.startswith(b"Domain: '")
        assert (ended.code, ended.err) == (141, "")

    async def test_a_full_disk(self, path: Path) -> None:
        async with FakeDaemon(path, bulk=reply()) as daemon:
            full = os.open("/dev/full", os.O_WRONLY)
            ended = await domstats("get", "-c", daemon.uri, stdout=full)
            os.close(full)
        assert (ended.code, ended.message) == (1, "No space left on device")

    @pytest.mark.parametrize(
        ("args", "start"),
        [
            ([], "name "),
            (["--state", "--cpu-total"], "name "),
            (["-f", "raw"], "Domain: 'a\\x1b[2J'"),
            (["--perf"], "Domain: "),
            (["--group", "vm,state"], "Domain: "),
            (["--group", "11"], "Domain: "),
            (["--perf", "-f", "table"], "name "),
        ],
    )
    async def test_on_a_terminal(self, path: Path, args: list[str], start: str) -> None:
        evil = replace(DOMAINS[0], name="a\x1b[2J")
        async with FakeDaemon(path, bulk=reply([evil])) as daemon:
            ended, shown = await on_terminal("get", "-c", daemon.uri, "--interval", "0.05", *args, TERM="dumb")
        assert (ended.code, ended.err) == (0, "")
        assert shown.startswith(start)
        assert "a\\x1b[2J" in shown
        assert "\x1b" not in shown

    async def test_no_domains_on_a_terminal(self, path: Path) -> None:
        async with FakeDaemon(path) as daemon:
            ended, shown = await on_terminal("get", "-c", daemon.uri, "--interval", "0")
        assert (ended.code, ended.message, shown) == (0, "no domains", "")

    async def test_a_table_fits_the_terminal(self, path: Path) -> None:
        long = replace(DOMAINS[0], name="x" * 200)
        async with FakeDaemon(path, bulk=reply([long])) as daemon:
            _, shown = await on_terminal("get", "-c", daemon.uri, "--interval", "0.05", TERM="xterm")
        lines = without_colors(shown).splitlines()
        assert len(lines) == 2
        assert max(map(len, lines)) <= 80

    @pytest.mark.parametrize("no_color", ["", "1"])
    async def test_a_terminal_with_colors(self, path: Path, no_color: str) -> None:
        evil = replace(DOMAINS[0], name="a\x1b[31m", id=7)
        async with FakeDaemon(path, bulk=reply([evil])) as daemon:
            _, shown = await on_terminal(
                "get", "-c", daemon.uri, "--columns", "name,state", TERM="xterm", NO_COLOR=no_color
            )
        headings, row = shown.splitlines()
        if no_color:
            assert (headings, row) == ("name       state", "a\\x1b[31m  running")
        else:
            assert headings == "\x1b[1mname\x1b[m       \x1b[1mstate\x1b[m"
            assert row == "a\\x1b[31m  \x1b[32mrunning\x1b[m"

    async def test_a_reply_that_is_too_large(self, path: Path) -> None:
        error = RemoteError(39, 7, "Unable to encode message payload")
        async with FakeDaemon(path, answers={BULK: error}) as daemon:
            ended = await ask(daemon)
        assert (ended.code, ended.out) == (1, b"")
        assert "ask for fewer domains" in ended.message

    @pytest.mark.parametrize("form", ["table", "raw", "json"])
    async def test_a_closed_stdout(self, path: Path, form: str) -> None:
        async with FakeDaemon(path, bulk=reply()) as daemon:
            ended = await get_without_stdout("get", "-c", daemon.uri, "-f", form, "--interval", "0")
        assert (ended.code, ended.message) == (1, "Bad file descriptor")


async def get_without_stdout(*args: str) -> Ended:
    """Run it as a shell's `>&-` does."""
    return await domstats(*args, under=("sh", "-c", 'exec "$@" >&-', "sh"))


class TestWithoutADaemon:
    async def test_no_socket(self, path: Path) -> None:
        ended = await domstats("get", "-c", f"qemu+unix:///system?socket={path}")
        assert (ended.code, ended.out) == (4, b"")
        assert str(path) in ended.message
        assert "libvirtd" in ended.message

    async def test_a_socket_nobody_listens_at(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        ended = await domstats("get", "-c", f"qemu+unix:///system?socket={path}")
        assert ended.code == 4
        assert str(path) in ended.message

    async def test_permission_denied(self, closed_socket: Path) -> None:
        # Root may connect to any socket, unless it gives up that capability.
        under = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
        ended = await domstats("get", "-c", f"qemu+unix:///system?socket={closed_socket}", under=under)
        assert (ended.code, ended.out) == (1, b"")
        assert str(closed_socket) in ended.message
        assert "permission" in ended.message


@pytest.fixture
def closed_socket(path: Path) -> Iterator[Path]:
    """A socket where someone listens, but nobody may connect."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0)
        yield path
