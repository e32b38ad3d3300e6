"""Every exception domstats raises, in one tree. The class says whose fault it is, the attributes hold the facts.

DomstatsError
├── UsageError               the caller's: what was asked for does not exist or makes no sense
│   ├── UnknownDomain        (also a KeyError)
│   ├── UnknownField         (also a KeyError)
│   ├── UnknownGroup         (also a ValueError)
│   ├── UnknownColumn        (also a KeyError)
│   ├── MixedTypes           (also a TypeError) one column, several wire types
│   ├── NotACounter          (also a TypeError) a rate was asked of something that is no counter
│   ├── BadUri               (also a ValueError)
│   ├── BadDocument          (also a ValueError) a document that cannot be read
│   ├── ConfigError          (also a ValueError) a configuration that says what makes no sense
│   └── MissingExtra         (also an ImportError) a package that is not installed
├── NoRate                   (also a LookupError) there is no rate, and `reason` says why
├── ConnectError             the surroundings': nothing could be reached
│   ├── NoSocket
│   ├── SocketDenied
│   └── SocketTaken
├── ConnectionLost           the peer went away in the middle
├── DeadlineExceeded         (also a TimeoutError)
├── Overloaded               a server has more to do than it takes on
├── OutOfFiles               this process may open no more files
├── ProtocolError            the peer's: bytes that are not what the protocol says
│   ├── Truncated            fewer bytes than they announce
│   ├── LimitExceeded        a length or count over its limit
│   └── BadValue             a value that has no meaning
└── RemoteError              libvirt's own report, with its code and text
    └── NoDomain, NoSupport, AccessDenied, StatsUnsupported, ReplyTooLarge
"""

from __future__ import annotations


class DomstatsError(Exception):
    """Root of all errors raised by domstats."""


class UsageError(DomstatsError):
    """What was asked for does not exist or makes no sense."""


class UnknownDomain(UsageError, KeyError):
    """No such domain. `domain` is what was asked for."""

    def __init__(self, domain: object) -> None:
        super().__init__(domain)
        self.domain = domain

    def __str__(self) -> str:
        return f"no domain {self.domain!r}"


class UnknownField(UsageError, KeyError):
    """The record (or every record) lacks this key. `key` is what was asked for, `advice` what to ask for instead."""

    def __init__(self, key: str, where: str = "", advice: str = "") -> None:
        super().__init__(key, where, advice)
        self.key, self.where, self.advice = key, where, advice

    def __str__(self) -> str:
        told = f"no value {self.key!r}" + (f" in {self.where}" if self.where else "")
        return f"{told}; {self.advice}" if self.advice else told


class UnknownGroup(UsageError, ValueError):
    """No statistics group of that name. `group` is what was asked for, `known` what there is."""

    def __init__(self, group: str, known: tuple[str, ...]) -> None:
        super().__init__(group, known)
        self.group, self.known = group, known

    def __str__(self) -> str:
        return f"no statistics group {self.group!r}; known are {', '.join(self.known)}"


class UnknownColumn(UsageError, KeyError):
    """A table has no such column. `column` is what was asked for, `near` the names most like it, `known` what there is
    beside the keys of the records."""

    def __init__(self, column: str, near: tuple[str, ...], known: tuple[str, ...]) -> None:
        super().__init__(column, near, known)
        self.column, self.near, self.known = column, near, known

    def __str__(self) -> str:
        text = f"no column {self.column!r}"
        if self.near:
            return f"{text}; do you mean {' or '.join(self.near)}?"
        return f"{text}; there are {', '.join(self.known)}, and every key of a record (domstats fields)"


class MixedTypes(UsageError, TypeError):
    """A column whose values have different wire types. `types` are their names, `key` is the column."""

    def __init__(self, key: str, types: tuple[str, ...]) -> None:
        super().__init__(key, types)
        self.key, self.types = key, types

    def __str__(self) -> str:
        return f"column {self.key!r} mixes the types {', '.join(self.types)}; read it record by record"


class NotACounter(UsageError, TypeError):
    """A rate was asked of a value that is not a counter. `kind` is what the catalogue says it is."""

    def __init__(self, key: str, kind: str) -> None:
        super().__init__(key, kind)
        self.key, self.kind = key, kind

    def __str__(self) -> str:
        return f"{self.key!r} is a {self.kind}, only counters have rates"


class BadUri(UsageError, ValueError):
    """A URI that cannot be used. `uri` is the text, `why` the fault in it."""

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(uri, why)
        self.uri, self.why = uri, why

    def __str__(self) -> str:
        return f"cannot use the URI {self.uri!r}: {self.why}"


class BadDocument(UsageError, ValueError):
    """A document that cannot be read back.

    `form` is the format it should be in, `where` the place in it (empty for the whole), `why` the fault.
    """

    def __init__(self, form: str, where: str, why: str) -> None:
        super().__init__(form, where, why)
        self.form, self.where, self.why = form, where, why

    def __str__(self) -> str:
        return f"not {self.form} as domstats writes it: {self.why}" + (f", at {self.where}" if self.where else "")


class ConfigError(UsageError, ValueError):
    """A configuration that says what makes no sense.

    `file` is where it stands, `path` the place in it (`$.http.listen[0]`; empty for the whole), `why` the fault and
    what would be right.
    """

    def __init__(self, file: str, path: str, why: str) -> None:
        super().__init__(file, path, why)
        self.file, self.path, self.why = file, path, why

    def __str__(self) -> str:
        return f"{self.file}: {self.path + ': ' if self.path else ''}{self.why}"


class MissingExtra(UsageError, ImportError):
    """Something that needs a package which is not installed. `package` is its name, `extra` ours that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package, extra)
        self.package, self.extra = package, extra

    def __str__(self) -> str:
        return f"this needs {self.package}, which is not installed: pip install 'domstats[{self.extra}]'"


class NoRate(DomstatsError, LookupError):
    """There is no rate. `reason` is one of `domstats.model.rates.Reason`."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return f"no rate for {self.key!r}: {self.reason}"


class ConnectError(DomstatsError):
    """Nothing could be reached. `tried` lists the socket paths, in order."""

    def __init__(self, message: str, tried: tuple[str, ...] = ()) -> None:
        super().__init__(message, tried)
        self.message, self.tried = message, tried

    def __str__(self) -> str:
        return self.message


class NoSocket(ConnectError):
    """No daemon listens at any of the sockets tried."""


class SocketDenied(ConnectError):
    """The socket is there, but this user may not connect to it."""


class SocketTaken(ConnectError):
    """Another server listens at the socket that was to be opened."""


class ConnectionLost(DomstatsError):
    """The daemon closed the connection, or it broke. `during` names the call that was under way."""

    def __init__(self, message: str, during: str = "") -> None:
        super().__init__(message, during)
        self.message, self.during = message, during

    def __str__(self) -> str:
        return self.message + (f" during {self.during}" if self.during else "")


class DeadlineExceeded(DomstatsError, TimeoutError):
    """A wait ended by its deadline.

    `seconds` is the deadline, `during` what was waited for, `advice` what can be done.
    """

    def __init__(self, during: str, seconds: float, advice: str = "") -> None:
        super().__init__(during, seconds, advice)
        self.during, self.seconds, self.advice = during, seconds, advice

    def __str__(self) -> str:
        text = f"no answer to {self.during} within {self.seconds:.3g} s"
        return f"{text}: {self.advice}" if self.advice else text


class Overloaded(DomstatsError):
    """A server of ours has more to do than it takes on: ask again later."""


class OutOfFiles(DomstatsError):
    """This process, or the whole system, may open no more files. `what` is what was to be opened."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"too many open files: {self.what} cannot be opened; raise the limit (ulimit -n, or LimitNOFILE=)"


class ProtocolError(DomstatsError):
    """Bytes that are not what the protocol says. `offset` is where in the packet or body, `field` what was read."""

    def __init__(self, field: str, offset: int, why: str) -> None:
        super().__init__(field, offset, why)
        self.field, self.offset, self.why = field, offset, why

    def __str__(self) -> str:
        return f"{self.why} (reading {self.field} at byte {self.offset})"


class Truncated(ProtocolError):
    """Fewer bytes than they announce."""


class LimitExceeded(ProtocolError):
    """A length or count over the protocol's limit."""


class BadValue(ProtocolError):
    """A value that has no meaning where it stands, or bytes left over."""


class RemoteError(DomstatsError):
    """libvirt's own report of a failure.

    `code` is its virErrorNumber, `domain` its virErrorDomain (the subsystem), `text` its message. A code with a class
    of its own (below) is raised as that class; every other code as RemoteError.
    """

    def __init__(self, code: int, domain: int, text: str) -> None:
        super().__init__(code, domain, text)
        self.code, self.domain, self.text = code, domain, text

    def __str__(self) -> str:
        return f"libvirt: {self.text} (error {self.code})"


class NoSupport(RemoteError):
    """Code 3: the hypervisor driver has no such call."""


class AccessDenied(RemoteError):
    """Codes 29, 45, 88 and 94: the connection may not do this."""


class ReplyTooLarge(RemoteError):
    """Code 39 with libvirt's text for a reply over 32 MiB: ask for fewer domains at a time."""


class NoDomain(RemoteError):
    """Code 42: no such domain."""


class StatsUnsupported(RemoteError):
    """Code 74: ENFORCE was set and a group asked for is not supported."""


REMOTE_ERRORS: dict[int, type[RemoteError]] = {
    3: NoSupport,
    29: AccessDenied,
    42: NoDomain,
    45: AccessDenied,
    74: StatsUnsupported,
    88: AccessDenied,
    94: AccessDenied,
}
RPC_ERROR = 39
TOO_LARGE_TEXT = "Unable to encode message payload"


def remote_error(code: int, domain: int, text: str) -> RemoteError:
    """The exception for an error libvirt reported."""
    if code == RPC_ERROR and TOO_LARGE_TEXT in text:
        return ReplyTooLarge(code, domain, text)
    return REMOTE_ERRORS.get(code, RemoteError)(code, domain, text)
