"""What a host is served with: servers that answer from what a Collector knows, and the life they share.

life       starting the parts of a server, waiting, stopping them
freshness  the Collector's latest snapshot, asked for anew where it is too old, without what is too old all the same
sockets    unix sockets to listen at
libvirt    a socket that libvirt's own clients take for a daemon's
http       metrics, statistics, a stream of changes and a page, over HTTP
"""
