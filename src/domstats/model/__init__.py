"""Statistics as values: typed parameters, layouts, snapshots, columns, rates. No I/O and no clock."""
