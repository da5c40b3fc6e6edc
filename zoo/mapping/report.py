"""The report of one map: the coarse field, the map, its scores, and the commands that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.maps import read_map
from zoo.report.figures import Scatter
from zoo.report.page import write_report
from zoo.types import Area, Score
from zoo.validation import CELLS_SEEN, CONSISTENCY, validate_map

if TYPE_CHECKING:
    import pandas as pd

    from zoo.registry import Resolved
    from zoo.stack.folder import StackFolder


def write_map_report(
    path: Path,
    map_path: Path,
    stack: StackFolder,
    sensor: str,
    version: Resolved,
    scores: Sequence[Score],
    *,
    label: str,
    commands: Mapping[str, str],
    reference: Path | None = None,
) -> Path:
    """Write the report of a map that `zoo map` made.

    Parameters
    ----------
    path : .html file
    map_path, stack, sensor, version : the map, and what it was made from
    scores : out of fold at coarse cells, then of the map
    label : how the map is called in the scores
    commands : the command of each step
    reference : stations or a raster that the map was scored against
    """
    coarse, _ = stack.twin(sensor)
    fine = read_map(map_path)
    product = str(coarse.attrs["product"])
    matched = None if reference is None else validate_map(map_path, reference, estimator=label).pairs
    record = version.record
    return write_report(
        path,
        title=f"Soil moisture at 1 km, {Area(*stack.record.area)}, {stack.record.date}",
        simulated=stack.record.simulated or record.simulated,
        summary=_summary(stack, sensor, version, scores),
        maps={f"{product}, coarse": coarse, f"{version.ref}, {label}": fine},
        scatters=[] if matched is None else [_scatter(matched, reference, label)],
        stations=_stations(matched),
        scores=[score for score in scores if score.split not in (CELLS_SEEN, CONSISTENCY)],
        provenance={
            "model": str(version.ref),
            "downscaler": f"{record.architecture} ({record.preset or 'default'})",
            "trained on": f"{record.dataset.rows} rows, dataset {record.dataset.fingerprint[:12]}",
            "coarse field": stack.coarse_record(sensor).granules,
            **{f"layer {name}": ", ".join(layer.granules) for name, layer in stack.record.layers.items()},
            **{f"step {name}": command for name, command in commands.items()},
        },
    )


def _summary(stack: StackFolder, sensor: str, version: Resolved, scores: Sequence[Score]) -> list[str]:
    field = stack.coarse_record(sensor)
    here = set(field.granules) <= set(version.record.dataset.granules)
    lines = [
        f"{version.ref} ({version.record.architecture}) brought {field.products[0]} of {stack.record.date} from its "
        f"coarse cells to a grid of {stack.record.grid.shape[0]} x {stack.record.grid.shape[1]} pixels."
    ]
    if any("out of fold" in score.split for score in scores):
        lines.append(
            "Scores out of fold are of coarse cells that the model had not seen; they say how well the predictors "
            "explain the coarse field, not how well soil moisture is known at 1 km."
        )
    elif not here:
        lines.append("The model was trained elsewhere or on another day: its own scores do not speak of this map.")
    seen = next(
        (score for score in scores if score.split in (CELLS_SEEN, CONSISTENCY) and score.metric == "rmse"), None
    )
    if seen is not None and seen.value is not None:
        lines.append(
            f"Averaged back over {seen.n} coarse cells the map differs from that field by {seen.value:.4f} m³ m⁻³ "
            "(RMSE). The map was made from the field or corrected to it: this shows consistency and no skill."
        )
    lines.append("Only an independent reference at 1 km says how good the map is there.")
    return lines


def _scatter(matched: pd.DataFrame, reference: Path | None, label: str) -> Scatter:
    return Scatter(label, reference.name if reference else "", matched["observed"], matched["predicted"])


def _stations(matched: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return places and values of stations, if the reference has any."""
    if matched is None or not {"station", "lon", "lat"} <= set(matched.columns):
        return None
    return matched[["lon", "lat"]].assign(sm=matched["observed"])
