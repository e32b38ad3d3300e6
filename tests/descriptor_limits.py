"""A process that may open no file any more, and one that may open more."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def soft_limit(number: int) -> Iterator[None]:
    """At most so many descriptors are open at a time."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Whatever is opened is refused."""
    free = os.dup(0)  # the lowest number that is free, and so are all from there on that the limit could be
    os.close(free)
    with soft_limit(free):
        yield
