"""The whole job on the simulated sample scene: simulate, train, export, predict, validate, report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.inputs import Request, open_coarse, open_stack, sample_request
from zoo.interpolation import interpolate
from zoo.model.recipe import Recipe
from zoo.prediction import Prediction, open_session, predict_map
from zoo.registry import Registry
from zoo.samples.rows import from_granules
from zoo.training import Trained, train
from zoo.types import Score
from zoo.validation import validate_map

if TYPE_CHECKING:
    import xarray as xr

DOWNSCALERS = ("dbn", "rf")


@dataclass(slots=True)
class Demonstration:
    """What the demonstration made.

    Attributes
    ----------
    folder : where everything lies
    report : the HTML report
    trained : trainings by sensor and downscaler
    maps : predicted maps by sensor and label
    scores : all scores: cross-validation, then maps against the coarse field, the stations and the truth
    """

    folder: Path
    report: Path
    trained: dict[tuple[str, str], Trained] = field(default_factory=dict)
    maps: dict[tuple[str, str], Path] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)


def demonstrate(folder: Path, *, seed: int = 0) -> Demonstration:
    """Run the main job and write maps, registry and report into `folder`."""
    from zoo.demo.report import write_demo_report

    folder.mkdir(parents=True, exist_ok=True)
    done = Demonstration(folder, folder / "report.html")
    registry = Registry.open(folder / "registry.json")
    coarse: dict[str, xr.DataArray] = {}
    for sensor, downscalers in (("smap", DOWNSCALERS), ("amsr2", DOWNSCALERS[:1])):
        request = sample_request(sensor)
        coarse[sensor] = open_coarse(request)
        samples = from_granules(request)
        for name in downscalers:
            model = f"smd-{name}" if sensor == "smap" else f"smd-{name}-{sensor}"
            trained = train(samples, Recipe(name, folds=5, seed=seed), registry, model)
            done.trained[sensor, name] = trained
            done.scores += [_of_sensor(score, name, sensor) for score in trained.scores]
            _predict(done, registry, request, coarse[sensor], trained, sensor, name)
        _interpolate(done, request, coarse[sensor], sensor)
        _validate(done, registry, request, coarse[sensor], sensor)
    write_demo_report(done, coarse, seed=seed)
    return done


def _of_sensor(score: Score, name: str, sensor: str) -> Score:
    """Label a score of cross-validation like the maps of its sensor."""
    return replace(score, estimator=f"{name} ({sensor})") if sensor != "smap" and score.estimator == name else score


def _predict(
    done: Demonstration,
    registry: Registry,
    request: Request,
    coarse: xr.DataArray,
    trained: Trained,
    sensor: str,
    name: str,
) -> list[Prediction]:
    """Predict twice: as the model says, and corrected to the sensor's cell means."""
    version, session = open_session(registry, str(trained.version.ref))
    stack = open_stack(request, session.names)
    day = request.selection.date.isoformat()
    tags = {"time_coverage_start": f"{day}T00:00:00Z", "time_coverage_end": f"{day}T23:59:59Z"}
    made = []
    for label, field_ in ((name, None), (f"{name} corrected", coarse)):
        path = done.folder / f"{sensor}_{label.replace(' ', '_')}_{day}.tif"
        made.append(predict_map(version, session, stack, path, coarse=field_, tags=tags))
        done.maps[sensor, label] = path
    return made


def _interpolate(done: Demonstration, request: Request, coarse: xr.DataArray, sensor: str) -> None:
    """Write the bilinear interpolation of the coarse field as a map like the others, of the same pixels."""
    from zoo.maps import read_map
    from zoo.prediction import windows
    from zoo.writers import open_writer

    fine = interpolate(coarse, request.target).where(read_map(done.maps[sensor, "dbn"]).notnull())
    path = done.folder / f"{sensor}_bilinear_{request.selection.date.isoformat()}.tif"
    tags = {"time_coverage_start": f"{request.selection.date}T00:00:00Z", "simulated": "true"}
    with open_writer(path, request.target, tags=tags) as writer:
        for window in windows(request.target.shape.yx):
            writer.write(window, fine.to_numpy()[window])
    done.maps[sensor, "bilinear"] = path


def _validate(done: Demonstration, registry: Registry, request: Request, coarse: xr.DataArray, sensor: str) -> None:
    """Score every map of a sensor against the coarse field, the stations and the simulated truth."""
    from zoo.simulate import Scene

    scene = Scene.open(request.places[0])
    references: dict[str, tuple[xr.DataArray | Path, bool]] = {
        f"{coarse.attrs['product']} (simulated)": (coarse, True),
        "stations (simulated)": (scene.stations, False),
        "1 km truth (simulated)": (scene.truth, False),
    }
    for (of_sensor, label), path in done.maps.items():
        if of_sensor != sensor:
            continue
        for name, (reference, seen) in references.items():
            if seen and label.endswith("corrected"):
                continue  # it was made equal to this reference
            estimator = label if sensor == "smap" else f"{label} ({sensor})"
            result = validate_map(path, reference, estimator=estimator, reference_name=name, seen=seen)
            done.scores += result.scores
            if (sensor, label) in done.trained:
                registry.append_scores(done.trained[sensor, label].version.ref, result.scores)
