"""All records of one poll: a layout shared with other polls, and one flat array of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from domstats.errors import UnknownDomain
from domstats.model import columns, tables
from domstats.model.columns import Valid, Values
from domstats.model.description import Description
from domstats.model.domain import Domain
from domstats.model.layout import DomainKey, Layout, RecordLayout, Shape
from domstats.model.params import RANGES, ParamType, TypedParameter
from domstats.model.rates import Rates
from domstats.model.record import Poll, Record
from domstats.model.sampling import Sampling, Status

if TYPE_CHECKING:
    import pyarrow as pa


class Snapshot(Poll):
    """Every record of one poll. Immutable, and safe to read from many threads.

    Iteration gives records, `len()` their number. `snapshot[key]` takes a UUID (text or uuid.UUID), a name or an id.
    """

    def __init__(self, layout: Layout, values: Values, time: float, sampling: Sampling, host_cpus: int | None) -> None:
        """Use `of_one_poll` or `of_params`; this takes the parts as they are."""
        super().__init__(layout, values, time, sampling)
        self.host_cpus = host_cpus
        """Number of the host's processors, or None where it is not known."""

    @classmethod
    def of_one_poll(
        cls, layout: Layout, values: Values, *, time: float, source: str, host_cpus: int | None = None
    ) -> Snapshot:
        """A snapshot whose values were all taken at one time from one source."""
        return cls(layout, values, time, Sampling.of_one_poll(len(layout), time, source), host_cpus)

    def with_sampling(self, sampling: Sampling) -> Snapshot:
        """The same records with other statuses and times."""
        return Snapshot(self.layout, self.values, self.time, sampling, self.host_cpus)

    def with_descriptions(self, infos: Mapping[str, Description]) -> Snapshot:
        """The same values with what the definitions of the domains say, by UUID; the others stay as they are."""
        layout = Layout([_described(record, infos.get(record.domain.uuid)) for record in self.layout.records])
        return Snapshot(layout, self.values, self.time, self.sampling, self.host_cpus)

    def __reduce__(self) -> tuple[Any, ...]:
        return Snapshot, (self.layout, self.values, self.time, self.sampling, self.host_cpus)

    @classmethod
    def of_params(
        cls,
        records: Iterable[tuple[Domain, Sequence[TypedParameter]]],
        *,
        time: float = 0.0,
        source: str = "",
        host_cpus: int | None = None,
    ) -> Snapshot:
        """A snapshot of typed parameters. Raises OverflowError for an integer that does not fit its type."""
        layouts: list[RecordLayout] = []
        values: list[int] = []
        for domain, params in records:
            strings: list[str] = []
            shape = Shape.of([param.name for param in params], bytes(param.type for param in params))
            values.extend(_pack(param, strings) for param in params)
            layouts.append(RecordLayout(domain, shape, strings))
        return cls.of_one_poll(
            Layout(layouts), np.array(values, np.uint64), time=time, source=source, host_cpus=host_cpus
        )

    def __getitem__(self, key: DomainKey) -> Record:
        try:
            position = self._index[key]
        except (KeyError, TypeError):
            position = self.layout.position(key)
        return Record(self, position)

    @cached_property
    def _index(self) -> dict[DomainKey, int]:
        return self.layout.index

    def __contains__(self, key: object) -> bool:
        try:
            self.layout.position(key)  # type: ignore[arg-type]  # any object may be asked for
        except UnknownDomain:
            return False
        return True

    def __iter__(self) -> Iterator[Record]:
        return (Record(self, position) for position in range(len(self.layout)))

    def __len__(self) -> int:
        return len(self.layout)

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self)} domains, {self.layout.size} values>"

    @property
    def records(self) -> Sequence[Record]:
        """The records by position."""
        return _Records(self)

    @property
    def domains(self) -> list[Domain]:
        """The domains, in the order of the records."""
        return [record.domain for record in self.layout.records]

    @property
    def problems(self) -> list[Record]:
        """The records that are not fresh."""
        return [Record(self, int(position)) for position in np.flatnonzero(self.sampling.status != Status.FRESH)]

    def column(self, key: str) -> tuple[npt.NDArray[Any], Valid]:
        """A value of every domain: an array of its wire type's dtype, and a mask of where there is one.

        Raises UnknownField where no domain has it, MixedTypes where it has several wire types.
        """
        return self.gather(key).read(self.layout, self.values)

    def gather(self, key: str) -> columns.Gather:
        """Where a value of every domain is in `values`. Raises UnknownField."""
        return columns.column(self.layout, key)

    def table(self, name: str) -> tables.Table:
        """One row a domain, or one row a vcpu, interface, block or iothread of every domain."""
        return tables.Table(name, self)

    def to_json(self) -> bytes:
        """The snapshot as one JSON document; see domstats.formats.json."""
        from domstats.formats import json

        return json.encode(self)

    def to_arrow(self, table: str | None = None) -> pa.Table:
        """One of the tables, or everything: a row a domain, its devices in lists; see domstats.formats.arrow.

        Raises MissingExtra, and UnknownGroup for a table that does not exist.
        """
        from domstats.formats import arrow

        return arrow.whole(self) if table is None else arrow.flat(self.table(table))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Everything, for what reads Arrow's C stream: polars.DataFrame(snapshot), duckdb, pyarrow.table(snapshot)."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_openmetrics(self) -> bytes:
        """The snapshot as metrics in OpenMetrics's text; see domstats.formats.openmetrics."""
        from domstats.formats import openmetrics

        return openmetrics.encode(self)

    def to_prometheus(self) -> bytes:
        """The snapshot as metrics in Prometheus's text; see domstats.formats.prometheus."""
        from domstats.formats import prometheus

        return prometheus.encode(self)

    def to_xml(self) -> bytes:
        """The snapshot as one XML document; see domstats.formats.xml. `domstats.from_xml` reads it back."""
        from domstats.formats import xml

        return xml.encode(self)

    def rates(self, before: Snapshot) -> Rates:
        """Change per second of every counter since an earlier snapshot, or why there is none."""
        return Rates(before, self)


class _Records(Sequence[Record]):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def __len__(self) -> int:
        return len(self._snapshot)

    def __getitem__(self, position: Any) -> Any:
        chosen = range(len(self._snapshot))[position]
        if isinstance(chosen, range):
            return [Record(self._snapshot, each) for each in chosen]
        return Record(self._snapshot, chosen)


def _described(record: RecordLayout, info: Description | None) -> RecordLayout:
    if info is None:
        return record
    return RecordLayout(replace(record.domain, info=info), record.shape, record.strings)


_64_BITS = (1 << 64) - 1


def _pack(param: TypedParameter, strings: list[str]) -> int:
    """The 64 bits of a value; a string is appended to `strings`."""
    if param.type == ParamType.STRING:
        strings.append(str(param.value))
        return len(strings) - 1
    if param.type == ParamType.DOUBLE:
        return int(np.float64(param.value).view(np.uint64))
    value = int(param.value)
    if value not in RANGES[param.type]:
        raise OverflowError(f"{param.name}={value} does not fit type {param.type.label}")
    return value & _64_BITS
