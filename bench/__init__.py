"""Benchmarks: domstats beside libvirt's own tools, peers and the physical limit, measured in one run.

`make bench` runs them with pytest-benchmark and prints a table of ratios, which is what holds on a noisy machine;
absolute times do not. The table is written to build/bench.md, the raw figures to build/bench.json.
"""
