"""A soak: the whole service for a long time, with guests that misbehave and clients that come and go.

script     what happens to the guests
clients    who asks
looking    looks at what the service holds, by /proc
gauges     whether that grows
__main__   starts all of it, and judges
"""
