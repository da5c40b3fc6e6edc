"""Elevation models and the slope and aspect of the ground."""

from collections.abc import Iterable

from zoo import PredictorSpec, hookimpl


@hookimpl
def zoo_predictors() -> Iterable[PredictorSpec]:
    """Bring GMTED2010, SRTM and Copernicus DEM."""
    from zoo_terrain.products import PRODUCTS

    return [product.spec for product in PRODUCTS]
