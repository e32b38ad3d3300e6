"""Arrow: tables that polars, pandas, DuckDB and others read in place, and their IPC stream.

`flat` is one of model.tables.TABLES as `frame` describes it. `whole` is everything in one table: a row a domain with
the columns of the `domain` table, then `vcpu`, `interface`, `block` and `iothread`, each a list with a struct a device,
which holds what a row of that flat table does, but for what it says of the domain.

- Every wire type has its Arrow type, int32, uint32, int64, uint64, double, bool, utf8; what is missing is null.
- A column with several wire types has the smallest integer type that holds them all, or else utf8: integers in
  decimal, doubles as Python writes them, `true` and `false`.
- Text whose bytes are not UTF-8 is `base64:` and the base64 of its bytes, as is text that begins with `base64:` itself;
  this goes for names of columns, too. A column named as one before it gets a `_`.
- A column's metadata says what is known of it: `type` (the wire type, or several), `field` (the catalogue's pattern),
  `unit`, `kind`, `since`, `help`. The table's has `domstats` (our version), `time` (of the poll, in seconds since the
  epoch), `source` (its URI) and `table` (empty for the whole).

What depends on the layout alone (names, strings, where there are values) is made once for each layout.
"""

from __future__ import annotations

from collections.abc import Sequence

from domstats.formats import document, frame, libarrow
from domstats.formats.arrow_plan import DEVICES, Plan, whole_schema
from domstats.formats.frame import Cell, Frame
from domstats.formats.options import NO_OPTIONS, Options
from domstats.model.record import Poll
from domstats.model.snapshot import Snapshot
from domstats.model.tables import Table
from domstats.version import __version__


def encode(snapshot: Snapshot, options: Options = NO_OPTIONS) -> bytes:
    """The IPC stream of the whole or, with `options.table`, of that table. Raises UnknownGroup, UnknownField."""
    return libarrow.to_stream(selected(snapshot, options))


def selected(snapshot: Snapshot, options: Options) -> libarrow.Table:
    """The whole or a table, with the columns and rows the options ask for. Raises UnknownGroup, UnknownField."""
    content = flat(snapshot.table(options.table)) if options.table else whole(snapshot)
    rows = Frame(snapshot.table(options.table or frame.DOMAIN))
    what = f"table {options.table!r}" if options.table else "the table of everything"
    known = content.schema.names

    def values(name: str) -> Sequence[Cell]:
        at = frame.position(known[: len(rows.columns)], name, what)
        return rows.values(rows.columns[at])

    columns = frame.chosen(known, options, what) if options.columns else None
    return libarrow.selected(content, columns, frame.ordered(len(rows), options, values))


def flat(table: Table) -> libarrow.Table:
    """A row a domain, or a row a vcpu, interface, block or iothread of every domain."""
    rows = Frame(table)
    plan = Plan.of(rows)
    return libarrow.table(plan.arrays(rows), plan.schema, _metadata(table.poll, table.name))


def whole(poll: Poll) -> libarrow.Table:
    """A row a domain, with its devices in lists."""
    domains = Frame(Table(frame.DOMAIN, poll))
    columns = Plan.of(domains).arrays(domains)
    for name in DEVICES:
        devices = Frame(Table(name, poll))
        plan = Plan.of(devices)
        arrays = plan.arrays(devices)
        columns.append(libarrow.lists(plan.offsets, [arrays[at] for at in plan.inner], plan.inner_fields))
    return libarrow.table(columns, whole_schema(poll), _metadata(poll, ""))


def _metadata(poll: Poll, table: str) -> dict[str, str]:
    return {
        "domstats": __version__,
        "time": repr(poll.time),
        "source": document.key(poll.sampling.source_names[0]),
        "table": table,
    }
