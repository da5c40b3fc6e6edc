"""Maps as COG or NetCDF, window by window, and tables; each appears whole or not at all."""

from zoo.writers.table import write_table
from zoo.writers.target import MapWriter, Window, check_writable, open_writer

__all__ = ["MapWriter", "Window", "check_writable", "open_writer", "write_table"]
