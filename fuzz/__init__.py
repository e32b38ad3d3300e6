"""Fuzz targets: bytes in, a value or a documented error out. `make fuzz SECONDS=60` runs them with atheris."""
