"""Maps as COG or NetCDF, window by window, and tables; each appears whole or not at all."""

from zoo.writers.bands import Band, as_bands
from zoo.writers.table import write_table
from zoo.writers.target import MapWriter, Window, check_writable, open_writer

__all__ = ["Band", "MapWriter", "Window", "as_bands", "check_writable", "open_writer", "write_table"]
