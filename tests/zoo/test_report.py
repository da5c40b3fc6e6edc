"""The report: self-contained, accessible, one colour scale, honest about simulated data."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import html5lib
import matplotlib as mpl
import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr
from affine import Affine
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from odc.geo.geobox import GeoBox

from zoo.errors import UsageError
from zoo.explain.importance import Importance
from zoo.explain.response import Response
from zoo.grids import as_array
from zoo.report import figures
from zoo.report.diagrams import skill_of
from zoo.report.figures import MOISTURE, Scatter
from zoo.report.html import Picture, Report, Section, render
from zoo.report.page import write_report
from zoo.report.scores import score_tables
from zoo.report.series import StationSeries, station_series
from zoo.types import Score

FINE = GeoBox((36, 45), Affine(1000, 0, 500_000, 0, -1000, 4_700_000), "EPSG:32650")
COARSE = GeoBox((4, 5), Affine(9000, 0, 500_000, 0, -9000, 4_700_000), "EPSG:32650")


def field(box: GeoBox, low: float, high: float) -> xr.DataArray:
    values = np.linspace(low, high, box.shape.y * box.shape.x).reshape(box.shape.yx)
    return as_array(values, box, "soil_moisture", {})


@pytest.fixture
def maps() -> dict[str, xr.DataArray]:
    return scene()


def scene() -> dict[str, xr.DataArray]:
    fine = field(FINE, 0.1, 0.4)
    fine[:5, :5] = np.nan
    return {"SMAP 9 km": field(COARSE, 0.05, 0.3), "DBN 1 km": fine}


def score(
    estimator: str, metric: str, value: float | None, low: float | None = None, high: float | None = None
) -> Score:
    return Score(estimator, metric, value, 34, low, high, "stations.parquet", "independent")


def course() -> StationSeries:
    days = pd.DatetimeIndex(["2019-03-25", "2019-05-25"], tz="UTC")
    values = pd.Series([0.2, 0.25], days)
    return StationSeries("S2", values, {"map": values + 0.01, "in situ": values})


def response() -> Response:
    values = np.linspace(290, 310, 5)
    mean = np.linspace(0.3, 0.1, 5)
    return Response("lst", "K", values, mean, mean - 0.01, mean + 0.01, np.linspace(292, 308, 9), (292.0, 305.0))


class Page(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    maps, rng = scene(), np.random.default_rng(0)
    observed = rng.uniform(0.1, 0.4, 600)
    stations = pd.DataFrame({"lon": [117.1, 117.3], "lat": [42.3, 42.2], "sm": [0.2, 0.3]})
    return write_report(
        tmp_path_factory.mktemp("report") / "out" / "report.html",
        maps=maps,
        scatters=[
            Scatter("DBN 1 km", "truth", observed, observed + 0.01),
            Scatter("RF", "stations", [0.1, 0.2], [0.2, 0.2]),
        ],
        scores=[score("dbn", "r", 0.8, 0.6, 0.9), score("rf", "r", 0.7, 0.5, 0.85)],
        provenance={"scene": "<script>alert(1)</script>", "models": ["smd-dbn@v1", "smd-rf@v1"]},
        residuals={"DBN against SMAP": (maps["DBN 1 km"], maps["SMAP 9 km"])},
        stations=stations,
        simulated=True,
        pictures_beside=True,
    )


def test_the_page_needs_no_network_and_no_other_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parsed = Page(text)
    assert not parsed.of("script")
    assert not parsed.of("link")
    assert not re.search(r"https?://|@import|url\(", text)
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in parsed.of("img"))
    assert page.stat().st_size < 8_000_000


def test_pictures_have_alternative_texts_and_tables_headings(page: Path) -> None:
    parsed = Page(page.read_text(encoding="utf-8"))
    assert len(parsed.of("img")) == 4
    assert all(len(str(image["alt"])) > 20 for image in parsed.of("img"))
    assert {head["scope"] for head in parsed.of("th")} == {"col", "row"}
    assert parsed.of("html")[0]["lang"] == "en"


def test_what_is_written_into_the_page_is_escaped(page: Path) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.read_text(encoding="utf-8")


def test_pictures_beside_are_those_in_the_page(page: Path) -> None:
    embedded = {
        base64.b64decode(str(image["src"]).partition(",")[2]) for image in Page(page.read_text("utf-8")).of("img")
    }
    assert {path.stem for path in page.parent.glob("*.svg")} == {path.stem for path in page.parent.glob("*.png")}
    beside = {path.read_bytes() for path in page.parent.glob("*.png")}
    assert beside == embedded
    assert all(data.startswith(b"\x89PNG") for data in beside)


def test_simulated_data_are_called_so_on_the_page_and_every_figure(
    page: Path, maps: dict[str, xr.DataArray], tmp_path: Path
) -> None:
    assert "Simulated data" in page.read_text(encoding="utf-8")
    pair = [Scatter("DBN", "truth", [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])]
    for simulated in (True, False):
        drawn = [
            figures.map_panel(maps, simulated=simulated),
            figures.scatter_panel(pair, simulated=simulated),
            figures.residual_panel({"d": (maps["DBN 1 km"], maps["SMAP 9 km"])}, simulated=simulated),
            figures.skill_diagrams(pair, simulated=simulated),
            figures.series_panel([course()], simulated=simulated),
            figures.importance_panel({"DBN": [Importance("lst", 0.01, 0.0, 0.02)]}, simulated=simulated),
            figures.response_panel({"DBN": [response()]}, simulated=simulated),
        ]
        assert [figure.get_suptitle() == "Simulated data" for figure in drawn] == [simulated] * 7
    plain = write_report(tmp_path / "plain.html", maps=maps).read_text(encoding="utf-8")
    assert "Simulated data" not in plain


def test_all_panels_share_one_colour_scale_that_outliers_do_not_set(maps: dict[str, xr.DataArray]) -> None:
    maps["DBN 1 km"][20, 20] = 5.0
    drawn = figures.map_panel(maps)
    limits = {image.get_clim() for axes in drawn.axes for image in axes.images}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low == pytest.approx(np.quantile(maps["SMAP 9 km"], 0.02), abs=1e-6)
    assert high == pytest.approx(np.nanquantile(maps["DBN 1 km"], 0.98), abs=1e-6)
    assert high < 0.45


def test_lightness_of_the_colours_falls_steadily_from_dry_to_wet() -> None:
    colours = mpl.colormaps[MOISTURE](np.linspace(0, 1, 64))[:, :3]
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    steps = np.diff(lightness)
    assert (steps < 0).all()
    assert steps.min() / steps.max() < 2.5


def test_maps_are_north_up_with_true_shape_and_ticks_at_their_degrees(maps: dict[str, xr.DataArray]) -> None:
    axes = figures.map_panel({"fine": maps["DBN 1 km"]}).axes[0]
    (image,) = axes.images
    assert image.get_extent() == pytest.approx((500_000, 545_000, 4_664_000, 4_700_000))
    assert image.origin == "upper"
    assert axes.get_aspect() == pytest.approx(1, abs=0.002), "UTM: a metre is a metre both ways"
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert "117°E" in labels
    x = axes.get_xticks()[labels.index("117°E")]
    assert x == pytest.approx(500_000, abs=1), "the central meridian of zone 50 is 117 E"


def test_geographic_maps_are_narrowed_by_the_cosine_of_the_latitude() -> None:
    box = GeoBox((60, 60), Affine(0.01, 0, 116.0, 0, -0.01, 60.3), "EPSG:4326")
    axes = figures.map_panel({"map": field(box, 0.1, 0.3)}).axes[0]
    assert axes.get_aspect() == pytest.approx(1 / np.cos(np.radians(60)), rel=0.01)


def test_the_scale_bar_is_as_long_as_it_says(maps: dict[str, xr.DataArray]) -> None:
    axes = figures.map_panel({"fine": maps["DBN 1 km"]}).axes[0]
    (bar,) = axes.lines
    (text,) = [text.get_text() for text in axes.texts if text.get_text().endswith("km")]
    share = np.ptp(bar.get_xdata())
    assert share * 45 == pytest.approx(float(text.removesuffix(" km")), rel=0.002), "the map is 45 km wide"


def test_stations_stand_where_they_are_in_the_colours_of_the_maps(maps: dict[str, xr.DataArray]) -> None:
    stations = pd.DataFrame({"lon": [117.0], "lat": [42.3], "sm": [0.2]})
    axes = figures.map_panel({"fine": maps["DBN 1 km"]}, stations=stations).axes[0]
    markers = axes.collections[-1]
    assert markers.get_offsets()[0][0] == pytest.approx(500_000, abs=1)
    assert markers.get_clim() == axes.images[0].get_clim()


def test_maps_of_different_projections_fall_on_one_frame() -> None:
    geographic = GeoBox((50, 60), Affine(0.01, 0, 117.0, 0, -0.01, 42.45), "EPSG:4326")
    drawn = figures.map_panel({"utm": field(FINE, 0.1, 0.3), "degrees": field(geographic, 0.1, 0.3)})
    first, second = drawn.axes[:2]
    assert first.get_xlim() == second.get_xlim()
    assert np.isfinite(second.images[0].get_array().filled(np.nan)).mean() > 0.9


def test_difference_is_predicted_minus_reference_around_zero() -> None:
    predicted = field(FINE, 0.2, 0.2) + 0.03
    drawn = figures.residual_panel({"d": (predicted, field(COARSE, 0.2, 0.2))})
    (image,) = drawn.axes[0].images
    assert image.get_array().mean() == pytest.approx(0.03, abs=1e-6)
    low, high = image.get_clim()
    assert low == -high


def test_scatter_shows_pairs_or_their_density_and_the_figures() -> None:
    rng = np.random.default_rng(1)
    many = rng.uniform(0.1, 0.4, 501)
    drawn = figures.scatter_panel(
        [Scatter("few", "x", [0.1, 0.2, 0.4], [0.2, 0.2, 0.3]), Scatter("many", "x", many, many)]
    )
    few, dense = (axes for axes in drawn.axes if axes.get_title())
    assert len(few.collections[0].get_offsets()) == 3
    assert dense.collections[0].get_array().sum() == 501
    assert few.texts[0].get_text() == "R = 0.945\nRMSE = 0.0816\nn = 3"
    assert few.get_xlim() == few.get_ylim() == dense.get_xlim()


def test_undefined_figures_and_empty_samples_are_drawn_as_such() -> None:
    drawn = figures.scatter_panel([Scatter("none", "x", [], []), Scatter("constant", "x", [0.2] * 4, [0.2] * 4)])
    assert figures.png(drawn)
    assert drawn.axes[0].texts[0].get_text() == "R = undefined\nRMSE = undefined\nn = 0"


def test_labels_do_not_overlap_one_another_or_leave_the_figure(maps: dict[str, xr.DataArray]) -> None:
    five = {f"{name} {i}": array for i in range(3) for name, array in maps.items()}
    drawn = figures.map_panel(five, simulated=True)
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    renderer = canvas.get_renderer()
    page = drawn.bbox
    boxes = [_box(axes.title, renderer) for axes in drawn.axes if axes.get_title()]
    for axes in drawn.axes:
        boxes += [_box(label, renderer) for label in axes.get_xticklabels() if label.get_text() and axes.images]
    for i, box in enumerate(boxes):
        assert page.x0 - 1 <= box.x0
        assert box.x1 <= page.x1 + 1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def _box(text: mpl.text.Text, renderer: object) -> mpl.transforms.Bbox:
    return text.get_window_extent(renderer)  # type: ignore[arg-type]


def test_score_tables_mark_the_best_of_each_column_in_words() -> None:
    scores = [
        score("dbn", "r", 0.8, 0.6, 0.9),
        score("dbn", "rmse", 0.03),
        score("dbn", "bias", -0.01),
        score("rf", "r", 0.7, 0.5, 0.85),
        score("rf", "rmse", 0.02),
        score("rf", "bias", 0.02),
        score("mean", "r", None),
        score("mean", "rmse", 0.05),
        score("mean", "bias", 0.03),
    ]
    (table,) = score_tables(scores)
    assert list(table.columns) == ["estimator", "R", "RMSE", "bias", "n"]
    rows = {row[0].text: row for row in table.rows}
    assert [cell.best for cell in rows["dbn"]] == [False, True, False, True, False]
    assert [cell.best for cell in rows["rf"]] == [False, False, True, False, False]
    assert (rows["dbn"][1].text, rows["dbn"][1].interval) == ("0.800", "0.600 to 0.900")
    assert rows["mean"][1].text == "-"


def test_one_table_for_each_reference_and_split_and_no_best_of_one() -> None:
    scores = [score("dbn", "r", 0.8), Score("dbn", "r", 0.9, 100, None, None, "truth.tif", "independent")]
    tables = score_tables(scores)
    assert ["stations.parquet" in tables[0].caption, "truth.tif" in tables[1].caption] == [True, True]
    assert not any(cell.best for table in tables for row in table.rows for cell in row)


def test_an_existing_report_is_replaced_whole_and_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    picture = Picture.of("empty", Figure(figsize=(1, 1)), "an empty figure", "nothing")
    render(Report("New", [Section("A", ["text"], [picture])]), path)
    assert "New" in path.read_text(encoding="utf-8")
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(UsageError, match="is a folder"):
        render(Report("New"), tmp_path)


def test_the_page_is_valid_html(page: Path) -> None:
    html5lib.HTMLParser(strict=True).parse(page.read_text(encoding="utf-8"))


def test_the_validator_refuses_what_is_wrong() -> None:
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse("<!doctype html><title>x</title><table><tr><p>text</table>")


def test_ids_are_given_once_and_links_lead_somewhere(page: Path) -> None:
    parsed = Page(page.read_text(encoding="utf-8"))
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {str(attrs["href"]).removeprefix("#") for attrs in parsed.of("a")}
    assert links
    assert links <= set(ids)


def test_every_picture_of_one_group_shares_the_scale_of_the_others(
    tmp_path: Path, maps: dict[str, xr.DataArray]
) -> None:
    text = write_report(
        tmp_path / "r.html", maps=maps, more_maps={"AMSR-2": {"wet": maps["DBN 1 km"] + 0.3}}
    ).read_text()
    scales = set(re.findall(r"one scale for all panels, ([0-9.]+ to [0-9.]+)", text))
    assert len(scales) == 1
    assert scales.pop().endswith(f"{np.nanquantile(maps['DBN 1 km'] + 0.3, 0.98):.3f}")


def test_differences_stand_side_by_side_on_one_scale(maps: dict[str, xr.DataArray]) -> None:
    fine, coarse = maps["DBN 1 km"], maps["SMAP 9 km"]
    drawn = figures.residual_panel({"small": (fine, coarse), "large": (fine + 0.2, coarse)})
    limits = {image.get_clim() for axes in drawn.axes for image in axes.images}
    assert len(limits) == 1


def test_taylor_and_target_place_an_estimator_by_its_statistics() -> None:
    rng = np.random.default_rng(3)
    observed = rng.normal(0.2, 0.05, 400)
    predicted = 0.5 * observed + 0.13 + rng.normal(0, 0.02, 400)
    skill = skill_of(Scatter("a", "x", observed, predicted))
    assert skill is not None
    sigma = observed.std()
    assert skill.spread == pytest.approx(predicted.std() / sigma)
    assert skill.r == pytest.approx(np.corrcoef(observed, predicted)[0, 1])
    centred = np.sqrt(skill.spread**2 + 1 - 2 * skill.spread * skill.r)
    assert abs(skill.ubrmse) == pytest.approx(centred), "the law of cosines that a Taylor diagram rests on"
    assert skill.ubrmse < 0, "less variable than the reference: on the left"
    rmse = np.sqrt(np.mean((predicted - observed) ** 2)) / sigma
    assert np.hypot(skill.ubrmse, skill.bias) == pytest.approx(rmse), "distance to the centre of a target diagram"
    taylor = figures.skill_diagrams([Scatter("a", "x", observed, predicted)]).axes[0]
    angle, radius = (
        taylor.lines[-2].get_data() if len(taylor.lines[-1].get_xdata()) == 0 else taylor.lines[-1].get_data()
    )
    assert np.cos(angle[0]) == pytest.approx(skill.r)
    assert radius[0] == pytest.approx(skill.spread)


def test_a_negative_correlation_opens_the_left_half_of_the_taylor_diagram() -> None:
    observed = np.linspace(0.1, 0.4, 20)
    taylor = figures.skill_diagrams([Scatter("a", "x", observed, 0.5 - observed)]).axes[0]
    assert taylor.get_thetamax() == pytest.approx(180)


def test_constant_references_have_no_place_in_a_diagram() -> None:
    assert skill_of(Scatter("a", "x", [0.2] * 4, [0.1, 0.2, 0.3, 0.4])) is None


def test_a_station_sees_the_pixel_it_stands_in_and_its_own_mean_of_the_day() -> None:
    fine = field(FINE, 0.1, 0.4).assign_attrs(time_coverage_start="2019-05-25T00:00:00Z")
    times = pd.DatetimeIndex(["2019-05-25 03:00", "2019-05-25 09:00", "2019-05-26 03:00"], tz="UTC")
    stations = pd.DataFrame(
        {"station": "S2", "lon": 117.1, "lat": 42.4, "depth": 0.03, "time": times, "sm": [0.2, 0.3, 0.9]}
    )
    (series,) = station_series(stations, {"map": [fine]}, ["S2", "nowhere"])
    assert series.lines["in situ"].tolist() == pytest.approx([0.25])
    east, north = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32650", always_xy=True).transform(117.1, 42.4)
    row, column = int((4_700_000 - north) // 1000), int((east - 500_000) // 1000)
    assert series.lines["map"].tolist() == pytest.approx([float(fine[row, column])])


def test_scores_wear_the_labels_of_the_figures_and_no_table_is_wider_than_a_page(tmp_path: Path) -> None:
    metrics = ("r", "r2", "r2_pearson", "rmse", "ubrmse", "bias", "mae", "mre", "kge", "unheard_of")
    scores = [score("dbn", metric, 0.5) for metric in metrics]
    text = write_report(tmp_path / "r.html", maps={}, scores=scores, labels={"dbn": "DBN, corrected"}).read_text(
        "utf-8"
    )
    assert "DBN, corrected" in text
    tables = score_tables(scores)
    assert max(len(table.columns) for table in tables) <= 7
    assert {"R", "unheard_of"} <= {column for table in tables for column in table.columns}
