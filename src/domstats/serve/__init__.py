"""What a host is served with: servers that answer from what a Collector knows, and the life they share.

config     the file that says what to serve, and where a mistake in it is
settings   what the parts are told by it
process    signals, systemd, and reading the file anew
service    the parts that run, and how others take their place
life       starting the parts of a server, waiting, stopping them
listeners  the sockets that are listened at, which outlive the parts
sockets    unix sockets, and those that systemd passes
notify     what systemd is told
memory     having the C library give back what has been freed
logs       the log: plain or JSON, nothing said too often
figures    what /metrics says of the process
freshness  the Collector's latest snapshot, asked for anew where it is too old, without what is too old all the same
history    the last hour of every guest
libvirt    a socket that libvirt's own clients take for a daemon's
http       metrics, statistics, a stream of changes and a page, over HTTP
"""
