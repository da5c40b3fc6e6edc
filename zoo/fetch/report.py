"""What a fetch did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.fetch.plan import Plan


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What was fetched, or would be after a dry run.

    Attributes
    ----------
    plan : granules and files of the catalogues
    files : where each file of the plan is, or would be
    bytes : transferred now; in a dry run, what would be as far as the catalogue says
    skipped : files that were there and verified
    verified : files whose published checksum was compared; of the others the size was
    dry_run : whether nothing was transferred
    """

    plan: Plan
    files: tuple[Path, ...]
    bytes: int
    skipped: int
    verified: int
    dry_run: bool = False
