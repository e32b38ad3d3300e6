"""What happens to the simulated guests: the same deeds every round, each time to others; then all is as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

ROUND = 30
"""Seconds of a round; at its end everybody answers again."""
HANGING = 3
"""Guests that hang at a time: fewer than make the collector careful with all others."""


def script(seconds: float, running: Mapping[str, int]) -> str:
    """A script of rounds for so long, as TOML. `running`: guests that are on, and how many vCPUs each has."""
    texts = []
    for number in range(int(seconds / ROUND) + 1):
        for at, do, domains, *more in _round(number, running):
            lines = [f"at = {number * ROUND + at}", f"do = '{do}'", *more]
            if domains:
                lines.append(f"domains = {[*domains]}")
            texts.append("\n".join(["[[event]]", *lines]))
    return "\n\n".join(texts) + "\n"


def _round(number: int, running: Mapping[str, int]) -> Iterator[tuple[int, str, tuple[str, ...], *tuple[str, ...]]]:
    """Of each event: the second, what happens, to whom, and further lines."""
    everyone = list(running)
    names = [everyone[(number * 11 + step) % len(everyone)] for step in range(HANGING + 7)]
    hung = tuple(names[:HANGING])
    slow, busy, paused, disk, nic, renamed, others = ((name,) for name in names[HANGING:])
    new, other_name = f"new-{number}", f"renamed-{number}"
    yield 1, "hang", hung
    yield 2, "slow", slow, "seconds = 2"
    yield 3, "busy", busy
    yield 4, "pause", paused
    yield 5, "define", (), f"name = '{new}'"
    yield 6, "start", (new,)
    yield 7, "attach", disk, "device = 'disk'"
    yield 7, "attach", nic, "device = 'nic'"
    yield 8, "resume", paused
    yield 9, "rename", renamed, f"to = '{other_name}'"
    yield 12, "answer", (*hung, *slow, *busy)
    yield 14, "reset", others
    yield 15, "resize", others, f"vcpus = {1 + number % 8}"
    yield 16, "detach", disk, "device = 'disk'"
    yield 16, "detach", nic, "device = 'nic'"
    yield 17, "rename", (other_name,), f"to = '{renamed[0]}'"
    yield 18, "resize", others, f"vcpus = {running[others[0]]}"
    yield 20, "stop", (new,)
    yield 22, "undefine", (new,)
