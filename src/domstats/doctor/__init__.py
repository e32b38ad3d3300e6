"""What can be had of a host, and what is missing for the rest: what `domstats doctor` finds.

findings   a verdict on each thing that was tried, and the report of all
within     trying something with a deadline, so that what blocks or fails spoils nothing else
sockets    libvirt's sockets: which are there, and which may be opened
daemon     the daemon's versions, and the groups it knows
guests     the guests: who does not answer, whose balloon has no statistics
features   what the running kernel can tell
rights     what this process may see
processes  the guests as the kernel shows them
figures    which figures can be had from where, for how many guests
asking     asking the host that a URI names
examine    all of it, at the same time
text       the report for people
document   the report for programs
"""
