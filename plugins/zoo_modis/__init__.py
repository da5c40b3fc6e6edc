"""MODIS land products on the sinusoidal grid, native HDF4-EOS: temperature, vegetation, leaf area, albedo."""

from collections.abc import Iterable

from zoo import PredictorSpec, hookimpl


@hookimpl
def zoo_predictors() -> Iterable[PredictorSpec]:
    """Bring one spec a product; the products stand in `zoo_modis.products`."""
    from zoo_modis.products import PRODUCTS

    return [product.spec for product in PRODUCTS.values()]
