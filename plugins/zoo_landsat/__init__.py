"""Landsat 8 and 9, Collection 2 Level 2: surface reflectance, wetness and open water."""

from collections.abc import Iterable

from zoo import PredictorSpec, hookimpl


@hookimpl
def zoo_predictors() -> Iterable[PredictorSpec]:
    """Bring the surface-reflectance product."""
    from zoo_landsat.product import SPEC

    return [SPEC]
