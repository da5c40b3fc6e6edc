import numpy as np
import pytest

from zoo.grids import as_array, cells_in, ease2_geobox, target_geobox
from zoo.interpolation import interpolate
from zoo.types import Area

AREA = Area(115.5, 41.5, 116.5, 42.5)


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_a_plane_is_interpolated_exactly_between_the_cell_centres(method):
    coarse_box = cells_in(ease2_geobox("M09"), AREA)
    rows, columns = np.indices(coarse_box.shape)
    coarse = as_array(0.1 + 0.01 * rows + 0.02 * columns, coarse_box, "soil_moisture", {"units": "m3 m-3"})
    fine_box = target_geobox(AREA)
    fine = interpolate(coarse, fine_box, method)
    to_coarse = ~coarse_box.affine * fine_box.affine
    fine_rows, fine_columns = np.indices(fine_box.shape)
    u, v = to_coarse * (fine_columns + 0.5, fine_rows + 0.5)
    inside = (u > 2) & (u < coarse_box.shape[1] - 2) & (v > 2) & (v < coarse_box.shape[0] - 2)
    expected = 0.1 + 0.01 * (v - 0.5) + 0.02 * (u - 0.5)
    np.testing.assert_allclose(fine.to_numpy()[inside], expected[inside], atol=1e-5)


def test_missing_cells_stay_missing():
    coarse_box = cells_in(ease2_geobox("M09"), AREA)
    values = np.full(coarse_box.shape, 0.2)
    values[4, 4] = np.nan
    fine = interpolate(as_array(values, coarse_box, "soil_moisture", {}), coarse_box)
    assert np.isnan(fine.to_numpy()[4, 4])
    assert np.isfinite(fine.to_numpy()).sum() == values.size - 1
