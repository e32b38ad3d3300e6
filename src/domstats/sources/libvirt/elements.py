"""An element cut out of an XML document: text that stands alone, with the prefixes it had there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import NamedTuple

SEPARATOR = "\x1f"
"""Between the parts of a name that expat gives: URI, local name, prefix. No XML document can contain it."""
_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_VALUE = _IN_TEXT | str.maketrans({'"': "&quot;", "\t": "&#9;", "\n": "&#10;"})
"""A parser makes blanks of tabs and line feeds in a value, so they are written by number."""
_XML = "xml"
"""The prefix that is always there."""


class Name(NamedTuple):
    """A name of an element or attribute."""

    namespace: str
    """Empty for none, as is the prefix."""
    local: str
    prefix: str

    @property
    def text(self) -> str:
        """As it stands in the document."""
        return f"{self.prefix}:{self.local}" if self.prefix else self.local


def split_name(name: str) -> Name:
    """A name as expat gives it."""
    match name.split(SEPARATOR):
        case [namespace, local, prefix]:
            return Name(namespace, local, prefix)
        case [namespace, local]:
            return Name(namespace, local, "")
    return Name("", name, "")


class ElementText:
    """Writes an element as a parser goes through it. Comments are left out.

    What was declared around the element and is used in it is declared by the element itself.
    """

    def __init__(self, namespaces: Sequence[tuple[str, str]], declared: int) -> None:
        """`namespaces`: prefixes and URIs, kept up to date by the parser; `declared`: how many by this element."""
        self._namespaces = namespaces
        self._around = len(namespaces) - declared
        self._used: dict[str, str] = {}  # of those around
        self._head = ""  # what its start tag begins with
        self._rest = StringIO()
        self._in_tag = False

    def start(self, name: str, attributes: Mapping[str, str], declared: int) -> None:
        """An element begins, this one first; `declared`: how many of the namespaces are declared by it."""
        self._finish_tag(">")
        if self._head:
            self._rest.write(f"<{self._written(name)}")
        else:
            self._head = f"<{self._written(name)}"
        for prefix, uri in self._namespaces[len(self._namespaces) - declared :]:
            self._rest.write(_declaration(prefix, uri))
        for key, value in attributes.items():
            self._rest.write(f' {self._written(key)}="{value.translate(_IN_VALUE)}"')
        self._in_tag = True

    def characters(self, data: str) -> None:
        """Text comes."""
        self._finish_tag(">")
        self._rest.write(data.translate(_IN_TEXT))

    def end(self, name: str) -> None:
        """An element ends."""
        if self._in_tag:
            self._finish_tag("/>")
        else:
            self._rest.write(f"</{self._written(name)}>")

    def text(self) -> str:
        """The element, when it has ended."""
        declarations = (_declaration(prefix, uri) for prefix, uri in sorted(self._used.items()))
        return self._head + "".join(declarations) + self._rest.getvalue()

    def _finish_tag(self, end: str) -> None:
        if self._in_tag:
            self._rest.write(end)
            self._in_tag = False

    def _written(self, name: str) -> str:
        parts = split_name(name)
        if parts.namespace and parts.prefix != _XML:
            within = (prefix for prefix, _ in self._namespaces[self._around :])
            if parts.prefix not in within:
                self._used[parts.prefix] = parts.namespace
        return parts.text


def _declaration(prefix: str, uri: str) -> str:
    attribute = f"xmlns:{prefix}" if prefix else "xmlns"
    return f' {attribute}="{uri.translate(_IN_VALUE)}"'
