"""The report of the demonstration: what each competitor made of the scene, beside the simulated truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from zoo.maps import read_map
from zoo.report.figures import Scatter
from zoo.report.html import write_report
from zoo.simulate import Scene, sample_scene
from zoo.validation import validate_map

if TYPE_CHECKING:
    import xarray as xr

    from zoo.demo import Demonstration

TITLES = {
    "bilinear": "bilinear",
    "dbn": "DBN",
    "dbn corrected": "DBN, corrected",
    "rf": "RF",
    "rf corrected": "RF, corrected",
}


def write_demo_report(done: Demonstration, coarse: dict[str, xr.DataArray]) -> Path:
    """Write `done.report` from the maps and scores of a demonstration."""
    scene = Scene.open(sample_scene())
    truth = read_map(scene.truth)
    maps = {label: read_map(path) for (sensor, label), path in done.maps.items() if sensor == "smap"}
    scatters = [
        _scatter(done.maps["smap", label], reference, label, name)
        for name, reference in (("stations", scene.stations), ("1 km truth", scene.truth))
        for label in ("bilinear", "dbn corrected", "rf corrected")
    ]
    amsr2 = {
        f"{TITLES[label]} (AMSR-2)": read_map(path) for (sensor, label), path in done.maps.items() if sensor == "amsr2"
    }
    return write_report(
        done.report,
        title="Shandian River Basin, 25 September 2019: a simulated demonstration",
        simulated=True,
        summary=[
            "Every file behind this report was simulated by the program itself: the figures show that the whole way "
            "works and what each step does, not how well soil moisture is known anywhere.",
            "A deep belief network (DBN) and a random forest (RF) learned the coarse field of the sensor from "
            "predictors averaged onto its cells, and predicted at 1 km. 'Corrected' maps keep the sensor's mean over every "
            "coarse cell. Bilinear interpolation of the coarse field is what they have to beat; it is scored on the "
            "pixels where the models have a value, although it has no gaps under clouds.",
        ],
        maps={
            "SMAP L4, 9 km": coarse["smap"],
            **{TITLES[label]: array for label, array in maps.items()},
            "Truth, 1 km": truth,
            "AMSR-2 LPRM, 10 km": coarse["amsr2"],
            **amsr2,
        },
        stations=_stations(scene.stations),
        residuals={
            f"{TITLES[label]} minus truth": (maps[label], truth)
            for label in ("bilinear", "dbn corrected", "rf corrected")
        },
        scatters=scatters,
        scores=done.scores,
        provenance=_provenance(done, scene),
        pictures_beside=True,
    )


def _scatter(path: Path, reference: Path, label: str, name: str) -> Scatter:
    pairs = validate_map(path, reference, estimator=label, reference_name=name).pairs
    return Scatter(TITLES[label], f"{name} (simulated)", pairs["observed"], pairs["predicted"])


def _stations(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path).groupby("station")[["lon", "lat", "sm"]].mean().reset_index()


def _provenance(done: Demonstration, scene: Scene) -> dict[str, str]:
    found = {
        "scene": f"simulated, version {scene.description['version']}, seed {scene.description['seed']}",
        "area (west south east north)": str(scene.area),
        "date": scene.date.isoformat(),
    }
    for (sensor, _), trained in done.trained.items():
        record = trained.version.record
        found[f"{trained.version.ref}"] = (
            f"{record.architecture} ({record.preset}) on {sensor}, {record.dataset.rows} coarse cells, "
            f"{len(record.features)} predictors, dataset {record.dataset.fingerprint[:12]}"
        )
    return found
