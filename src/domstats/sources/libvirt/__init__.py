"""libvirt as a source: URIs, the asyncio client, and the source over it.

uri         which socket a URI means, and what to tell the daemon
transport   one socket: the protocol machine between asyncio and those who wait for replies
connection  opening, calling with a deadline, closing
source      LibvirtSource: domains and snapshots
"""
