"""Write the figures of `benchmarks/results/{compress,inference}.json` into docs/inference.md.

    python benchmarks/inference_page.py

What stands between the two marks of the page is replaced; a figure that was not measured is said to be missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "inference.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TABLES = ("regions", "oznet")


def main() -> None:
    """Replace the measured part of the page."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + BEGIN, "", *measured(), "", END]) + after)


def measured() -> list[str]:
    """Return the lines of the measured part."""
    return [*_compression(_read("compress")), "", *_inference(_read("inference"))]


def _compression(found: dict[str, Any]) -> list[str]:
    if not found:
        return ["Compression was not measured."]
    lines = [
        f"`python benchmarks/compress.py --write` on {found['machine']} ({found['versions']}); networks of 1000-1000 "
        "units:",
        "",
        "| table, tolerance | network | largest error | 99.9 % below | held-out pixels | change of R2 | pixels/s "
        "| dense, at best | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for table in TABLES:
        names = [key.removesuffix("_network") for key in found if key.startswith(table) and key.endswith("_network")]
        lines += [_row(found, name) for name in sorted(names, key=lambda name: -float(name.split("_")[1]))]
    lines += [
        "",
        *(
            f"`{table}`: R2 {found[f'{table}_r2_dense']} on {found[f'{table}_rows_scored']:,} held-out rows "
            f"({found[f'{table}_folds_scored']} blocks), ridge {found[f'{table}_r2_ridge']}."
            for table in TABLES
            if f"{table}_r2_dense" in found
        ),
    ]
    return lines


def _row(found: dict[str, Any], name: str) -> str:
    table, tolerance = name.split("_")
    network = str(found[f"{name}_network"])
    if f"{name}_error_max" not in found:
        return f"| {table}, {tolerance} | {network.split(':')[0]} | | | | | | | |"
    ratio = found.get(f"{name}_compressed_over_dense_ratio")
    speeds = [found.get(f"{name}_{what}pixels_per_second") for what in ("", "dense_")]
    cells = [
        f"{table}, {tolerance}",
        network,
        f"{found[f'{name}_error_max']:.2g}",
        f"{found[f'{name}_error_p99.9']:.2g}",
        f"{found[f'{name}_error_n']:,}",
        f"{found[f'{name}_r2_change']:.5f}",
        *(f"{speed:,}" if speed else "not timed" for speed in speeds),
        f"{ratio}" if ratio else "not timed",
    ]
    return f"| {' | '.join(cells)} |"


def _inference(found: dict[str, Any]) -> list[str]:
    if not found:
        return ["Other forms of inference were not measured."]
    lines = [
        f"`python benchmarks/inference.py --write` on {found['machine']} ({found['versions']}); beside "
        "each part the rate of float32 matrix products and the load then; ratios above 1: our runtime is faster:",
        "",
        "| figure | value |",
        "|---|---|",
    ]
    lines += [
        f"| {key} | {_figure(value)} |"
        for key, value in found.items()
        if key.startswith(("dbn", "rf", "dense_", "frameworks_", "forest_"))
    ]
    return lines


def _figure(value: Any) -> str:
    """Write a count in full, another number with four digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _read(name: str) -> dict[str, Any]:
    path = HERE / "results" / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


if __name__ == "__main__":
    main()
