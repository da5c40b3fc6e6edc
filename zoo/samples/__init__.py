"""Coarse cells, or the rows of a table, as training rows, and what they came from."""
