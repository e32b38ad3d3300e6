"""The simulated host, `sim:///`: believable guests whose values are a function of a seed and the clock.

For tests, benchmarks and documentation, where there is no hypervisor or no hypervisor of the wanted size.

uri         what a URI's parameters may be
guests      who the guests are; flavours, dice
program     the formulas of all their values; behaviour writes them, clocks drive them, keys and kvm say which there are
fleet       guests to which nothing happens; selection says what a poll has of them
script      what is to happen, read from a file
history     who is there at any time of a script: lives, and the deeds that end one and begin the next
records     what lives show; descriptions, what their definitions say
happenings  telling of events as they happen
monitors    who waits for whom
world       guests that live by a script
source      SimSource: a fleet or a world as a source
"""
