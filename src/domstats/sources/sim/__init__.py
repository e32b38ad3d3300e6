"""The simulated host, `sim:///`: believable guests whose values are a function of a seed and the clock.

For tests, benchmarks and documentation, where there is no hypervisor or no hypervisor of the wanted size.
"""
