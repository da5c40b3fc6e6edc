"""Files that hold several passes: chosen by orbit, and readers that know nothing of it are left alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo import granules as host
from zoo.coarse import Observed, coarse_field
from zoo.errors import DataError
from zoo.granules import Selection, open_sensor, select_observations
from zoo.grids import cells_in, ease2_geobox
from zoo.types import Area, Granule, SensorSpec

DAY = datetime(2019, 9, 25, tzinfo=UTC)
SPEC = SensorSpec("other", "Another sensor", "nowhere:Reader", ("X_*.nc",), "a grid")


def granule(name: str, **more: Any) -> Granule:
    return Granule("X.001", name, DAY, DAY + timedelta(days=1), (Path(name),), **more)


class OfOnePass:
    """A reader as the protocol had it before: no orbit."""

    def open(self, paths: Any, *, area: Any = None, quality: str = "recommended", variable: Any = None) -> Any:
        return list(paths), {}


class OfSeveral:
    def open(self, paths: Any, *, area: Any, quality: str, variable: Any, orbit: Any = None) -> Any:
        return list(paths), {"orbit": orbit}


def opened(monkeypatch: pytest.MonkeyPatch, reader: Any, found: list[Granule], orbit: Any) -> Any:
    monkeypatch.setattr(host, "make", lambda spec: reader)
    return open_sensor(SPEC, found, orbit=orbit)


def test_a_reader_without_the_keyword_is_never_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for found in ([granule("X_1.nc", orbit="D")], [granule("X_1.nc")]):
        assert opened(monkeypatch, OfOnePass(), found, "D") == ([Path("X_1.nc")], {})


def test_a_reader_of_several_passes_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [granule("X_1.nc", passes=("D", "A"))]
    assert opened(monkeypatch, OfSeveral(), found, "A") == ([Path("X_1.nc")], {"orbit": "A"})
    assert opened(monkeypatch, OfSeveral(), found, None) == ([Path("X_1.nc")], {"orbit": None})


def test_a_granule_is_chosen_by_the_passes_in_it() -> None:
    both, morning, neither = granule("both", passes=("D", "A")), granule("morning", orbit="D"), granule("neither")
    wanted = Selection(date(2019, 9, 25), orbit="A")
    assert select_observations([both, morning, neither], wanted, "x") == [both, neither]
    with pytest.raises(DataError, match=r"orbit A; there are 1 .*, orbits D;"):
        select_observations([morning], wanted, "x")
    with pytest.raises(DataError, match="orbits AD"):
        select_observations([both], Selection(date(2019, 9, 26)), "x")


@pytest.mark.parametrize(
    ("parts", "orbits", "expected"),
    [([None], ["A"], "A"), ([None, None], ["A", "D"], "A, D"), (["D"], [None], "D"), ([None], [None], None)],
)
def test_a_field_says_which_passes_it_is_made_of(parts: list[Any], orbits: list[Any], expected: str | None) -> None:
    box = cells_in(ease2_geobox("M09"), Area(115.5, 41.5, 116.5, 42.5))
    values = np.full(box.shape.yx, 0.2, np.float32)
    array = coarse_field(
        [Observed(values, DAY, DAY, {}, orbit=orbit) for orbit in parts],
        box,
        [granule(str(number), orbit=orbit) for number, orbit in enumerate(orbits)],
        long_name="soil moisture",
        depth=(0, 0.05),
        notes=["known once", "known once"],
    )
    assert array.attrs.get("orbit") == expected
    both = ["Mean over ascending and descending passes; --orbit A or D takes one of them."]
    assert array.attrs["notes"] == ["known once", *(both if expected == "A, D" else [])]
