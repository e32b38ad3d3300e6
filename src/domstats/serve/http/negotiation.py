"""Which of several forms of an answer a client wants, by its Accept and Accept-Encoding headers (RFC 9110, 12.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

RANGES_MAX = 32
"""Media ranges and encodings that are looked at; nobody has so many wishes."""
_IGNORED = ("q", "charset", "escaping")
"""Parameters that make no other form of an answer."""


def best_type(accept: str, offered: Sequence[tuple[str, str]]) -> str | None:
    """The media type a client likes most, of these with their versions; None where it wants none of them.

    Of those it likes as much, the one it names most exactly, then the first of `offered`. Without a wish, the first.
    """
    wishes = list(_wishes(accept))
    if not wishes:
        return offered[0][0]
    ranked = [(*_liking(wishes, each), -number) for number, each in enumerate(offered)]
    best = max(ranked)
    return offered[-best[2]][0] if best[0] > 0 else None


def takes_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip at least as well as what is not compressed."""
    wishes = {name: quality for name, _, quality in _wishes(accept_encoding)}
    gzip = wishes.get("gzip", wishes.get("x-gzip", wishes.get("*", 0.0)))
    return gzip > 0 and gzip >= wishes.get("identity", 0.0)


def _wishes(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each range or encoding, in lower case, with its parameters and its quality."""
    for part in header.split(",")[:RANGES_MAX]:
        name, *rest = (piece.strip() for piece in part.lower().split(";"))
        pairs = (piece.partition("=") for piece in rest)
        params = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        if name:
            yield name, {key: value for key, value in params.items() if key not in _IGNORED}, _quality(params)


def _quality(params: dict[str, str]) -> float:
    """0 where it makes no sense."""
    text = params.get("q", "1")
    digits = text.replace(".", "", 1)
    return min(1.0, float(text)) if digits.isascii() and digits.isdigit() and len(text) <= len("0.123") else 0.0


def _liking(wishes: Sequence[tuple[str, dict[str, str], float]], offered: tuple[str, str]) -> tuple[float, int]:
    """How much a client wants a type of a version, and how exactly it names it; the most exact wish counts."""
    kind, version = offered
    main = kind.partition("/")[0]
    found = (0, 0.0)
    for name, params, quality in wishes:
        exact = {kind: 2, f"{main}/*": 1, "*/*": 0}.get(name)
        if exact is None or params.keys() - {"version"} or params.get("version", version) != version:
            continue
        found = max(found, (2 * exact + len(params) + 1, quality))
    return found[1], found[0]
