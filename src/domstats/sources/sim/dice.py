"""Draws that depend on the seed, on what is drawn and on the domain's number, and on nothing else.

Every trait has a stream of its own with one draw a domain, so domain 7 is the same whether there are 10 or 100,000, and
a new trait changes no other. Only PCG64's raw output is used, which NumPy promises to keep, and integer arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

_PART = 31  # bits of a draw that are used; times a range of up to 32 bits it fits into 63


class Dice:
    """The draws of one fleet."""

    def __init__(self, seed: int, domains: int) -> None:
        self._seed, self._domains = seed, domains

    def raw(self, trait: str) -> Words:
        """64 bits for each domain."""
        stream = np.random.PCG64(np.random.SeedSequence([self._seed, *trait.encode()]))
        words: Words = stream.random_raw(self._domains)
        return words

    def between(self, trait: str, low: int | Ints, high: int | Ints) -> Ints:
        """A number from low to high, both included, for each domain; the bounds may differ by domain."""
        part = (self.raw(trait) >> np.uint64(64 - _PART)).astype(np.int64)
        return low + (part * (high - low + 1) >> _PART)

    def weighted(self, trait: str, weights: Sequence[int]) -> Ints:
        """An index into the weights for each domain, each as often as its weight says."""
        bounds = np.cumsum(np.array(weights, np.int64))
        return np.searchsorted(bounds, self.between(trait, 0, int(bounds[-1]) - 1), side="right")

    def table(self, trait: str, devices: int, low: int | Ints, high: int | Ints) -> Ints:
        """Numbers as of `between` for each domain (row) and each of its devices (column)."""
        numbers = np.empty((self._domains, devices), np.int64)
        for device in range(devices):
            numbers[:, device] = self.between(f"{trait}.{device}", low, high)
        return numbers
