"""Run the targets with atheris, which finds its way by the branches the code takes."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["domstats"]):
    from fuzz.targets import TARGETS


def every(data: bytes) -> None:
    """The first byte chooses the target."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


atheris.Setup(sys.argv, every)
atheris.Fuzz()
