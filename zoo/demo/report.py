"""The report of the demonstration: what each competitor made of the scene, beside the simulated truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from zoo.explain.importance import held_out_importance
from zoo.explain.response import partial_dependence, sample_stack
from zoo.inputs import open_stack, sample_request
from zoo.maps import read_map
from zoo.model.recipe import Recipe
from zoo.prediction import open_session
from zoo.registry import Registry
from zoo.report.page import Listening, write_report
from zoo.report.scatter import Scatter
from zoo.report.series import StationSeries, station_series
from zoo.simulate import Scene, sample_scene
from zoo.validation import validate_map

if TYPE_CHECKING:
    import xarray as xr

    from zoo.demo.workflow import Demonstration

TITLES = {
    "bilinear": "Bilinear",
    "dbn": "DBN",
    "dbn corrected": "DBN, corrected",
    "rf": "RF",
    "rf corrected": "RF, corrected",
}
AMSR2 = "AMSR-2 LPRM, 10 km"
LABELS = {
    **TITLES,
    **{f"{label} (amsr2)": f"{title} (AMSR-2)" for label, title in TITLES.items()},
    "ridge": "Ridge regression",
    "mean": "Mean of the cells",
}
"""Estimators of the scores as the figures call them."""
SHOWN = ("bilinear", "dbn corrected", "rf corrected")
PLACES = ("S2", "M5", "L6")
"""Stations whose course is drawn: those of Cai et al. 2022."""


def write_demo_report(done: Demonstration, coarse: dict[str, xr.DataArray], *, seed: int = 0) -> Path:
    """Write `done.report` from the maps and scores of a demonstration."""
    scene = Scene.open(sample_scene())
    truth = read_map(scene.truth)
    maps = {
        sensor: {label: read_map(path) for (of, label), path in done.maps.items() if of == sensor} for sensor in coarse
    }
    smap = maps["smap"]
    return write_report(
        done.report,
        title="Shandian River Basin, 25 September 2019: a simulated demonstration",
        simulated=True,
        summary=_summary(),
        maps={
            "SMAP L4, 9 km": coarse["smap"],
            "Truth, 1 km": truth,
            **{TITLES[label]: smap[label] for label in TITLES if label in smap},
        },
        more_maps={
            "Maps from AMSR-2": {
                AMSR2: coarse["amsr2"],
                "Truth, 1 km": truth,
                **{LABELS[f"{label} (amsr2)"]: maps["amsr2"][label] for label in TITLES if label in maps["amsr2"]},
            }
        },
        stations=_stations(scene.stations),
        residuals={f"{TITLES[label]} minus truth": (smap[label], truth) for label in SHOWN},
        scatters=[
            _scatter(done.maps["smap", label], reference, label, name)
            for name, reference in (("stations", scene.stations), ("1 km truth", scene.truth))
            for label in SHOWN
        ],
        series=_series(scene, coarse["smap"], smap),
        scores=done.scores,
        labels=LABELS,
        listening=_listening(done, seed),
        provenance=_provenance(done, scene),
        pictures_beside=True,
    )


def _summary() -> list[str]:
    return [
        "Every file behind this report was simulated by the program itself: the figures show that the whole way "
        "works and what each step does, not how well soil moisture is known anywhere.",
        "A deep belief network (DBN) and a random forest (RF) learned the coarse field of the sensor from "
        "predictors averaged onto its cells, and predicted at 1 km. 'Corrected' maps keep the sensor's mean over every "
        "coarse cell. Bilinear interpolation of the coarse field is what they have to beat; it is scored on the "
        "pixels where the models have a value, although it has no gaps under clouds, and it ends with the coarse "
        "field, some pixels before they do: figures of different n are not of one sample.",
    ]


def _scatter(path: Path, reference: Path, label: str, name: str) -> Scatter:
    pairs = validate_map(path, reference, estimator=label, reference_name=name).pairs
    return Scatter(TITLES[label], f"{name} (simulated)", pairs["observed"], pairs["predicted"])


def _stations(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path).groupby("station")[["lon", "lat", "sm"]].mean().reset_index()


def _series(scene: Scene, coarse: xr.DataArray, maps: dict[str, xr.DataArray]) -> list[StationSeries]:
    """Return one day at three stations; the scene has no other."""
    fields = {"SMAP L4, 9 km": [coarse], **{TITLES[label]: [maps[label]] for label in SHOWN}}
    return station_series(pd.read_parquet(scene.stations), fields, PLACES)


def _listening(done: Demonstration, seed: int) -> Listening:
    """Ask both SMAP models: shuffle on held-out blocks, and change predictors in pixels of the map."""
    from zoo.samples.rows import from_granules

    request = sample_request("smap")
    samples = from_granules(request)
    registry = Registry.open(done.folder / "registry.json")
    importances, responses = {}, {}
    for (sensor, name), trained in done.trained.items():
        if sensor != "smap":
            continue
        importances[TITLES[name]] = held_out_importance(samples, Recipe(name, seed=seed), seed=seed)
        _, session = open_session(registry, str(trained.version.ref))
        pixels = sample_stack(open_stack(request, session.names), session.names, seed=seed)
        responses[TITLES[name]] = partial_dependence(session, pixels)
    return Listening(importances, f"coarse cells of {samples.split} that the model had not seen (5 folds)", responses)


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
