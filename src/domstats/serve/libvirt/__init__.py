"""A unix socket that libvirt's own clients take for a daemon's: read-only, and answered from what a Collector knows.

server     the socket, its clients, and looking after them
client     one connection: bounded both ways, at most five calls at a time
session    what a connection says of itself: authentication, opening, keepalive, events it asks for
events     who asked for which events, and telling them
answers    the table of the calls that are answered from the snapshot
lists      who is there: lists and look-ups
figures    the statistics calls about one domain
bulk       the bulk statistics, with libvirt's filters and flags; each reply is encoded once for all clients
behind     what is asked when the snapshot does not know: a daemon, or for a simulated host what is made up
daemon     the daemon behind: read-only, bounded in time, kept for a while
made       a simulated host's XML, capabilities and the like
refusals   what writes, and what is no call
"""
