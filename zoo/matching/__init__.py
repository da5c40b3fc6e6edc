"""Maps and references brought together: pairs in space, time and depth, and what is said of them."""
