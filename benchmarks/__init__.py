"""Benchmarks: one file a claim; Antidrome and its peers on the same data, a table, and one JSON object."""
