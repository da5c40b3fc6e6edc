"""Models: immutable versions, aliases, layers of registry files, and the artefacts beside them."""

from zoo.registry.resolved import Problem, Resolved
from zoo.registry.schema import Artefact, Dataset, Feature, Parity, ScoreRecord, Target, VersionRecord
from zoo.registry.store import Registry, score_records

__all__ = [
    "Artefact",
    "Dataset",
    "Feature",
    "Parity",
    "Problem",
    "Registry",
    "Resolved",
    "ScoreRecord",
    "Target",
    "VersionRecord",
    "score_records",
]
