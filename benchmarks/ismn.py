"""Lines a minute that the ISMN reader takes on one core, on a simulated archive of each layout.

    python benchmarks/ismn.py [LINES]

The archive is written to a temporary folder: hourly rows of stations with a moisture and a soil-temperature
sensor, flags in lists, provider flags with spaces and commas or none, missing values. The rate is by CPU time, of
all threads together, so that a busy machine does not flatter or spoil it.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from zoo_insitu.ismn import IsmnReader

GOAL = 5e6
PER_FILE = 50_000
FLAGS = np.array(["G M", "G OK,OK,OK", "D01,D03 M", "G DLT >= 1.5,OK,OK", "C03,D10 M", "M M", "G"])
SHARES = [0.6, 0.15, 0.1, 0.05, 0.03, 0.02, 0.05]


def main() -> None:
    """Write an archive of each layout, read it, and print lines a minute."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for layout in ("header+values", "CEOP-sep", "CEOP"):
            path, written = write_archive(Path(folder) / f"{layout}.zip", layout, lines, rng)
            started, cpu = time.perf_counter(), time.process_time()
            rows = len(IsmnReader().open(path, flags=("G", "U")))
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
            rate = written / cpu * 60
            print(
                f"{layout:14} {written:,} lines, {rows:,} rows kept: {wall:.2f} s wall, {cpu:.2f} s CPU, "
                f"{rate / 1e6:.1f} million lines a minute of CPU (goal {GOAL / 1e6:g})"
            )


def write_archive(path: Path, layout: str, lines: int, rng: np.random.Generator) -> tuple[Path, int]:
    """Write an ISMN archive of about `lines` lines; return its path and how many there are."""
    written = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(max(1, round(lines / PER_FILE / 2))):
            for variable in ("sm", "ts") if layout != "CEOP" else ("sm",):
                rows = 2 * PER_FILE if layout == "CEOP" else PER_FILE
                text = station_text(layout, variable, f"N{number}", rows, rng)
                name = f"SIM/N{number}/SIM_SIM_N{number}_{variable}_0.050000_0.050000_EC5_19500101_20300101.stm"
                archive.writestr(name, text)
                written += rows
    return path, written


def station_text(layout: str, variable: str, station: str, rows: int, rng: np.random.Generator) -> str:
    """Return a station's file of `rows` hours in one of ISMN's three layouts."""
    times = np.datetime_as_string(np.datetime64("2000-01-01T00") + np.arange(rows).astype("timedelta64[h]"), "m")
    times = np.char.replace(np.char.replace(times, "-", "/"), "T", " ")
    values = rng.uniform(0.05, 0.45, rows) if variable == "sm" else rng.normal(8, 8, rows)
    flags = FLAGS[rng.choice(FLAGS.size, rows, p=SHARES)]
    place = f"SIM        SIM             {station}          46.65700    -8.03310  423.00"
    if layout == "header+values":
        head = f"{place}    0.05    0.05 EC5 with a name\n"
        return head + "".join(f"{t} {v:8.4f} {f}\n" for t, v, f in zip(times, values, flags, strict=True))
    if layout == "CEOP-sep":
        return "".join(
            f"{t} {t} {place}    0.05    0.05 {v:8.4f} {f}\n" for t, v, f in zip(times, values, flags, strict=True)
        )
    return "".join(f"{t} {t} {place} -   0.05 {10 * v:7.2f} U {v:8.4f} U\n" for t, v in zip(times, values, strict=True))


if __name__ == "__main__":
    main()
