"""What may be chosen of the metrics: which values, for how long, and with which labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from domstats.catalog.enums import DOMAIN_STATES
from domstats.errors import UsageError
from domstats.model.sampling import Seconds

OWN_LABELS = ("domain", "uuid", "id", "title")
"""Labels of domstats_domain_info that are always there, or may be."""

_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class MetadataLabel:
    """A label of domstats_domain_info whose value an application has put into the domain's definition."""

    name: str
    """Of the label."""
    namespaces: tuple[str, ...]
    """XML namespaces of the application's element; the first that the domain has counts."""
    path: str = ""
    """Local names of the elements inside it that lead to the value, as owner/project; empty for the element itself."""
    attribute: str = ""
    """The attribute that holds the value; empty for the element's text."""

    def __post_init__(self) -> None:
        if not _LABEL.match(self.name):
            raise UsageError(f"{self.name!r} cannot be the name of a label: letters, digits and _ make one")
        if self.name in OWN_LABELS:
            raise UsageError(f"the label {self.name!r} has another meaning: it is the domain's own")
        if not self.namespaces or not all(self.namespaces):
            raise UsageError(f"the label {self.name!r} needs the namespace of the element its value is in")


_NOVA = ("http://openstack.org/xmlns/libvirt/nova/1.1", "http://openstack.org/xmlns/libvirt/nova/1.0")
_KUBEVIRT = ("http://kubevirt.io",)

PRESETS: Mapping[str, tuple[MetadataLabel, ...]] = {
    "nova": (
        MetadataLabel("nova_name", _NOVA, "name"),
        MetadataLabel("nova_flavor", _NOVA, "flavor", "name"),
        MetadataLabel("nova_project", _NOVA, "owner/project"),
        MetadataLabel("nova_project_uuid", _NOVA, "owner/project", "uuid"),
        MetadataLabel("nova_user", _NOVA, "owner/user"),
        MetadataLabel("nova_user_uuid", _NOVA, "owner/user", "uuid"),
    ),
    "kubevirt": (MetadataLabel("kubevirt_uid", _KUBEVIRT, "uid"),),
}
"""Labels of known applications. KubeVirt keeps no more than the uid; its domains are named NAMESPACE_NAME."""


def metadata_label(text: str) -> MetadataLabel:
    """A label written as NAME=NAMESPACE:PATH, its path as owner/project, or owner/project@uuid for an attribute.

    Raises UsageError.
    """
    name, equals, rest = text.partition("=")
    namespace, colon, path = rest.rpartition(":")
    if not equals or not colon:
        raise UsageError(f"a label is written as NAME=NAMESPACE:PATH, not {text!r}")
    path, _, attribute = path.partition("@")
    return MetadataLabel(name, (namespace,), path.strip("/"), attribute)


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """By default all that the catalogue has a meaning for. Raises UsageError for what makes no sense."""

    groups: int = 0
    """Only the values of these StatsGroup bits; 0 for all."""
    domains: tuple[str, ...] = ()
    """Only domains with such a name or UUID, patterns as shells have them; all when empty."""
    states: tuple[str, ...] = ()
    """Only domains in one of these states, words of catalog.enums.DOMAIN_STATES; all when empty."""
    fields: tuple[str, ...] = ()
    """Only values whose catalogue pattern (`block.<i>.rd.bytes`) fits one of these shell patterns; all when empty."""
    hypervisor: bool = False
    """Also the values that the hypervisor names (`vcpu.<id>.<name>.sum`): forty a vCPU, which many a page is too
    long with."""
    unknown: bool = False
    """Also numbers the catalogue does not know, as domstats_unknown with their key."""
    labels: tuple[MetadataLabel, ...] = ()
    """More labels of domstats_domain_info."""
    max_age: Seconds | None = None
    """Values of groups that are older, or from before the clock was set back, are left out: repeated, a counter would
    seem to stand still."""
    max_series: int | None = None
    """The most series there may be of values. Whole families are dropped for it, those listed last first."""

    def __post_init__(self) -> None:
        names = [label.name for label in self.labels]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"there are two labels {name!r}")
        for state in self.states:
            if state not in DOMAIN_STATES:
                raise UsageError(f"no state {state!r}; known are {', '.join(DOMAIN_STATES)}")
        for age in self.max_age if isinstance(self.max_age, tuple) else (self.max_age,):
            if age is not None and not age >= 0:
                raise UsageError(f"an age is a number of seconds from 0 on, not {age!r}")
        if self.max_series is not None and self.max_series < 0:
            raise UsageError(f"a number of series is 0 or more, not {self.max_series!r}")


NO_METRICS_OPTIONS = MetricsOptions()
