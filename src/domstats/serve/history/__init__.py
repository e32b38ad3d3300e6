"""The last hour of every guest, in memory: derived figures and plain values, within a fixed number of bytes.

fields    which figures and values are kept, and which series a record has of them
figures   the derived figures of a snapshot, all in one array
rings     points of many tracks: the newest as they came, older ones combined
store     tracks in blocks of rings, within a budget of bytes
guests    which series of a guest stands in which lane of which track
history   a snapshot taken in, series given out
answers   /v1/history: what may be asked, and the JSON that answers
following a history that follows a collector
"""
