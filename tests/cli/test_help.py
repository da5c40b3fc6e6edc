"""The help of every command is a golden file: a change of it is seen. Write them anew with: make golden."""

import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from zoo.cli import main
from zoo.cli.commands import COMMANDS, load

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("help")
    subprocess.run([sys.executable, str(GOLDEN / "write.py"), str(folder)], check=True)
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.txt")}


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.txt")))
def test_the_help_is_the_golden_one(printed, name):
    assert printed.get(name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_every_command_has_a_golden_file(printed):
    assert set(printed) == {path.stem for path in GOLDEN.glob("*.txt")}
    assert {"zoo", "train", "predict", "inspect", "export", "validate", "models-list"} <= set(printed)


def test_every_command_and_option_is_explained(printed):
    """A line that names an option ends in more than its name and type."""
    bare = [
        (name, line)
        for name, text in printed.items()
        for line in text.splitlines()
        if line.startswith("│ ") and "--" in line and len(line.strip("│ ").split()) < 3
    ]
    assert bare == []


@pytest.mark.parametrize(("name", "line"), [pair for task in COMMANDS.values() for pair in task.items()])
def test_the_list_says_of_a_command_what_the_command_says_of_itself(name, line):
    """The list is written apart, so that it costs no import."""
    assert " ".join(inspect.cleandoc(load(name).help).split("\n\n")[0].split()) == line


def test_the_version_is_one_line_that_pip_would_say_too(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.err) == (0, "")
    assert printed.out == f"soil-moisture-zoo {version('soil-moisture-zoo')}\n"
