"""Asking for help is cheap: nothing heavy is imported."""

import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "torch", "sklearn", "rasterio", "xarray", "numpy", "pandas", "scipy", "h5py", "onnx", "onnxruntime", "matplotlib",
    "dask", "pyarrow", "pyproj", "odc", "rioxarray",
}  # fmt: skip
LIMIT = 0.4
"""Seconds."""

LOADED = """
import sys
from zoo.cli import main
try:
    main({arguments})
except SystemExit as done:
    assert not done.code, done.code
print(*sorted(name.partition(".")[0] for name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["train", "--help"], ["predict", "--help"], ["plugins", "--quiet"]]
)
def test_nothing_heavy_is_imported(arguments):
    script = LOADED.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert loaded & HEAVY == set()


def test_help_comes_at_once():
    """Processor time: on an idle machine it is the time on the clock; on a busy one that measures the neighbours."""
    program = Path(sys.executable).with_name("zoo")
    assert statistics.median(processor_time(program, "--help") for _ in range(5)) < LIMIT


def processor_time(*command: str | Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(part) for part in command], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
