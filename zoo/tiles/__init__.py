"""A map window by window, read, predicted and written side by side."""
