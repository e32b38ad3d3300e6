"""What the JSON formats share in reading: the inverse of `document`."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from domstats.errors import BadDocument
from domstats.formats.document import BASE64, BASE64_KEY
from domstats.formats.rebuild import STATUSES, ReadRecord, domain_of, param_of
from domstats.model.params import ParamType, TypedParameter, Value

Text = str | dict[str, str]
_DOUBLES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class DomainObject(msgspec.Struct):
    """A domain's object; members that are not known are passed over."""

    name: Text
    uuid: str
    id: int | None
    status: str
    ages: dict[str, float]
    stats: dict[str, int | float | bool | str | dict[str, str]]
    types: dict[str, str]
    overlaid: list[str] = []


@contextmanager
def reading(form: str, where: str = "") -> Iterator[None]:
    """Turns what is raised in reading this place of a document into BadDocument."""
    try:
        yield
    except (ValueError, OverflowError) as error:  # msgspec's errors are ValueErrors, too
        raise BadDocument(form, where, str(error)) from None


def record_of(read: DomainObject, usual: dict[str, str]) -> ReadRecord:
    """A domain's record; `usual`: the types of keys beside its own. Raises ValueError."""
    if read.status not in STATUSES:
        raise ValueError(f"there is no status {read.status!r}")
    types = usual | read.types if read.types else usual
    params = [_param(key, types.get(key), value) for key, value in read.stats.items()]
    return ReadRecord(
        domain_of(text(read.name), read.uuid, read.id), params, STATUSES[read.status], read.ages, read.overlaid
    )


def _param(key: str, type_name: str | None, written: Any) -> TypedParameter:
    if type_name is None:
        type_name = _shown_type(written)
    value: Value = text(written) if isinstance(written, dict) else written
    if type_name == ParamType.DOUBLE.label and isinstance(value, str):
        if value not in _DOUBLES:
            raise ValueError(f"{value!r} is no double")
        value = _DOUBLES[value]
    return param_of(_key(key), type_name, value)


def _shown_type(written: Any) -> str:
    """The type of a value that none is named for."""
    if isinstance(written, bool):
        return ParamType.BOOLEAN.label
    return ParamType.STRING.label if isinstance(written, str | dict) else ParamType.ULLONG.label


def text(written: Text) -> str:
    """A name or a string value. Raises ValueError."""
    if isinstance(written, str):
        return written
    if list(written) != [BASE64]:
        raise ValueError(f"{written} is neither a text nor an object with the member {BASE64!r} alone")
    return _from_base64(written[BASE64])


def _key(written: str) -> str:
    return _from_base64(written.removeprefix(BASE64_KEY)) if written.startswith(BASE64_KEY) else written


def _from_base64(written: str) -> str:
    return base64.b64decode(written, validate=True).decode("utf-8", "surrogateescape")
