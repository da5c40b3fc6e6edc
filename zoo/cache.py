"""Where things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return `SMZOO_CACHE_DIR`, else the platform's cache folder of this program."""
    import platformdirs

    given = os.environ.get("SMZOO_CACHE_DIR")
    return Path(given) if given else platformdirs.user_cache_path("soil-moisture-zoo")
