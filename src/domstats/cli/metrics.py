"""The options that are about the metrics texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import click

from domstats.catalog.fields import FIELDS
from domstats.cli.options import Command, finite
from domstats.errors import UsageError
from domstats.formats.metrics.options import PRESETS, MetadataLabel, MetricsOptions, metadata_label

FORMATS = ("prometheus", "openmetrics")
_MARK = "metrics_"
"""What the parameters of these options begin with."""


def _labels(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[MetadataLabel, ...]:
    try:
        return tuple(map(metadata_label, texts))
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


def _fields(_context: click.Context, _option: click.Parameter, globs: tuple[str, ...]) -> tuple[str, ...]:
    for glob in globs:
        if not any(fnmatchcase(field.pattern, glob) for field in FIELDS):
            raise click.BadParameter(f"no field fits {glob!r}; `domstats fields` lists them")
    return globs


def _finite(context: click.Context, option: click.Parameter, seconds: float | None) -> float | None:
    return None if seconds is None else finite(context, option, seconds)


def _label_options(*, hidden: bool) -> tuple[Callable[[Command], Command], ...]:
    return (
        click.option(
            "--labels",
            f"{_MARK}presets",
            type=click.Choice(list(PRESETS)),
            multiple=True,
            hidden=hidden,
            help="Metrics: labels of domstats_domain_info out of what this application keeps in the domains' metadata.",
        ),
        click.option(
            "--label",
            f"{_MARK}labels",
            multiple=True,
            metavar="NAME=NAMESPACE:PATH",
            callback=_labels,
            hidden=hidden,
            help="Metrics: one more such label: the text of an element (owner/project) or an attribute (flavor@name).",
        ),
    )


_OPTIONS = (
    click.option(
        "--field",
        f"{_MARK}fields",
        multiple=True,
        metavar="GLOB",
        callback=_fields,
        help="Metrics: only fields whose pattern, as `domstats fields` shows it, fits.",
    ),
    click.option(
        "--hypervisor-stats", f"{_MARK}hypervisor", is_flag=True, help="Metrics: also what the hypervisor names itself."
    ),
    click.option(
        "--unknown-stats",
        f"{_MARK}unknown",
        is_flag=True,
        help="Metrics: also numbers of a newer libvirt whose meaning is not known, as domstats_unknown.",
    ),
    click.option(
        "--max-age",
        f"{_MARK}max_age",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        callback=_finite,
        help="Metrics: leave out values of groups that are older.",
    ),
    click.option(
        "--max-series",
        f"{_MARK}max_series",
        type=click.IntRange(min=0),
        metavar="N",
        help="Metrics: the most series of values; families beyond that are counted in domstats_series_dropped.",
    ),
)


def metrics_options(command: Command, *, asks: bool = True) -> Command:
    """All of them; `chosen_metrics` reads them.

    `asks`: whether the verb asks a host; no other says what labels are made of, and theirs are hidden.
    """
    for option in reversed((*_label_options(hidden=not asks), *_OPTIONS)):
        command = option(command)
    return command


def chosen_metrics(form: str, options: Mapping[str, Any]) -> MetricsOptions | None:
    """What was asked for, None for a format that is not one of FORMATS; `options`: those of the command by parameter.

    Raises click.UsageError.
    """
    given = {name.removeprefix(_MARK): value for name, value in options.items() if name.startswith(_MARK)}
    if form not in FORMATS:
        for name, value in given.items():
            if value or (value == 0 and value is not False):
                raise click.UsageError(f"{_option_of(name)} is for the formats {' and '.join(FORMATS)}, not for {form}")
        return None
    presets = (label for preset in given.pop("presets") for label in PRESETS[preset])
    labels = (*presets, *given.pop("labels"))
    try:
        return MetricsOptions(labels=labels, **given)
    except UsageError as error:
        raise click.UsageError(str(error)) from None


def _option_of(name: str) -> str:
    """How the option of a parameter is written."""
    names = {"presets": "--labels", "labels": "--label", "fields": "--field"}
    names |= {"hypervisor": "--hypervisor-stats", "unknown": "--unknown-stats"}
    return names.get(name, f"--{name.replace('_', '-')}")
