"""The figures themselves: metrics, their intervals, and differences of them."""
