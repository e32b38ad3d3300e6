"""Snapshots as bytes, one module a format; each has `encode(snapshot, options)`. See `registry`."""
