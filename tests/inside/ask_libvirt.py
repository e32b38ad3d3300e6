"""What libvirt's own clients make of the bulk statistics. Run by the Python of the hypervisor's system.

On standard input {uri, way, domains (UUIDs, or null for all), stats, flags}; on standard output {error, records}. By
the way "python" the statistics are libvirt-python's, with the names of their Python types; by the way "c" they are the
C library's structures, with the numbers of their wire types. Either way each is [key, type, value].
"""

import ctypes
import json
import sys

import libvirt


class Value(ctypes.Union):
    _fields_ = (
        ("i", ctypes.c_int),
        ("ui", ctypes.c_uint),
        ("l", ctypes.c_longlong),
        ("ul", ctypes.c_ulonglong),
        ("d", ctypes.c_double),
        ("b", ctypes.c_char),
        ("s", ctypes.c_char_p),
    )


class Parameter(ctypes.Structure):
    _fields_ = (("field", ctypes.c_char * 80), ("type", ctypes.c_int), ("value", Value))


class Record(ctypes.Structure):
    _fields_ = (("dom", ctypes.c_void_p), ("params", ctypes.POINTER(Parameter)), ("nparams", ctypes.c_int))


Records = ctypes.POINTER(ctypes.POINTER(Record))


def by_python(asked):
    connection = libvirt.openReadOnly(asked["uri"])
    if asked["domains"] is None:
        answer = connection.getAllDomainStats(asked["stats"], asked["flags"])
    else:
        domains = [connection.lookupByUUIDString(uuid) for uuid in asked["domains"]]
        answer = connection.domainListGetStats(domains, asked["stats"], asked["flags"])
    return [
        {
            "name": domain.name(),
            "uuid": domain.UUIDString(),
            "id": domain.ID(),
            "stats": [[key, type(value).__name__, value] for key, value in stats.items()],
        }
        for domain, stats in answer
    ]


def by_c(asked):
    library = ctypes.CDLL("libvirt.so.0")
    library.virConnectOpenReadOnly.restype = ctypes.c_void_p
    library.virDomainLookupByUUIDString.restype = ctypes.c_void_p
    library.virDomainGetName.restype = ctypes.c_char_p
    connection = ctypes.c_void_p(library.virConnectOpenReadOnly(asked["uri"].encode()))
    records, stats, flags = Records(), ctypes.c_uint(asked["stats"]), ctypes.c_uint(asked["flags"])
    if asked["domains"] is None:
        count = library.virConnectGetAllDomainStats(connection, stats, ctypes.byref(records), flags)
    else:
        found = [library.virDomainLookupByUUIDString(connection, uuid.encode()) for uuid in asked["domains"]]
        domains = (ctypes.c_void_p * (len(found) + 1))(*found, None)
        count = library.virDomainListGetStats(domains, stats, ctypes.byref(records), flags)
    return [c_record(library, records[number].contents) for number in range(count)]


def c_record(library, record):
    domain, uuid = ctypes.c_void_p(record.dom), ctypes.create_string_buffer(37)
    library.virDomainGetUUIDString(domain, uuid)
    return {
        "name": text(library.virDomainGetName(domain)),
        "uuid": text(uuid.value),
        "id": ctypes.c_int(library.virDomainGetID(domain)).value,
        "stats": [c_value(record.params[number]) for number in range(record.nparams)],
    }


def c_value(parameter):
    value = parameter.value
    by_type = {1: "i", 2: "ui", 3: "l", 4: "ul", 5: "d", 6: "b", 7: "s"}
    plain = getattr(value, by_type[parameter.type])
    if parameter.type == 6:
        plain = plain != b"\0"
    if parameter.type == 7:
        plain = text(plain)
    return [text(parameter.field), parameter.type, plain]


def text(raw):
    return raw.decode(errors="surrogateescape")


libvirt.registerErrorHandler(lambda *_: None, None)  # errors are raised, too
request = json.load(sys.stdin)
try:
    answer = {"error": None, "records": {"python": by_python, "c": by_c}[request["way"]](request)}
except libvirt.libvirtError as error:
    code, domain = error.get_error_code(), error.get_error_domain()
    answer = {"error": [code, domain, error.get_error_message()], "records": []}
print(json.dumps(answer))
