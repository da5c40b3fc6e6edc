"""Fetch granules of a place and a date: from NASA's Earthdata (CMR) and from a STAC catalogue.

`plan` asks the catalogues and names the files; `fetch` brings those that are not there yet, whole and verified. What is
planned is what the readers choose: the sensor's granules of the day, the composites that contain it, the clearest
Landsat day near it, the elevation tiles.
"""

from zoo.fetch.plan import Plan, plan
from zoo.fetch.report import FetchReport
from zoo.fetch.run import fetch

__all__ = ["FetchReport", "Plan", "fetch", "plan"]
