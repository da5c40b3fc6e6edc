"""All installed downscalers and ridge under one inner cross-validation: the best is kept, or a blend of several."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted, validate_data

from zoo.errors import ZooError
from zoo.learning.feature_selection import select_features
from zoo.learning.fitting import Context, fit
from zoo.learning.splits import Fold, Use, check_use, folds_for
from zoo_auto import candidates
from zoo_auto.blending import choose
from zoo_auto.graph import Part, join
from zoo_auto.rows import Rows

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

    from zoo.types import Downscaler


@dataclass(slots=True)
class Trial:
    """How a candidate did: its predictions out of fold (n,), or what went wrong; its weight in the end."""

    name: str
    predicted: npt.NDArray[np.float64] | None = None
    problem: str = ""
    seconds: float = 0.0
    weight: float = 0.0


class AutoDownscaler(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The best downscaler for a declared use, or a blend of several, chosen by an inner cross-validation.

    All candidates predict the same inner folds, which mirror the use: whole groups for `space`, later times for
    `time`, both at once for `both` (`zoo.learning.splits`). Weights not below 0 with sum 1 are fitted to these
    predictions. The blend is kept if it beats the best candidate on folds that its weights have not seen, else the
    best candidate alone. Before, predictors that only name places are left out (`zoo.learning.feature_selection`).
    What is kept is trained again on all rows.

    Parameters
    ----------
    use : `space`, `time` or `both`
    candidates : names, `NAME[:PRESET]`; all installed downscalers and `ridge` without it
    settings : parameters of a candidate over its preset, by name
    folds : inner folds of groups; of later times `zoo.learning.splits.TIME_FOLDS`
    rows : most rows of the inner cross-validation, drawn at random
    blend : whether a blend may be chosen
    screen : whether predictors that only name places are left out
    random_state : seed

    Attributes
    ----------
    trials_ : every candidate with its inner predictions, weight, seconds, or what went wrong
    notes_ : the same as a table, for the card
    """

    def __init__(
        self,
        use: Use = "space",
        *,
        candidates: Sequence[str] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        folds: int = 4,
        rows: int = 6000,
        blend: bool = True,
        screen: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.use = use
        self.candidates = candidates
        self.settings = settings
        self.folds = folds
        self.rows = rows
        self.blend = blend
        self.screen = screen
        self.random_state = random_state

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        *,
        places: npt.ArrayLike | None = None,
        times: npt.ArrayLike | None = None,
    ) -> Self:
        """Try the candidates, choose, and train what is kept on all rows.

        Parameters
        ----------
        X : (n, k), predictors without NaN
        y : (n,), soil moisture, m3 m-3
        groups : (n,), what inner folds never part; each row by itself without it
        sample_weight : (n,), weight of each row
        places : (n,), places within the groups, for example stations
        times : (n,), needed for the uses `time` and `both`

        Raises
        ------
        DataError
            If there are too few groups or times for two inner folds.
        ZooError
            If every candidate failed.
        """
        use = check_use(self.use)
        checked_X, checked_y = validate_data(self, X, y, dtype=np.float32, y_numeric=True, ensure_min_samples=2)
        weight = _check_sample_weight(sample_weight, checked_X, dtype=np.float64, ensure_non_negative=True)
        context = Context(*(None if part is None else np.asarray(part) for part in (groups, places, times)))
        check_consistent_length(checked_X, *context.given().values())
        rows = Rows.of(checked_X, np.asarray(checked_y, float), context, weight)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.columns_, screened = self._screened(rows, use, seed)
        sample = rows.sample(self.rows, seed)
        folds = self._inner_folds(sample.context, use, seed)
        names = candidates.installed() if self.candidates is None else list(self.candidates)
        self.trials_ = [self._try(name, sample, folds, seed) for name in names]
        blended = self._weigh(sample, folds)
        self.members_ = self._train(rows, seed)
        held_out = f"{len(folds)} inner folds for {use}, {len(sample.y):,} of {len(rows.y):,} rows"
        self.notes_ = [*screened, self._table(sample, blended, held_out)]
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Soil moisture for X (n, k), shape (n,), m3 m-3."""
        check_is_fitted(self, "members_")
        rows = validate_data(self, X, dtype=np.float32, reset=False)[:, self.columns_]
        answers = [weight * np.asarray(member.predict(rows), float) for _, weight, member in self.members_]
        return np.asarray(np.sum(answers, axis=0))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return `features`, `columns` (used ones), `names` (UTF-8), `weights`, and `member/<number>/<name>`."""
        check_is_fitted(self, "members_")
        names = "\n".join(name for name, _, _ in self.members_)
        parts = {
            f"member/{number}/{key}": array
            for number, (_, _, member) in enumerate(self.members_)
            for key, array in member.state().items()
        }
        return {
            "features": np.array([self.n_features_in_], np.int64),
            "columns": self.columns_,
            "names": np.frombuffer(names.encode(), np.uint8),
            "weights": np.array([weight for _, weight, _ in self.members_]),
            **parts,
        }

    @staticmethod
    def to_onnx(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
        """Build the graph from `state()`: input `X` float32 (n, k), output `y` float32 (n, 1), opset 17."""
        parts = []
        for number, name in enumerate(state["names"].tobytes().decode().split("\n")):
            prefix = f"member/{number}/"
            own = {key.removeprefix(prefix): array for key, array in state.items() if key.startswith(prefix)}
            model = candidates.to_onnx_of(name)(own)
            parts.append(Part(model, state["columns"], float(state["weights"][number])))
        return join(parts, int(state["features"][0]))

    def _screened(self, rows: Rows, use: Use, seed: int) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Choose the predictors that all candidates get."""
        everything = np.arange(rows.X.shape[1])
        if not self.screen:
            return everything, []
        known = rows.context
        assert known.groups is not None
        found = select_features(
            rows.X, rows.y, known.groups, places=known.places, times=known.times, use=use, seed=seed % 2**16
        )
        if found.kept.all():
            return everything, []
        left_out = ", ".join(str(column) for column in np.flatnonzero(~found.kept))
        return everything[found.kept], [f"Predictors that only name places were left out: columns {left_out}."]

    def _inner_folds(self, known: Context, use: Use, seed: int) -> list[Fold]:
        groups = known.groups
        assert groups is not None
        folds = None if use == "time" else min(self.folds, len(np.unique(groups)))
        return folds_for(use, groups, known.times, folds, seed % 2**16)

    def _try(self, name: str, sample: Rows, folds: Sequence[Fold], seed: int) -> Trial:
        """Predict the inner folds by a candidate."""
        begun = time.perf_counter()
        predicted = np.full(len(sample.y), np.nan)
        try:
            for seen, held_out in folds:
                member = self._fitted(name, sample.take(seen), seed, candidates.QUICK.get(name, {}))
                predicted[held_out] = member.predict(sample.X[held_out][:, self.columns_])
            if not np.isfinite(predicted[np.concatenate([rows for _, rows in folds])]).all():
                return Trial(name, problem="answers that are no numbers")
        except Exception as error:  # a stranger's code: whatever it raises is shown, and the others go on
            return Trial(name, problem=f"{type(error).__name__}: {' '.join(str(error).split())}")
        return Trial(name, predicted, seconds=time.perf_counter() - begun)

    def _fitted(self, name: str, rows: Rows, seed: int, quick: Mapping[str, Any] | None = None) -> Downscaler:
        parameters = {**(quick or {}), **(self.settings or {}).get(name, {})}
        estimator = candidates.make(name, parameters, seed, check_use(self.use))
        weight = rows.given_weight
        fitted: Downscaler = fit(estimator, rows.X[:, self.columns_], rows.y, rows.context, sample_weight=weight)
        return fitted

    def _weigh(self, sample: Rows, folds: Sequence[Fold]) -> float | None:
        """Give each candidate its weight; return the cross-fitted blend's mean squared error."""
        working = [trial for trial in self.trials_ if trial.predicted is not None]
        if not working:
            reasons = "; ".join(f"{trial.name}: {trial.problem}" for trial in self.trials_)
            msg = f"Every candidate of auto failed ({reasons or 'there is none'}); see: zoo plugins"
            raise ZooError(msg)
        predicted = np.array([trial.predicted for trial in working])
        weights, error = choose(predicted, sample.y, sample.weight, folds, blend=self.blend)
        for trial, weight in zip(working, weights, strict=True):
            trial.weight = float(weight)
        return error

    def _train(self, rows: Rows, seed: int) -> list[tuple[str, float, Downscaler]]:
        """Train what has a weight on all rows."""
        return [
            (trial.name, trial.weight, self._fitted(trial.name, rows, seed)) for trial in self.trials_ if trial.weight
        ]

    def _table(self, sample: Rows, blended: float | None, held_out: str) -> str:
        """Write all candidates with their inner scores as Markdown."""
        spread = np.average((sample.y - np.average(sample.y, weights=sample.weight)) ** 2, weights=sample.weight)
        lines = [f"Candidates on {held_out}:", "", "| candidate | R2 | RMSE | weight | s |", "|---|---|---|---|---|"]
        for trial in self.trials_:
            if trial.predicted is None:
                lines.append(f"| {trial.name} | failed: {trial.problem.replace('|', '/')} | - | 0 | - |")
                continue
            rows = np.isfinite(trial.predicted)
            error = np.average((trial.predicted[rows] - sample.y[rows]) ** 2, weights=sample.weight[rows])
            lines.append(_line(trial.name, error, spread, f"{trial.weight:.2f}", f"{trial.seconds:.1f}"))
        if blended is not None:
            kept = "yes" if sum(trial.weight > 0 for trial in self.trials_) > 1 else "no"
            lines.append(_line(f"blend, weights from other folds (kept: {kept})", blended, spread, "", ""))
        return "\n".join(lines)


def _line(name: str, error: float, spread: float, weight: str, seconds: str) -> str:
    score = f"{1 - error / spread:.3f}" if spread > 0 else "-"
    return f"| {name} | {score} | {error**0.5:.4f} | {weight} | {seconds} |"
