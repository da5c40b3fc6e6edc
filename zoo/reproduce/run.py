"""`zoo reproduce cai2022`: train the paper's models, predict its maps, and set every printed number beside ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from zoo.errors import UsageError, ZooError
from zoo.inputs import Request, open_coarse
from zoo.prediction import open_session, predict_map
from zoo.progress import task as progress
from zoo.registry import Registry, Resolved
from zoo.report.html import Report, Section, render
from zoo.report.scores import Cell, Table
from zoo.reproduce import printed
from zoo.reproduce.figures import Drawn, reproduced_figures
from zoo.reproduce.models import FOLDS, Outcome, outcome_of, recipes, train_model, trial_recipe, try_settings
from zoo.reproduce.scenes import Scenes, given_scenes, simulated_scenes
from zoo.reproduce.search import search
from zoo.reproduce.tables import Estimate, Findings, Reproduced, reproduced_tables
from zoo.reproduce.tasks import Deadline, Task, usable_processes, work_through
from zoo.samples.rows import Samples, from_granules
from zoo.writers import write_table
from zoo.writers.target import replacing

__all__ = ["Reproduction", "reproduce"]

RESERVE = 40.0
"""Seconds that tables, figures and report take, kept back from the search."""
NAMES = {
    "SMD-DBN": "smd-dbn",
    "SMD-RF": "smd-rf",
    "DBN, default": "smd-dbn-default",
    "SMD-DBN (AMSR-2)": "smd-dbn-amsr2",
}


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What was made.

    Attributes
    ----------
    folder : where report, tables, figures, maps and registry lie
    report : the HTML report
    tables, figures : all of them, in the order of the paper
    simulated : whether the numbers are of simulated data
    trials : rows of Table 3 that are trained, of nine
    problems : what is missing, in words
    """

    folder: Path
    report: Path
    tables: list[Reproduced]
    figures: list[Drawn]
    simulated: bool
    trials: int
    problems: list[str]


def reproduce(
    folder: Path,
    *,
    data: Sequence[Path] = (),
    stations: Path | None = None,
    budget: float | None = 10.0,
    epochs_scale: float = 1.0,
    seed: int = 0,
    processes: int | None = None,
    scenes: Scenes | None = None,
) -> Reproduction:
    """Make all tables and figures of Cai et al. 2022 into a folder; what an earlier run left there is used again.

    Parameters
    ----------
    folder : new, or of an earlier run
    data : granules of the five dates; the simulated sample scene and its seasons without them
    stations : in-situ measurements for `data`
    budget : minutes; rows of Table 3 that would end later are left to the next run. None trains all
    epochs_scale : multiplies the printed epochs
    seed : of the models
    processes : trainings at a time; two at most by default
    scenes : the dates already opened, instead of `data`

    Raises
    ------
    UsageError
        If an option is out of range.
    DataError
        If SMAP or a predictor of 25 September 2019 is missing.
    """
    _check(budget, epochs_scale)
    deadline = Deadline(None if budget is None else max(0.0, 60 * budget - RESERVE))
    opened = scenes or (given_scenes(data, stations) if data else simulated_scenes())
    folder.mkdir(parents=True, exist_ok=True)
    many = usable_processes() if processes is None else processes
    found = _findings(folder, opened, epochs_scale, seed, deadline, many)
    tables, drawn = reproduced_tables(found), reproduced_figures(found)
    done = Reproduction(
        folder,
        folder / "report.html",
        tables,
        drawn,
        opened.simulated,
        len(found.trials),
        [*opened.problems, *(text for key, text in found.problems.items() if key not in ("in situ", "scale"))],
    )
    _write(done, found)
    return done


def _check(budget: float | None, scale: float) -> None:
    if budget is not None and budget < 0:
        msg = f"--budget {budget:g} is negative; give minutes, for example 10"
        raise UsageError(msg)
    if not 0 < scale <= 10:
        msg = f"--epochs-scale {scale:g} is out of range; give a factor above 0 and at most 10, for example 0.5"
        raise UsageError(msg)


def _findings(folder: Path, scenes: Scenes, scale: float, seed: int, deadline: Deadline, processes: int) -> Findings:
    """Train, predict and search."""
    problems = _told(scenes, scale)
    samples = replace(from_granules(scenes.training.request), coarse=None)
    amsr2, coarse = _amsr2(scenes.amsr2, problems)
    registry = folder / "registry.json"
    results = _trained(samples, amsr2, registry, scale, seed, deadline, processes)
    opened = Registry.open(registry)
    plainest = results.pop("plainest")
    models = {name: opened.resolve(str(ref)) for name, ref in results.items()}
    maps = _predicted(folder, opened, scenes, models)
    trials = search(
        samples,
        folder / "table-3-search.json",
        scale=scale,
        seed=seed,
        deadline=deadline,
        processes=processes,
        known={len(printed.TABLE_3) - 1: outcome_of(samples, *open_session(opened, str(results["SMD-DBN"])))},
    )
    models = {name: opened.resolve(str(ref)) for name, ref in results.items()}
    return Findings(scenes, models, maps, coarse, trials, plainest, problems)


def _told(scenes: Scenes, scale: float) -> dict[str, str]:
    problems = {}
    if scale != 1:
        problems["scale"] = f"All epochs were multiplied by {scale:g}."
    if scenes.stations is None:
        problems["in situ"] = "no stations were given; add --stations FILE"
    return problems


def _amsr2(request: Request, problems: dict[str, str]) -> tuple[Samples | None, Any]:
    """Open AMSR-2 and its rows; without it, tell why."""
    try:
        return replace(from_granules(request), coarse=None), open_coarse(request)
    except ZooError as error:
        problems["AMSR-2"] = f"AMSR-2: {error}"
        return None, None


def _trained(
    samples: Samples,
    amsr2: Samples | None,
    registry: Path,
    scale: float,
    seed: int,
    deadline: Deadline,
    processes: int,
) -> dict[str, Any]:
    """Train the models side by side; a reference by label, and the outcome of the plainest reading."""
    how = recipes(scale, seed)
    cost = (FOLDS + 1) * scale
    plain = trial_recipe(printed.TABLE_3[-1], scale, seed, chosen={})
    tasks = [Task("SMD-DBN", train_model, (samples, how["SMD-DBN"], registry, NAMES["SMD-DBN"]), cost)]
    if amsr2 is not None:
        label = "SMD-DBN (AMSR-2)"
        tasks.append(Task(label, train_model, (amsr2, how["SMD-DBN"], registry, NAMES[label]), cost))
    tasks.append(Task("plainest", _plainest, (samples, plain, registry.parent / "plainest.json"), scale))
    tasks += [
        Task(name, train_model, (samples, how[name], registry, NAMES[name]), 0) for name in ("SMD-RF", "DBN, default")
    ]
    without_end = Deadline(None)
    with progress("training the models", len(tasks)) as advance:
        results = {}
        for key, result in work_through(tasks, without_end, processes):
            results[str(key)] = result
            advance(1)
    deadline.pace = without_end.pace
    return {task.key: results[str(task.key)] for task in tasks}  # type: ignore[misc]


def _plainest(samples: Samples, recipe: Any, kept: Path) -> Outcome:
    """Train Table 4 in its plainest reading, once a folder."""
    key = json.dumps([samples.dataset.fingerprint, recipe.seed, dict(recipe.parameters)], sort_keys=True)
    if kept.is_file() and (found := json.loads(kept.read_text())).get("key") == key:
        return Outcome(**found["outcome"])
    outcome = try_settings(samples, recipe, folds=None)
    with replacing(kept) as temporary:
        temporary.write_text(json.dumps({"key": key, "outcome": asdict(outcome)}, indent=2) + "\n")
    return outcome


def _predicted(
    folder: Path, registry: Registry, scenes: Scenes, models: dict[str, Resolved]
) -> dict[tuple[str, date], Path]:
    """Predict every map: the network on all dates, the others on the training date."""
    maps = {}
    (folder / "maps").mkdir(exist_ok=True)
    for name, model in models.items():
        version, session = open_session(registry, str(model.ref))
        for occasion in scenes.occasions:
            if occasion.stack is None or (name != "SMD-DBN" and occasion.day != printed.TRAINED_ON):
                continue
            path = folder / "maps" / f"{NAMES[name]}_{occasion.day}.tif"
            tags = {
                "time_coverage_start": f"{occasion.day}T00:00:00Z",
                "time_coverage_end": f"{occasion.day}T23:59:59Z",
            }
            predict_map(version, session, occasion.stack, path, allow_extra=True, tags=tags)
            maps[name, occasion.day] = path
    return maps


def _write(done: Reproduction, found: Findings) -> None:
    """Write report, tables as CSV and everything as JSON."""
    for table in done.tables:
        write_table(done.folder / f"table-{table.number}.csv", table.flat())
    render(_report(done, found), done.report, pictures_beside=True)
    with replacing(done.folder / "reproduction.json") as temporary:
        temporary.write_text(json.dumps(payload(done), indent=2, default=str, allow_nan=False) + "\n")


def _report(done: Reproduction, found: Findings) -> Report:
    sections = [Section("What this is", _summary(done))]
    parts: list[Reproduced | Drawn] = [*done.tables, *done.figures]
    for part in parts:
        if isinstance(part, Reproduced):
            sections.append(Section(part.title, part.remarks, tables=[part.table()]))
        else:
            told = [*part.remarks, *([part.problem] if part.problem else [])]
            sections.append(Section(part.title, told, [part.picture] if part.picture else []))
    sections.append(Section("Provenance", tables=[_provenance(found)]))
    return Report("Cai et al. 2022, made anew", sections, done.simulated)


def _summary(done: Reproduction) -> list[str]:
    told = [
        f"Printed values: {printed.SOURCE}. Values found here have their sample size, and an interval where one exists."
    ]
    if done.simulated:
        told.append(
            "No data were given: the values found here are of a simulated landscape in the same place, its season "
            "moved to each date by plain annual curves, without frost or snow. They show that the whole way works and "
            "how the methods compare on that landscape; they neither confirm nor refute a printed value."
        )
    told += [f"Missing: {problem}" for problem in done.problems]
    return told


def _provenance(found: Findings) -> Table:
    rows = []
    for label, model in found.models.items():
        data = model.record.dataset
        about = f"{label}: dataset {data.fingerprint[:12]}, {data.rows} cells, seed {model.record.seed}"
        rows.append([Cell(str(model.ref)), Cell(about)])
    rows += [
        [Cell(one.day.isoformat()), Cell(", ".join(one.stack.granules) if one.stack else one.problem)]
        for one in found.scenes.occasions
    ]
    return Table("What this was made from", ["item", "value"], rows, numeric=False)


def payload(done: Reproduction) -> dict[str, Any]:
    """Return tables and figures as records for programs."""
    return {
        "paper": printed.SOURCE,
        "simulated": done.simulated,
        "artifacts": {"report": str(done.report), "folder": str(done.folder)},
        "tables": {
            str(table.number): {
                "title": table.title,
                "remarks": list(table.remarks),
                "rows": [{key: _plain(value) for key, value in row.items()} for row in table.rows],
            }
            for table in done.tables
        },
        "figures": {
            str(one.number): {
                "title": one.title,
                "remarks": list(one.remarks),
                "file": f"{done.report.stem}-{one.picture.name}.png" if one.picture else None,
                "problem": one.problem or None,
            }
            for one in done.figures
        },
        "table_3_rows_trained": done.trials,
        "problems": done.problems,
    }


def _plain(value: Any) -> Any:
    return asdict(value) if isinstance(value, Estimate) else value
