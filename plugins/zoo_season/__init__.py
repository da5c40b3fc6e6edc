"""The season as a predictor: sine and cosine of the day of the year, from the day alone."""

from collections.abc import Iterable

from zoo import PredictorSpec, hookimpl


@hookimpl
def zoo_predictors() -> Iterable[PredictorSpec]:
    """Bring the season."""
    from zoo.predictors import LAYERS, SEASON

    return [
        PredictorSpec(
            name="season",
            title="sine and cosine of the day of the year; no file stands behind it",
            reader="zoo_season.reader:SeasonReader",
            patterns=(),
            layers=tuple(LAYERS[name] for name in SEASON),
            resolution=2000,
        )
    ]
