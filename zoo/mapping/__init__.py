"""`zoo map`: from a place and a day to a map with its report, in steps that are remembered."""
