"""Cutting the domains of a host into slices, one call each: small enough to be rescued, large enough to be cheap."""

from __future__ import annotations

import math
from collections.abc import Sequence

from domstats.model.domain import Domain

FIRST_SIZE = 32
"""Domains in a slice while nothing is known. Of 1,024 real guests this was the fastest size over 4 connections."""
SIZE_MAX = 128
LEAST = 4
"""Domains for which it is not worth while to open another connection."""
SECONDS = 0.4
"""A slice should take about this long: what a stuck guest costs the others of its slice once."""
BYTES = 4 << 20
"""And its reply should hold about this much: an eighth of libvirt's limit, since guests differ."""
_SLACK = 2.0
"""Slices keep their size until the best one differs by more than this factor, so that their layouts are known again."""
_NEW = 0.05
"""Least weight of the newest measurement: on a busy host a guest takes 10 ms in one slice and 40 in the next."""


class Slicer:
    """Learns from each reply how long a domain takes and how much it sends."""

    def __init__(self) -> None:
        self._size = FIRST_SIZE
        """A power of two: sizes that come again are those of layouts that are known."""
        self._learnt = 0
        self._seconds = 0.0
        self._bytes: dict[str, float] = {}

    def learn(self, domains: Sequence[Domain], seconds: float, size: int) -> None:
        """A slice of these domains took so many seconds, and its reply held so many bytes."""
        each = seconds / len(domains)
        self._learnt += 1
        weight = max(_NEW, 1 / self._learnt)
        self._seconds = (1 - weight) * self._seconds + weight * each
        for domain in domains:
            self._bytes[domain.uuid] = size / len(domains)
        best = min(SIZE_MAX, max(1, round(SECONDS / max(self._seconds, 1e-6))))
        if not self._size / _SLACK <= best <= self._size * _SLACK:
            self._size = 1 << round(math.log2(best))

    def too_slow(self, count: int) -> None:
        """A slice of so many domains was given up, though none of them hung."""
        self._size = min(self._size, 1 << max(0, (count // 2).bit_length() - 1))

    def forget(self, uuid: str) -> None:
        """A domain is gone."""
        self._bytes.pop(uuid, None)

    def keep_only(self, uuids: set[str]) -> None:
        """There are these domains, and no others."""
        for uuid in self._bytes.keys() - uuids:
            del self._bytes[uuid]

    def keep_at_most(self, count: int) -> None:
        """Forget all domains if there are more."""
        if len(self._bytes) > count:
            self._bytes.clear()

    def slices(self, domains: Sequence[Domain], lanes: int = 1) -> list[list[Domain]]:
        """The domains in slices, in their order; the same domains give the same slices while nothing much changes.

        `lanes`: how many slices are read at a time; a few domains are dealt out to all of them.
        """
        longest = min(self._size, max(LEAST, -(-len(domains) // lanes)))
        found: list[list[Domain]] = []
        room = 0.0
        for domain in domains:
            size = self._bytes.get(domain.uuid, BYTES / FIRST_SIZE)
            if not found or len(found[-1]) >= longest or room < size:
                found.append([])
                room = float(BYTES)
            found[-1].append(domain)
            room -= size
        return found


def halves(domains: list[Domain]) -> list[list[Domain]]:
    """A slice that was too large, or holds somebody who hangs, in two."""
    middle = (len(domains) + 1) // 2
    return [half for half in (domains[:middle], domains[middle:]) if half]
