"""Write docs/reference from the code: the command, the configuration, the tables' columns, the fields, the metrics, the
errors; and share/domstats.toml, a configuration with every option.

`python tools/reference.py` writes them; tests/test_docs.py fails when they are not current.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from domstats import errors
from domstats.catalog.fields import FIELDS, Field
from domstats.catalog.groups import GROUPS
from domstats.cli import VERBS, group
from domstats.cli.console import EXIT_CODES
from domstats.formats.columns import column_field
from domstats.formats.metrics import host, plan, service
from domstats.formats.metrics.families import UNKNOWN, entity_label, info_family, metric_of
from domstats.formats.named import COLUMNS
from domstats.serve.config import SECTIONS, Section

PAGES = Path(__file__).parent.parent / "docs" / "reference"
EXAMPLE = Path(__file__).parent.parent / "share" / "domstats.toml"


def pages() -> dict[str, str]:
    """Name and text of each page."""
    return {
        "command.md": _command(),
        "configuration.md": _configuration(),
        "columns.md": _columns(),
        "fields.md": _fields(),
        "errors.md": _errors(),
        "metrics.md": _metrics(),
    }


_ENDED = "`serve` and `watch` end with 0 on Ctrl-C."


def _command() -> str:
    lines = [
        "# The command",
        "",
        *textwrap.wrap(
            f"{EXIT_CODES} {_ENDED} Data goes to stdout, everything else to stderr.",
            120,
        ),
        "",
    ]
    for verb in VERBS:
        command = group.get_command(click.Context(group), verb)
        assert command is not None
        words = " ".join(
            param.make_metavar(click.Context(command)) for param in command.params if isinstance(param, click.Argument)
        )
        lines += [
            f"## domstats {verb} {words}".rstrip(),
            "",
            inspect.cleandoc(command.help or ""),
            "",
            "| option | meaning |",
            "|---|---|",
        ]
        for param in command.params:
            if isinstance(param, click.Option) and not param.hidden:
                metavar = "" if param.is_flag else " " + param.make_metavar(click.Context(command))
                names = ", ".join(f"`{name}`" for name in param.opts)
                default = f" Default: {param.default:g}." if isinstance(param.default, float) else ""
                lines.append(f"| {names}{_cell(metavar)} | {_cell(param.help or '')}{default} |")
        options = [param for param in command.params if isinstance(param, click.Option)]
        # virsh's need no help of ours; a hidden option that has one is there to say why it cannot be had.
        hidden = [f"`{option.opts[0]}`" for option in options if option.hidden and not option.help]
        if hidden:
            lines += ["", f"Also understood, as virsh writes them: {', '.join(hidden)}."]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


EXAMPLES: dict[str, object] = {
    "host.uri": "qemu:///system",
    "host.groups": ["state", "cpu", "block"],
    "host.domains": ["web-*"],
    "host.plan": {"kernel": 1, "block": 60},
    "http.listen": ["127.0.0.1:9177"],
    "http.certificate": "tls/domstats.pem",
    "http.key": "tls/domstats.key",
    "http.token_file": "token",
    "http.hosts": ["stats.example.org"],
    "libvirt_socket.path": "/run/domstats/libvirt-sock",
    "libvirt_socket.group": "libvirt",
    "libvirt_socket.max_age": 30.0,
    "history.fields": ["cpu", "steal", "mem", "block.<i>.read", "balloon.rss"],
    "metrics.groups": ["state", "cpu", "block"],
    "metrics.labels": ["nova"],
    "metrics.label": ["team=https://example.org/inventory:owner/team"],
    "metrics.fields": ["block.<i>.rd.*"],
    "metrics.max_age": 30.0,
    "metrics.max_series": 200_000,
}
"""What the example says of the options whose default says nothing."""
LEFT_OUT = ("libvirt_socket",)
"""The sections that are a comment in the example, for what is served by being there."""


def _options(section: type[Section]) -> list[tuple[str, object, str]]:
    """Name, default and meaning of each option of a section; the meaning is the text below it in the code."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(section)}
    defaults |= {
        field.name: field.default_factory()
        for field in msgspec.structs.fields(section)
        if field.default_factory is not msgspec.NODEFAULT
    }
    (body,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(body, ast.ClassDef)
    found = []
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(text, ast.Expr)
            meaning = " ".join(ast.literal_eval(text.value).split())
            found.append((field.target.id, defaults[field.target.id], meaning))
    return found


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + " }"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _configuration() -> str:
    lines = [
        "# The configuration",
        "",
        "What `domstats serve --config FILE` reads: TOML, a table for each section. Every option may be left out. A",
        "path that is not absolute starts at the file's own folder. [How a service lives](../service.md);",
        "`share/domstats/domstats.toml` of the installed package has every option, with an example.",
        "",
    ]
    for name, section in SECTIONS.items():
        lines += [f"## [{name}]", "", inspect.cleandoc(section.__doc__ or ""), ""]
        lines += ["| option | default | meaning |", "|---|---|---|"]
        for option, default, meaning in _options(section):
            told = "" if default is None or default in ((), {}) else f"`{_toml(default)}`"
            lines.append(f"| `{option}` | {told} | {_cell(meaning)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def example() -> str:
    """A configuration in which every option stands, most of them as a comment that says what it is by default."""
    lines = ["# The configuration of `domstats serve --config FILE`. A line that begins with #, and no space, is an"]
    lines += ["# option: take the # away to set it. `domstats serve --config FILE --check` says whether all is well."]
    for name, section in SECTIONS.items():
        lines += ["", *_comment(section.__doc__ or ""), f"#[{name}]" if name in LEFT_OUT else f"[{name}]"]
        for option, default, meaning in _options(section):
            value = EXAMPLES.get(f"{name}.{option}", default)
            lines += ["", *_comment(meaning), f"#{option} = {_toml(value)}"]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 120, initial_indent="# ", subsequent_indent="# ")


def _columns() -> str:
    lines = [
        "# The columns of the tables",
        "",
        "What `--columns` and `--sort` of `domstats get` and `domstats watch` call the columns of the table. Beside",
        "these words every key of a record is a column: `vcpu.current`, `block[vda].capacity`; in a table of devices",
        "the tail of a device's keys: `rd.reqs`. A counter is a rate per second where the host was asked twice. The",
        "words, device names and rates are those of `-f table`: csv, arrow and parquet have the keys, as they are.",
        "Those marked * are there when asked for.",
        "",
    ]
    for table, columns in COLUMNS.items():
        title = "A line a domain" if table == "domain" else f"`--table {table}`"
        lines += [f"## {title}", "", "| column | heading | meaning |", "|---|---|---|"]
        for each in columns.named:
            field = column_field(columns, each.key)
            meaning = each.help or (f"`{field.pattern}`: {field.help}" if field else "")
            lines.append(f"| `{each.name}`{'' if each.shown else ' *'} | {each.heading} | {_cell(meaning)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _fields() -> str:
    lines = [
        "# The fields",
        "",
        "Every statistic of libvirt's bulk call, by group. `<i>` and `<j>` are positions, `<id>` the number of a vCPU",
        "or I/O thread, `<name>` a word of the hypervisor's. Keys that are not here pass through unharmed.",
        "",
    ]
    for each in GROUPS:
        needs = "asks the guest's monitor" if each.needs_monitor else "needs no answer of the guest"
        lines += [f"## {each.name}", "", f"Bit {each.bit}, since libvirt {each.since}; {needs}.", ""]
        lines += ["| key | type | unit | kind | since | meaning |", "|---|---|---|---|---|---|"]
        for field in FIELDS:
            if field.group == each.name:
                meaning = f"{field.help} {field.note}".strip()
                cells = (f"`{field.pattern}`", " or ".join(field.types), field.unit, field.kind, field.since, meaning)
                lines.append(f"| {' | '.join(map(_cell, cells))} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


_MARKS = {"<i>": "0", "<j>": "0", "<id>": "0", "<name>": "word", "<feature>": "word"}
_OWN_LABELS = {
    plan.INFO: ("domain", "uuid", "id", "title", "..."),
    plan.STATUS: ("domain", "status"),
    plan.SAMPLE_AGE: ("domain",),
    plan.STATE_INFO: ("domain", "state", "reason"),
    host.BUILD: ("version",),
    host.DROPPED: ("group",),
    host.GROUP_SECONDS: ("group",),
    service.DOMAINS: ("status",),
    service.REQUESTS: ("kind", "code"),
    service.RELOADS: ("result",),
    UNKNOWN: ("domain", "key"),
}


def _metrics() -> str:
    lines = [
        "# The metrics",
        "",
        "The series of the formats `prometheus` and `openmetrics`, with the key each is made of. `<name>` and",
        "`<feature>` are words of the hypervisor's and the kernel's. [How to use them](../prometheus.md).",
        "",
        "## Of every domain, and of the host",
        "",
        "| metric | labels | type | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        _metric_row(family.sample, _OWN_LABELS.get(family, ()), family.type, family.help)
        for family in dict.fromkeys((*_OWN_LABELS, *host.FAMILIES))
        if family not in service.FAMILIES
    ]
    lines += ["", "## Of a service", "", "Only in the answers of `domstats serve`, beside those of the collector.", ""]
    lines += ["| metric | labels | type | meaning |", "|---|---|---|---|"]
    lines += [
        _metric_row(family.sample, _OWN_LABELS.get(family, ()), family.type, family.help) for family in service.FAMILIES
    ]
    for each in GROUPS:
        lines += ["", f"## {each.name}", "", "| metric | labels | type | key | meaning |", "|---|---|---|---|---|"]
        for field in FIELDS:
            row = _metric_of(field) if field.group == each.name else None
            if row is not None:
                name, labels, kind = row
                lines.append(_metric_row(name, labels, kind, f"`{field.pattern}`", field.help))
    return "\n".join(lines).rstrip() + "\n"


def _metric_of(field: Field) -> tuple[str, tuple[str, ...], str] | None:
    """Name, labels and type of a field's metric; None where it is a label of others."""
    metric = metric_of(".".join(_MARKS.get(part, part) for part in field.pattern.split(".")))
    assert metric is not None
    family, labels = metric.family, ["domain"]
    if metric.entity:
        labels.append(entity_label(metric.entity))
    if "string" in field.types:
        found = info_family(metric, field)
        if found is None:
            return None
        family = found
        labels.append(field.pattern.rpartition(".")[2])
    labels += [name for name, _ in metric.labels]
    word = "<feature>" if "<feature>" in field.pattern else "<name>"
    return family.sample.replace("_word", f"_{word}"), tuple(labels), family.type


def _metric_row(name: str, labels: Sequence[str], *cells: str) -> str:
    return f"| {' | '.join(map(_cell, (f'`{name}`', ', '.join(labels), *cells)))} |"


def _errors() -> str:
    doc = inspect.getdoc(errors) or ""
    first, _, tree = doc.partition("\n\n")
    lines = ["# The errors", "", first, "", "```text", inspect.cleandoc(tree), "```", ""]
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.DomstatsError):
            lines += [f"**{name}** {inspect.getdoc(kind)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    """Text that does not end its cell."""
    return text.replace("|", r"\|")


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for page, text in pages().items():
        (PAGES / page).write_text(text, encoding="utf-8")
    EXAMPLE.write_text(example(), encoding="utf-8")
