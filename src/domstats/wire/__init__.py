"""libvirt's RPC protocol with no I/O: bytes in, values out, in both roles. Nothing here meets a socket or a clock."""
