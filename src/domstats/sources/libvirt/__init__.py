"""libvirt as a source: URIs, the asyncio client, and the source over it.

uri         which socket a URI means, and what to tell the daemon
transport   one socket: the protocol machine between asyncio and those who wait for replies
connection  opening, calling with a deadline, closing
describe    a domain's description, from its XML
elements    XML elements as texts of their own
events      which domain events to ask for, and what they say
stopped     whose QEMU is stopped, as /proc shows it
source      LibvirtSource: domains, snapshots, descriptions and events
"""
