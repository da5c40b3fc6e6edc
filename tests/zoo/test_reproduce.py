"""The reproduction of the paper: complete, resumable, honest about simulated data, true to what is printed."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import replace
from pathlib import Path

import html5lib
import pandas as pd
import pytest

from zoo.errors import UsageError
from zoo.model.recipe import Recipe
from zoo.registry import Registry
from zoo.reproduce import models, printed, run, search
from zoo.reproduce.models import Outcome
from zoo.reproduce.run import Reproduction, reproduce
from zoo.reproduce.scenes import Scenes
from zoo.reproduce.tasks import Deadline, Task, work_through
from zoo.samples.rows import from_granules

TINY = 0.003


@pytest.fixture(scope="module")
def done(scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    folder = tmp_path_factory.mktemp("cai2022")
    return reproduce(folder, scenes=scenes, budget=0, epochs_scale=TINY, processes=1)


def test_every_table_and_figure_is_there(done: Reproduction) -> None:
    assert [table.number for table in done.tables] == [2, 3, 4, 5, 6, 7, 8]
    assert [figure.number for figure in done.figures] == [5, 6, 7, 8, 9, 10, 11]
    assert [figure.problem for figure in done.figures] == [""] * 7
    for number in range(2, 9):
        assert (done.folder / f"table-{number}.csv").is_file()
    for number in range(5, 12):
        for suffix in ("png", "svg"):
            assert (done.folder / f"report-figure-{number}.{suffix}").stat().st_size > 1000
    text = done.report.read_text("utf-8")
    for part in (*done.tables, *done.figures):
        assert f">{part.title}</h2>" in text


def test_each_table_has_a_row_for_every_printed_one(done: Reproduction) -> None:
    rows = {table.number: table.rows for table in done.tables}
    assert {row["factor"]: row["printed R"] for row in rows[2]} == {k: v for k, (_, v) in printed.TABLE_2.items()}
    assert [row["printed RMSE"] for row in rows[3]] == [trial.rmse for trial in printed.TABLE_3]
    assert {row["parameter"] for row in rows[4]} >= set(printed.TABLE_4)
    assert {(row["station"], row["against"]) for row in rows[5]} == set(printed.TABLE_5)
    assert {row["parameter"] for row in rows[6]} >= set(printed.TABLE_6)
    seven = {(row["model"], row["against"]): row["printed R"] for row in rows[7] if row["printed R"] is not None}
    assert seven == {key: values[0] for key, values in printed.TABLE_7.items()}
    eight = {(row["model"], row["against"]): row["printed RMSE"] for row in rows[8] if row["printed RMSE"] is not None}
    assert eight == {key: values[2] for key, values in printed.TABLE_8.items()}


def test_values_found_have_sample_size_and_the_correlations_their_p_and_interval(done: Reproduction) -> None:
    table = done.tables[0]
    for row in table.rows:
        assert row["n"] == row["n, 25 May"] + row["n, 25 Sep"]
        assert 0 <= row["p"] <= 1
        assert row["R here"].low <= row["R here"].value <= row["R here"].high


def test_simulated_data_are_called_so_everywhere(done: Reproduction) -> None:
    assert done.simulated
    page = done.report.read_text("utf-8")
    assert "Simulated data: the scene was made by a computer program" in page
    assert "they neither confirm nor refute a printed value" in page
    assert json.loads((done.folder / "reproduction.json").read_text())["simulated"] is True


def test_the_page_is_valid_html_and_small(done: Reproduction) -> None:
    html5lib.HTMLParser(strict=True).parse(done.report.read_text("utf-8"))
    assert done.report.stat().st_size < 8_000_000


def test_without_time_no_row_is_trained_but_the_model_itself(done: Reproduction) -> None:
    assert done.trials == 1, "the last row is the model itself"
    assert [row["remark"] for row in done.tables[1].rows[:-1]] == ["not trained yet"] * 8


def test_a_model_trained_so_before_is_taken_again(
    done: Reproduction, scenes: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = replace(from_granules(scenes.training.request), coarse=None)
    monkeypatch.setattr("zoo.training.train", lambda *_: pytest.fail("trained again"))
    recipe = models.recipes(TINY, 0)["SMD-RF"]
    again = models.train_model(samples, recipe, done.folder / "registry.json", "smd-rf")
    assert again == str(Registry.open(done.folder / "registry.json").resolve("smd-rf").ref)


def test_the_search_goes_on_where_it_stopped(scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = replace(from_granules(scenes.training.request), coarse=None)
    trained: list[list[int]] = []

    def quick(_: object, recipe: Recipe) -> Outcome:
        trained.append(list(recipe.parameters["hidden_layers_structure"]))
        return Outcome(0.8, 0.64, 0.02, 0.5, 0.03, 0.9, 30)

    def searched(seconds: float | None, seed: int = 0) -> dict[int, Outcome]:
        deadline = Deadline(seconds, pace=1.0)
        return search.search(
            samples, tmp_path / "kept.json", scale=1, seed=seed, deadline=deadline, processes=1, known={}
        )

    monkeypatch.setattr(search, "try_settings", quick)
    assert sorted(searched(0.9)) == [0, 1, 2, 3], "the rows that a little time allows"
    assert sorted(searched(None)) == list(range(9))
    assert trained == [list(trial.layers) for trial in printed.TABLE_3], "each once"
    assert sorted(searched(0)) == list(range(9))
    assert searched(0, seed=1) == {}, "another seed is another search"
    (tmp_path / "kept.json").write_text("broken")
    assert searched(0) == {}


def test_a_trial_tells_cells_seen_from_blocks_held_out(scenes: Scenes) -> None:
    samples = replace(from_granules(scenes.training.request), coarse=None)
    forest = Recipe("rf", parameters={"n_estimators": 10, "n_jobs": 1})
    outcome = models.try_settings(samples, forest, folds=3)
    assert outcome.n == len(samples)
    assert outcome.r2 is not None
    assert outcome.held_out_r2 is not None
    assert outcome.rmse is not None
    assert outcome.held_out_rmse is not None
    assert outcome.r2 > outcome.held_out_r2
    assert outcome.rmse < outcome.held_out_rmse


def test_records_for_programs_hold_printed_and_found_values(done: Reproduction) -> None:
    content = json.loads(json.dumps(run.payload(done), allow_nan=False))
    assert list(content["tables"]) == ["2", "3", "4", "5", "6", "7", "8"]
    assert list(content["figures"]) == ["5", "6", "7", "8", "9", "10", "11"]
    first = content["tables"]["7"]["rows"][0]
    assert first["printed R"] == 0.7571
    assert set(first["R here"]) == {"value", "low", "high"}
    flat = pd.read_csv(done.folder / "table-7.csv")
    assert {"printed R", "R here", "R here, from", "R here, to", "n"} <= set(flat.columns)


def test_printed_values_are_those_of_the_paper(real_data: Path) -> None:
    """Against the text of the paper, where it lies beside the real files."""
    text = real_data.parent / "paper" / "cai-2022-smd-dbn.txt"
    if not text.is_file():
        pytest.skip("the text of the paper is not here")
    words = text.read_text("utf-8")
    for trial in printed.TABLE_3:
        layers = ", ".join(map(str, trial.layers))
        assert f"[{layers}]\t{trial.r2:.4f}\t{trial.rmse:.4f}\t{trial.rbm_epochs}\t{trial.bp_epochs}" in words
    tables = [*printed.TABLE_7.values(), *printed.TABLE_8.values()]
    assert all(f"{value:.4f}" in words for values in tables for value in values)
    for mae, mre in printed.TABLE_5.values():
        assert f"{mae:.4f}" in words
        assert f"{100 * mre:.2f}%" in words
    numbers = re.findall(r"^R\t(.*)$|^\tR\t(.*)$|^(?:\t)?R\t(.*)$", words, re.MULTILINE)
    listed = [float(value) for row in numbers for part in row for value in part.split()]
    assert sorted(listed) == sorted(value for _, value in printed.TABLE_2.values())


def test_the_misprint_of_table_8_and_the_squares_of_the_others_are_what_the_remarks_say() -> None:
    rows = {
        **{("7", *key): v for key, v in printed.TABLE_7.items()},
        **{("8", *k): v for k, v in printed.TABLE_8.items()},
    }
    odd = [key for key, (r, r2, _) in rows.items() if not math.isclose(r**2, r2, abs_tol=2e-4)]
    assert odd == [("8", "SMD-DBN", "SMN-SDR")]
    assert "0.2869" in printed.REMARKS["table 8"][0]


def test_the_printed_settings_are_those_that_train() -> None:
    made = models.recipes(1, 0)
    network = made["SMD-DBN"].estimator().get_params()
    forest = made["SMD-RF"].estimator().get_params()
    assert {name: network[name] for name in printed.TABLE_4} == printed.TABLE_4
    assert {name: forest[name] for name in printed.TABLE_6} == printed.TABLE_6
    scaled = models.recipes(0.5, 0)["SMD-DBN"].estimator().get_params()
    assert (scaled["RBM_epochs"], scaled["BP_epochs"]) == (200, 400)


@pytest.mark.parametrize(("option", "value"), [("budget", -1.0), ("epochs_scale", 0.0), ("epochs_scale", 11.0)])
def test_options_out_of_range_are_refused(option: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} .* give"):
        reproduce(tmp_path, **{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("processes", [1, 2])
def test_tasks_give_the_same_whatever_runs_beside_them(processes: int) -> None:
    tasks = [Task(number, math.factorial, (number,)) for number in range(6)]
    assert dict(work_through(tasks, Deadline(None), processes)) == {n: math.factorial(n) for n in range(6)}


def test_a_task_that_would_end_late_is_not_begun() -> None:
    deadline = Deadline(10, pace=2.0)
    tasks = [Task("short", abs, (1,), cost=1), Task("long", abs, (2,), cost=100)]
    assert [key for key, _ in work_through(tasks, deadline, 1)] == ["short"]
    late = Deadline(1, started=time.monotonic() - 2)
    assert list(work_through(tasks, late, 1)) == []
