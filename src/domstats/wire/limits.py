"""What lists and strings on the wire may hold. Source: libvirt's remote_protocol.x."""

from __future__ import annotations

RECORDS_MAX = 16_384
"""REMOTE_DOMAIN_LIST_MAX: domains in a request, records in a reply."""
PARAMS_MAX = 262_144
"""REMOTE_CONNECT_GET_ALL_DOMAIN_STATS_MAX, since libvirt 3.4.0 (4,096 before): parameters of one record."""
NAME_MAX = 79
"""VIR_TYPED_PARAM_FIELD_LENGTH is 80 with its terminator; C clients refuse the whole reply over a longer name."""
STRING_MAX = 4_194_304
"""REMOTE_STRING_MAX: bytes of any one string."""

RECORD_MIN = 4 + 16 + 4 + 4
"""Bytes of the smallest record: an empty name, UUID, id and no parameters."""
PARAM_MIN = 4 + 4 + 4
"""Bytes of the smallest parameter: an empty name, its type and a 32-bit value."""
