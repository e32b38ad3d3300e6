"""A snapshot as one of the metrics texts: the page of its layout with the numbers of this poll."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from domstats.catalog.enums import DOMAIN_STATES, reason_name, state_name
from domstats.errors import UnknownField
from domstats.formats.metrics.dialect import Dialect
from domstats.formats.metrics.families import ALWAYS
from domstats.formats.metrics.host import host_lines
from domstats.formats.metrics.options import NO_METRICS_OPTIONS, MetricsOptions
from domstats.formats.metrics.page import Page, Places, fitting, page_of
from domstats.formats.metrics.plan import AGE, EXTRAS
from domstats.formats.metrics.writing import UNKNOWN_NUMBER, write
from domstats.formats.numbers import without_blanks
from domstats.formats.options import Options
from domstats.model.columns import Values
from domstats.model.layout import Layout
from domstats.model.params import ParamType
from domstats.model.sampling import COLUMN_NAMES, Seconds, Status
from domstats.model.snapshot import Snapshot

_MICROSECONDS = 1e6
_AGE_MAX = 1e12
"""Seconds: more than any clock says, and with microseconds still no more than 64 bits."""
_COLUMNS = np.arange(len(COLUMN_NAMES))


def render(snapshot: Snapshot, options: Options, dialect: Dialect) -> bytes:
    """The text in this dialect."""
    metrics = options.metrics or NO_METRICS_OPTIONS
    page = page_of(snapshot.layout, _chosen(snapshot, metrics), metrics, dialect)
    text = bytearray(page.text)
    out = np.frombuffer(text, np.uint8)
    values = np.concatenate((snapshot.values, _extras(snapshot)))
    for writing, places in page.places.items():
        write(text, out, writing, places.ends, values.take(places.values))
    _write_words(text, page.words, snapshot)
    if metrics.max_age is not None:
        _leave_out_old(text, page, snapshot, metrics.max_age)
    host = host_lines(snapshot, page.dropped, options.cost, options.service, dialect)
    return b"".join((without_blanks(text), host, dialect.end))


def _chosen(snapshot: Snapshot, options: MetricsOptions) -> npt.NDArray[np.bool_] | None:
    """Which records are wanted; None for all."""
    if not options.domains and not options.states:
        return None
    chosen = np.ones(len(snapshot), np.bool_)
    if options.domains:
        fits = fitting(options.domains)
        chosen &= [fits(record.domain) for record in snapshot.layout.records]
    if options.states:
        wanted = [DOMAIN_STATES.index(state) for state in options.states]
        values, known = _column(snapshot, "state.state")
        chosen &= known & np.isin(values, wanted)
    return chosen


def _column(snapshot: Snapshot, key: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """An integer of every record, of whatever type, and where there is one."""
    try:
        gather = snapshot.gather(key)
    except UnknownField:
        return np.zeros(len(snapshot), np.int64), np.zeros(len(snapshot), np.bool_)
    known = gather.valid
    if ParamType.STRING in gather.types or ParamType.DOUBLE in gather.types:
        kinds = [record.shape.entries.get(key, (0, 0))[1] for record in snapshot.layout.records]
        known = known & ~np.isin(kinds, (ParamType.STRING, ParamType.DOUBLE))
    return snapshot.values.take(gather.index).view(np.int64), known


def _present(layout: Layout) -> npt.NDArray[np.bool_]:
    """Which columns of the sampling each record has values of, one for each of COLUMN_NAMES."""
    found: npt.NDArray[np.bool_] | None = layout.derived.get("columns_present")
    if found is None:
        found = np.zeros((len(layout), len(COLUMN_NAMES)), np.bool_)
        for shape, positions in layout.by_shape():
            found[positions] = np.isin(_COLUMNS, list(shape.columns))
        layout.derived["columns_present"] = found
    return found


def _extras(snapshot: Snapshot) -> Values:
    """What is written of each record beside its values; see plan.EXTRAS."""
    extras = np.empty((len(snapshot), EXTRAS), np.uint64)
    extras[:, : len(Status)] = snapshot.sampling.status[:, np.newaxis] == np.arange(len(Status))
    ages, present = snapshot.time - snapshot.sampling.times, _present(snapshot.layout)
    known = present & ~np.isnan(ages)
    oldest = np.where(known, ages, 0.0).max(axis=1, initial=0.0)
    microseconds = np.rint(np.clip(oldest, 0.0, _AGE_MAX) * _MICROSECONDS).astype(np.uint64)
    # What was sampled before the clock was set back is older than the rest, nobody knows by how much.
    ahead = (present & snapshot.sampling.ahead(snapshot.time)).any(axis=1)
    extras[:, AGE] = np.where(known.any(axis=1) & ~ahead, microseconds, np.uint64(UNKNOWN_NUMBER))
    return extras.ravel()


def _write_words(text: bytearray, places: Places, snapshot: Snapshot) -> None:
    """The states and their reasons."""
    if not len(places.ends):
        return
    states, _ = _column(snapshot, "state.state")
    reasons, _ = _column(snapshot, "state.reason")
    words: dict[tuple[int, int], bytes] = {}
    pairs = zip(states[places.values].tolist(), reasons[places.values].tolist(), strict=True)
    for end, pair in zip(places.ends.tolist(), pairs, strict=True):
        written = words.get(pair)
        if written is None:
            state, reason = pair
            written = words[pair] = f'{state_name(state)}",reason="{reason_name(state, reason)}'.encode()
        text[end - len(written) : end] = written


def _leave_out_old(text: bytearray, page: Page, snapshot: Snapshot, seconds: Seconds) -> None:
    """The lines of groups that are older than so many seconds, or of no known age, go."""
    old = snapshot.sampling.old(snapshot.time, seconds)
    if not old.any():
        return
    gone = (page.columns != ALWAYS) & old[page.records, page.columns]
    for start, length in zip(page.starts[gone].tolist(), page.lengths[gone].tolist(), strict=True):
        text[start : start + length] = bytes(length)
