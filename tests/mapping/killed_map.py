"""Make a map (PLAN, FOLDER) in a process that is killed in STEP: its work is done, but not yet remembered."""

import os
import signal
from pathlib import Path

os.environ.update(ENVIRONMENT)  # type: ignore[name-defined]  # noqa: F821

from zoo.mapping.steps import Steps  # noqa: E402
from zoo.mapping.workflow import Plan, make_map  # noqa: E402

remember = Steps._remember


def remember_or_die(self, name, done):
    if name == STEP:  # type: ignore[name-defined]  # noqa: F821
        os.kill(os.getpid(), signal.SIGKILL)
    remember(self, name, done)


Steps._remember = remember_or_die
make_map(Plan.model_validate_json(PLAN), Path(FOLDER))  # type: ignore[name-defined]  # noqa: F821
