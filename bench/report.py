"""The table: each row is a ratio of two figures of the same run, with what it must be at least or at most."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domstats.formats.registry import FORMATS


@dataclass(frozen=True)
class Row:
    """One line of the table: `other` divided by `ours`, or a plain figure where there is no other."""

    title: str
    ours: str
    other: str = ""
    at_least: float | None = None
    """The ratio must be at least this."""
    at_most: float | None = None
    """The figure in `unit`, or the ratio ours/other where there is an other, must be at most this."""
    unit: str = ""
    scale: float = 1.0
    """Figures are seconds of the benchmark times this."""


WRITTEN = [name for name in FORMATS if name not in ("reply", "csv", "arrow", "parquet")]
"""The formats that go record by record; the reply's is in the rows of encoding, those of tables have their own."""
BY_FAMILY = ("prometheus", "openmetrics")
"""Those whose lines of one domain stand in many places, so that all lines move when one domain changes."""
_LINEAR = 1.5
"""Four times the domains may cost so many times more: of their texts less is in the processor's cache."""

FORMAT_ROWS = (
    Row("flat JSON of 1,024 guests: msgspec, given ready-made dicts of it", "write[json]", "msgspec_dicts", 1),
    Row("the same when every number has changed", "write_all_changed", "msgspec_dicts"),
    Row("XML of 1,024 guests: lxml building the same tree, and writing it", "write[xml]", "lxml_tree", 15),
    Row("the same with nothing known", "write_cold[xml]", "lxml_tree"),
    Row("XML of 1,024 guests, read back", "read_xml", unit="ms", scale=1e3),
    *(Row(f"{name}: 1,024 guests", f"write[{name}]", unit="ms", scale=1e3) for name in WRITTEN),
    *(
        Row(
            f"{name}: one guest has changed / none has",
            f"write_changed[{name}]",
            f"write[{name}]",
            at_most=None if name in BY_FAMILY else 2,
        )
        for name in WRITTEN
    ),
    *(
        Row(
            f"{name}: 16,000 simulated domains / 4,000",
            f"write_simulated[{name}-16000]",
            f"write_simulated[{name}-4000]",
            at_most=4 * _LINEAR,
        )
        for name in WRITTEN
    ),
)

ROWS = (
    *FORMAT_ROWS,
    Row("decode 1,024 guests, layout known: libvirt-python's client CPU / ours", "decode_known", "libvirt_python", 40),
    Row("decode the same in slices of 32", "decode_slices", "libvirt_python", 20),
    Row("decode the same in other orders", "decode_shuffled", "libvirt_python", 20),
    Row("decode, layout known: lxml parsing the same content", "decode_known", "parse_lxml", 20),
    Row("decode, layout known: orjson parsing the same content", "decode_known", "parse_orjson", 20),
    Row("decode, layout known: msgspec parsing the same content", "decode_known", "parse_msgspec"),
    Row("decode, layout known: a memcpy of the reply", "decode_known", "memcpy", at_most=10),
    Row("decode, nothing known, against libvirt-python", "decode_cold", "libvirt_python", at_most=1.5),
    Row("decode, one guest changed its structure, against libvirt-python", "decode_one_changed", "libvirt_python"),
    Row(
        "whole client (a round in slices, sockets, decode, merge), CPU, against libvirt-python",
        "client_whole",
        "libvirt_python",
    ),
    Row("encode the reply: libvirt-python decoding it", "encode_known", "libvirt_python"),
    Row("500 reads by UUID and key: of 16,000 domains / of 100", "read_16000", "read_100", at_most=1.2),
    Row("one read by UUID and key, of 16,000 domains", "read_16000", at_most=0.5, unit="us", scale=1e6 / 500),
    Row("a column of 1,000 domains", "column_1000", at_most=20, unit="us", scale=1e6),
    Row("rates of 1,024 guests, same layout", "rates_known", unit="ms", scale=1e3),
    Row("five Arrow tables of 1,024 guests", "arrow_tables", at_most=5, unit="ms", scale=1e3),
    Row("the same when one guest has changed", "arrow_tables_changed", unit="ms", scale=1e3),
    Row("the same as an Arrow stream", "write_table[arrow-]", unit="ms", scale=1e3),
    Row("the same as a Parquet file", "write_table[parquet-]", unit="ms", scale=1e3),
    Row("the same as CSV, a line a value", "write_table[csv-]", unit="ms", scale=1e3),
    Row("the domains of 1,024 guests as CSV", "write_table[csv-domain]", unit="ms", scale=1e3),
    Row("their vCPUs as CSV", "write_table[csv-vcpu]", unit="ms", scale=1e3),
    Row(
        "Prometheus's text of 1,024 guests with KVM counters: prometheus-client / ours",
        "metrics_prometheus",
        "metrics_prometheus_client",
        25,
    ),
    Row(
        "the same in OpenMetrics",
        "metrics_openmetrics",
        "metrics_prometheus_client_openmetrics",
        25,
    ),
    Row("the same, one guest changed", "metrics_one_changed", "metrics_prometheus_client"),
    Row(
        "real guests, all groups: the command `domstats get` / `virsh domstats`",
        "full_polls.ours",
        "full_polls.virsh",
        at_most=0.5,
    ),
    *(
        Row(
            f"the same with {count} guests stopped, against its deadline",
            f"get_with_guests_stopped[{count}]",
            f"get_with_guests_stopped[{count}].deadline",
            at_most=1.0,
        )
        for count in (1, 10, 25)
    ),
    *(
        Row(
            f"a round of the collector with {count} guests stopped, against one with none",
            f"collector_rounds.round_{count}",
            "collector_rounds.round_0",
            at_most=1.2,
        )
        for count in (1, 10, 25)
    ),
    Row("a round of the collector, its own CPU", "collector_rounds.cpu_a_round", unit="ms", scale=1e3),
    Row(
        "kernel:///: cpu, vcpu, net and rss of a guest with 1 or 2 vCPUs, CPU a poll",
        "kernel_poll.a_guest",
        at_most=50,
        unit="us",
        scale=1e6,
    ),
    Row(
        "the same of all guests, wall time / `virsh domstats --cpu-total --vcpu --interface`",
        "kernel_beside_virsh.ours",
        "kernel_beside_virsh.virsh",
        100,
    ),
    Row(
        "the same with 25 guests stopped, against none",
        "kernel_beside_virsh.stopped",
        "kernel_beside_virsh.ours",
        at_most=1.3,
    ),
    Row("the same beyond the budget of open files", "kernel_poll_unheld.a_guest", unit="us", scale=1e6),
    Row("history of 1,024 guests: a sample of every value of every guest", "history_sample", unit="ms", scale=1e3),
    Row("the same, a seventh of the guests and all network devices are new", "history_slice", unit="ms", scale=1e3),
    Row("the same, one guest has changed", "history_one_changed", unit="ms", scale=1e3),
    Row("an hour of it in memory", "history_sample.bytes", at_most=256, unit="MiB", scale=1 / (1 << 20)),
    Row("/v1/history: every series of a guest, an hour", "history_answer", unit="ms", scale=1e3),
    Row(
        "HTTP: a scrape of 1,000 simulated guests, gzip: the first of a snapshot, which renders it / the next ones",
        "http_scrape[gzip]",
        "http_scrape_first",
    ),
    Row("the same, the next ones", "http_scrape[gzip]", unit="ms", scale=1e3),
    Row("the same, not compressed", "http_scrape[identity]", unit="ms", scale=1e3),
    Row("50 scrapers at a time, the 99th percentile of a scrape", "http_scrapers.p99", unit="ms", scale=1e3),
    Row("50 scrapers at a time, the server's CPU a scrape", "http_scrapers.cpu_a_scrape", unit="ms", scale=1e3),
    Row(
        "real guests, a scrape: Debian's prometheus-libvirt-exporter, of at most 512 / ours over HTTP, of all",
        "service_scrape.ours",
        "service_scrape.theirs",
        50,
    ),
    Row("the first of a snapshot, which renders it", "service_scrape.first", "service_scrape.theirs"),
    Row("50 scrapers of them at a time, the 99th percentile of a scrape", "service_scrapers.p99", unit="ms", scale=1e3),
    Row("the same, the service's CPU a scrape", "service_scrapers.cpu_a_scrape", unit="ms", scale=1e3),
    Row("the sweep beside it", "service_sweep.sweep", unit="s"),
    Row("seconds from one sweep to the next", "service_sweep.period", unit="s"),
    Row("of a processor, that collecting and a stream take meanwhile", "service_sweep.cpu", unit="%", scale=100),
    Row("memory that the service holds after all of this", "service_sweep.memory", unit="MiB", scale=1 / (1 << 20)),
    Row(
        "real guests, all groups, `virsh domstats`: from libvirtd / through our socket",
        "virsh_domstats.ours",
        "virsh_domstats.libvirtd",
        20,
    ),
    Row("the sweep behind it (`domstats get`)", "virsh_domstats.sweep", unit="s"),
    Row(
        "16,384 simulated domains, four groups, in one reply through the socket",
        "largest_host.reply",
        unit="ms",
        scale=1e3,
    ),
    Row("all their groups, over 32 MiB: the error", "largest_host.refused", unit="ms", scale=1e3),
    Row("100 clients of the socket at once, p99 of a question", "many_clients.alone", unit="ms", scale=1e3),
    Row(
        "the same beside 20 that ask for everything and do not read, against without",
        "many_clients.beside_slow",
        "many_clients.alone",
        at_most=2,
    ),
    Row("import domstats, against python doing nothing", "import_domstats", "python_nothing"),
    Row("domstats --help, against python doing nothing", "cli_help", "python_nothing"),
)


def report(figures: Path) -> tuple[str, list[str]]:
    """The table as Markdown, and the titles of the rows that missed what they must be."""
    data = json.loads(figures.read_text(encoding="utf-8"))
    seconds = {each["name"].removeprefix("test_"): _seconds(each) for each in data["benchmarks"]}
    for each in data["benchmarks"]:
        name = each["name"].removeprefix("test_")
        seconds |= {f"{name}.{part}": value for part, value in each["extra_info"].items() if isinstance(value, float)}
    lines = ["| what | figure | must be | |", "|---|---|---|---|"]
    missed = []
    for row in ROWS:
        if row.ours not in seconds or (row.other and row.other not in seconds):
            continue
        figure, text, wanted, met = _judge(row, seconds)
        lines.append(f"| {row.title} | {text} | {wanted} | {'' if met is None else 'ok' if met else 'MISSED'} |")
        if met is False:
            missed.append(f"{row.title}: {figure}")
    where = f"{platform.machine()}, {data['machine_info']['cpu']['count']} CPUs, Python {platform.python_version()}"
    names = ", ".join(f"{name} {value * 1e3:.4g}" for name, value in sorted(seconds.items()))
    return "\n".join([*lines, "", f"Measured on {where}. Milliseconds: {names}.", ""]), missed


def _seconds(benchmark: dict[str, Any]) -> float:
    """The smallest time, which is the least disturbed; the client's own CPU time where another process did the work."""
    cpu: float | None = benchmark["extra_info"].get("cpu_seconds")
    return benchmark["stats"]["min"] if cpu is None else cpu


def _judge(row: Row, seconds: dict[str, float]) -> tuple[float, str, str, bool | None]:
    ours = seconds[row.ours]
    if not row.other:
        figure = ours * row.scale
        wanted = f"at most {row.at_most:g} {row.unit}" if row.at_most is not None else ""
        return figure, f"{figure:.3g} {row.unit}", wanted, None if row.at_most is None else figure <= row.at_most
    other = seconds[row.other]
    if row.at_most is not None:
        figure = ours / other
        return figure, f"{figure:.2f} times", f"at most {row.at_most:g} times", figure <= row.at_most
    figure = other / ours
    text = f"{figure:.1f} times faster" if figure >= 1 else f"{1 / figure:.2f} times slower"
    if row.at_least is None:
        return figure, text, "", None
    return figure, text, f"at least {row.at_least:g} times", figure >= row.at_least
