"""Make a stack (REQUEST, FOLDER) in a process that is killed while it writes its layer number COUNT."""

import os
import signal
from pathlib import Path

os.environ.update(ENVIRONMENT)  # type: ignore[name-defined]  # noqa: F821

from zoo.stack import folder as stacking  # noqa: E402

to_cog = stacking._to_cog
written = []


def write_or_die(tiled, path):
    written.append(path.name)
    if len(written) == COUNT:  # type: ignore[name-defined]  # noqa: F821
        path.with_name(f".{path.stem}.1.tif").write_bytes(tiled.read_bytes()[:100])
        os.kill(os.getpid(), signal.SIGKILL)
    to_cog(tiled, path)


stacking._to_cog = write_or_die
stacking.make_stack(REQUEST, folder=Path(FOLDER))  # type: ignore[name-defined]  # noqa: F821
