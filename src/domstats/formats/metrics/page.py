"""The lines of all domains, family by family as the formats want them, with blanks where the numbers will stand.

What is worked out for a layout is kept with it, for the last few options: the text, where in it every number ends, and
where the lines of one group of one domain are. A domain that changes costs its own lines; putting the page together is
moving bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from domstats.catalog.groups import GROUP_NAMES
from domstats.formats.metrics.dialect import Dialect
from domstats.formats.metrics.families import Family
from domstats.formats.metrics.labels import domain_labels
from domstats.formats.metrics.options import MetricsOptions
from domstats.formats.metrics.plan import EXTRAS, Plan, plan_of, record_text
from domstats.formats.metrics.writing import Writing
from domstats.model.domain import Domain
from domstats.model.globs import Globs
from domstats.model.layout import Layout, Positions

PAGES_MAX = 3
"""Pages of a layout that are kept: scrapers ask in turn, each with filters of its own."""
_NEVER_DROPPED = 0
"""The first part of such a family's order."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """The places that are written in one way."""

    values: Positions
    """Index of each number among the snapshot's values and, after them, the EXTRAS of each record."""
    ends: Positions
    """Where it ends in the page."""


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A text with places."""

    text: bytes
    places: dict[Writing, Places]
    words: Places
    """Of the words of each state; `values` is the position of the record."""
    starts: Positions
    """Of each fragment, lines of one family of one record: where it begins in the page,"""
    lengths: Positions
    """its bytes,"""
    records: Positions
    """the record's position,"""
    columns: Positions
    """and where the sampling has the values' time: an index into COLUMN_NAMES, or ALWAYS."""
    dropped: tuple[int, ...]
    """Series left out to keep to the limit, for each of GROUP_NAMES."""


@dataclass(frozen=True, slots=True, eq=False)
class _Fragments:
    """The fragments of the records of one plan, a row a record."""

    plan: Plan
    positions: Positions
    texts: Sequence[tuple[bytes, ...]]
    ends: Positions
    """Where each line of each record's text ends, after a 0."""
    lengths: Positions
    """Bytes of each fragment."""

    @property
    def cuts(self) -> Positions:
        """Where each fragment of each record's text begins, and where the last ends."""
        cut: Positions = self.ends[:, self.plan.cuts]
        return cut


def page_of(layout: Layout, chosen: npt.NDArray[np.bool_] | None, options: MetricsOptions, dialect: Dialect) -> Page:
    """The page of those of a layout's records that are chosen, or of all; the last few pages are kept."""
    # What is left out at each rendering anew makes no other page.
    options = replace(options, max_age=None, states=())
    what = (options, None if chosen is None else chosen.tobytes())
    pages: dict[tuple[MetricsOptions, bytes | None], Page] = layout.derived.setdefault(("metrics", dialect.name), {})
    page = pages.pop(what, None)
    pages[what] = page = page or _make(layout, chosen, options, dialect)
    while len(pages) > PAGES_MAX:
        del pages[next(iter(pages))]  # the one that nobody has asked for the longest
    return page


def fitting(patterns: Sequence[str]) -> Callable[[Domain], bool]:
    """Whether a domain is one of these names, UUIDs and patterns of them."""
    names, uuids = Globs(patterns), Globs(each.lower() for each in patterns)
    return lambda domain: domain.name in patterns or names.fit(domain.name) or uuids.fit(domain.uuid)


def _make(layout: Layout, chosen: npt.NDArray[np.bool_] | None, options: MetricsOptions, dialect: Dialect) -> Page:
    parts = _fragments(layout, chosen, options, dialect)
    families = sorted({family for part in parts for family in part.plan.families})
    keep, dropped = _within_limit(parts, families, options.max_series)
    kept = [family for family, there in zip(families, keep, strict=True) if there]
    pieces: list[bytes] = []  # family by family, and in a family the records of one shape after those of another
    starts = [np.full(part.lengths.shape, -1, np.int64) for part in parts]
    empty = np.empty(0, np.int64)
    found: list[tuple[Positions, ...]] = [(empty, empty, empty, empty)]
    numbers = [_numbers(part.plan) for part in parts]
    columns = [list(zip(*part.texts, strict=True)) for part in parts]
    at = 0
    for family in kept:
        pieces.append(dialect.header(family))
        at += len(pieces[-1])
        for part, begins, number, column in zip(parts, starts, numbers, columns, strict=True):
            for fragment in number.get(family, ()):
                pieces += column[fragment]
                lengths = part.lengths[:, fragment]
                ends = at + np.cumsum(lengths)
                begins[:, fragment] = ends - lengths
                at = int(ends[-1])
                of_column = np.full(len(lengths), part.plan.columns[fragment])
                found.append((begins[:, fragment], lengths, part.positions, of_column))
    places, words = _places(layout, parts, starts)
    begin, length, record, column_of = (np.concatenate(each) for each in zip(*found, strict=True))
    return Page(b"".join(pieces), places, words, begin, length, record, column_of, dropped)


def _numbers(plan: Plan) -> dict[Family, list[int]]:
    """The fragments of each family."""
    found: dict[Family, list[int]] = {}
    for number, family in enumerate(plan.families):
        found.setdefault(family, []).append(number)
    return found


def _fragments(
    layout: Layout, chosen: npt.NDArray[np.bool_] | None, options: MetricsOptions, dialect: Dialect
) -> list[_Fragments]:
    texts_options = replace(options, domains=(), max_series=None)
    labels = domain_labels([record.domain for record in layout.records])
    on = np.array([record.domain.id is not None for record in layout.records], np.bool_)
    wanted = np.ones_like(on) if chosen is None else chosen
    parts = []
    for (shape, positions), active in product(layout.by_shape(), (True, False)):
        positions = positions[(wanted & (on == active))[positions]]
        if not len(positions):
            continue
        plan = plan_of(shape, texts_options, active=active, open_metrics=dialect.open_metrics)
        texts = [
            record_text(layout.records[at], labels[at], plan, texts_options, open_metrics=dialect.open_metrics)
            for at in positions.tolist()
        ]
        sizes = np.stack([text.lengths for text in texts])
        lines = plan.lengths + sizes[:, :1] + sizes[:, 1:][:, plan.entities]
        ends = np.concatenate((np.zeros((len(texts), 1), np.int64), np.cumsum(lines, axis=1)), axis=1)
        lengths = np.diff(ends[:, plan.cuts], axis=1)
        parts.append(_Fragments(plan, positions, [text.fragments for text in texts], ends, lengths))
    return parts


def _within_limit(
    parts: Sequence[_Fragments], families: Sequence[Family], limit: int | None
) -> tuple[list[bool], tuple[int, ...]]:
    """Which families stay, and how many series go, by group. Once one does not fit, none after it is tried."""
    counts = dict.fromkeys(families, 0)
    for part in parts:
        for family, lines in zip(part.plan.families, np.diff(part.plan.cuts).tolist(), strict=True):
            counts[family] += lines * len(part.positions)
    keep, dropped, total, full = [], [0] * len(GROUP_NAMES), 0, False
    for family in families:
        if family.order[0] != _NEVER_DROPPED:
            total += counts[family]
            full = full or (limit is not None and total > limit)
            if full:
                dropped[family.group] += counts[family]
        keep.append(not full or family.order[0] == _NEVER_DROPPED)
    return keep, tuple(dropped)


def _places(
    layout: Layout, parts: Sequence[_Fragments], starts: Sequence[Positions]
) -> tuple[dict[Writing, Places], Places]:
    """All places; `starts`: of each part where in the page each fragment begins, -1 for one that is left out."""
    found: dict[Writing | None, list[tuple[Positions, Positions]]] = {None: []}
    for part, begins in zip(parts, starts, strict=True):
        size = len(layout.records[part.positions[0]].shape)
        for writing, (slots, lines, fragments, after) in part.plan.places.items():
            begin = begins[:, fragments]
            ends = begin + part.ends[:, lines + 1] - part.cuts[:, fragments] - after
            if writing is None:
                values = np.broadcast_to(part.positions[:, np.newaxis], ends.shape)
            else:
                extra = slots >= size
                values = np.where(
                    extra,
                    layout.size + part.positions[:, np.newaxis] * EXTRAS + slots - size,
                    layout.starts[part.positions][:, np.newaxis] + slots,
                )
            there = begin >= 0
            found.setdefault(writing, []).append((values[there], ends[there]))
    words = _joined(found.pop(None))
    return {writing: _joined(each) for writing, each in found.items() if writing is not None}, words


def _joined(parts: Sequence[tuple[Positions, Positions]]) -> Places:
    empty = np.empty(0, np.int64)
    return Places(
        np.concatenate([empty, *(values for values, _ in parts)]), np.concatenate([empty, *(ends for _, ends in parts)])
    )
