"""Write the figures of `benchmarks/results/{pipeline,scaling}.json` into docs/pipeline.md.

    python benchmarks/pipeline_page.py

What stands between the two marks of the page is replaced; a figure that was not measured is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "pipeline.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
QUESTIONS = {
    "wall_over_cpu_by_cores_ratio": "wall seconds over (CPU seconds of its stages, each alone, by cores)",
    "pixels_per_second": "pixels a second, inside the process",
    "over_torch_loop_ratio": "pixels a second over those of a plain loop around torch with the dense network",
    "over_scikit_learn_loop_ratio": "pixels a second over those of a plain loop around scikit-learn",
    "peak_mib": "memory at its peak, MiB",
    "peak_mib_four_times_the_pixels": "the same with four times the pixels, MiB",
}


def main() -> None:
    """Replace the measured part of the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    lines = "\n".join([*_pipeline(_read("pipeline")), "", *_scaling(_read("scaling"))])
    PAGE.write_text(f"{before}{BEGIN}\n\n{lines}\n\n{END}{after}", encoding="utf-8")


def _read(name: str) -> dict[str, Any]:
    path = HERE / "results" / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _pipeline(found: dict[str, Any]) -> Iterator[str]:
    if not found:
        yield "Whole maps were not measured."
        return
    yield f"`python benchmarks/pipeline.py --record`: {found['pixels'] / 1e6:.1f} Mpx with 14 predictors on"
    yield f"{found['machine']} ({found['versions']}, GDAL {found['gdal']}).\n"
    yield "| | compressed network | forest |"
    yield "|---|---|---|"
    for key, text in QUESTIONS.items():
        cells = [_number(found.get(f"{model}_{key}")) for model in ("compressed", "forest")]
        if any(cells):
            yield f"| {text} | {' | '.join(cells)} |"


def _scaling(found: dict[str, Any]) -> Iterator[str]:
    if not found:
        yield "Scaling was not measured."
        return
    sizes = [key.split("_")[1] for key in found if key.startswith("compressed_") and key.endswith("_mpx_seconds")]
    yield "`python benchmarks/scaling.py --record`, the compressed network, medians; start and end of a map weigh more"
    yield "in a small one, and few windows fill less memory.\n"
    yield "| Mpx | seconds | microseconds a pixel | peak, MiB |"
    yield "|---|---|---|---|"
    for size in sizes:
        seconds = found[f"compressed_{size}_mpx_seconds"]
        pixels = int(size) * 2**20
        peak = found[f"compressed_{size}_mpx_peak_mib"]
        yield f"| {size} | {seconds:.2f} | {seconds / pixels * 1e6:.3f} | {peak} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


if __name__ == "__main__":
    main()
