"""The house: how long files and lines are, where the loop stands, and which file may import which."""
import ast
import graphlib

import pytest

from conftest import ROOT

CODE = sorted([*ROOT.glob("*.py"), *ROOT.glob("experiments/*.py")])
TESTS = sorted(ROOT.glob("tests/*.py"))
MAKEFILES = sorted([ROOT / "Makefile", *ROOT.glob("experiments/*.mk")])


def name_of(file):
    """The path of a file within the project, as text."""
    return str(file.relative_to(ROOT))


# ---- sizes ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("file", [*CODE, *TESTS, *MAKEFILES], ids=name_of)
def test_no_file_is_too_long_and_no_line_too_wide(file):
    lines = file.read_text().splitlines()
    limit = {"train.py": 550}.get(name_of(file), 900 if file in TESTS else 700)
    assert len(lines) <= limit
    assert [f"{name_of(file)}:{number}" for number, line in enumerate(lines, 1) if len(line) > 120] == []


def test_all_code_is_looked_at():
    """No code stands where the tests of this file do not look."""
    skipped = {".venv", "runs", "data", "results"}
    files = [file for file in ROOT.rglob("*.py") if not skipped.intersection(file.relative_to(ROOT).parts)]
    assert sorted(files) == sorted([*CODE, *TESTS])


def test_the_loop_comes_first_in_train_py():
    """A stranger reads the loop and the training step within the first 200 lines."""
    last_lines = {node.name: node.end_lineno for node in ast.parse((ROOT / "train.py").read_text()).body
                  if isinstance(node, ast.FunctionDef)}
    assert last_lines["fit"] <= 200 and last_lines["train_step"] <= 200
    assert min(last_lines, key=last_lines.get) == "fit"


# ---- who imports whom -----------------------------------------------------------------------------------------------

MODULES = {file.stem: file for file in ROOT.glob("*.py")}
MODULES |= {f"experiments.{file.stem}": file for file in ROOT.glob("experiments/*.py") if file.stem != "__init__"}

# The rooms below the reports, and all that each may import of the project. Nothing imports upwards.
ROOMS = {
    "experiments.hand_written": set(),
    "models": {"experiments.hand_written"},
    "losses": set(),
    "experiments.folders": set(),
    "experiments.runs": {"experiments.folders"},
    "experiments.jobs": {"experiments.runs"},
    "experiments.archives": set(),
    "experiments.synthetic": set(),
    "experiments.augment": set(),
    "experiments.readers": {"experiments.archives"},
    "experiments.downloads": {"experiments.archives", "experiments.readers"},
    "experiments.protocol": {"models"},
    "data": {"experiments.archives", "experiments.synthetic", "experiments.augment", "experiments.readers",
             "experiments.downloads"},
    "experiments.checkpoints": {"experiments.runs"},
    "experiments.imagenet": {"models", "experiments.archives", "experiments.checkpoints"},
    "experiments.starts": {"data", "losses", "models", "experiments.checkpoints", "experiments.imagenet",
                           "experiments.runs"},
    "train": {"data", "losses", "models", "experiments.checkpoints", "experiments.protocol", "experiments.runs",
              "experiments.starts"},
    "experiments.panels": set(),
    "plots": {"experiments.panels"},
}


def imports_of(source):
    """Returns the modules of the project that Python source imports.

    Imports within functions count, and so do those of a file that is run as a command. Importing one by a name that is
    worked out gives "?", for nobody knows which.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = "experiments" if node.level else ""
            package = ".".join(part for part in (package, node.module) if part)
            names = [package, *(f"{package}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = ["?"]
        for name in names:
            if name in MODULES or name == "?":
                found.add(name)
            elif f"experiments.{name}" in MODULES:  # a file of experiments/ that is run finds its neighbours so
                found.add(f"experiments.{name}")
    return found


@pytest.mark.parametrize("source, modules", [
    ("import data", {"data"}), ("import torch, os.path", set()), ("from data import load", {"data"}),
    ("from experiments import runs, starts", {"experiments.runs", "experiments.starts"}),
    ("from experiments.runs import BadInput", {"experiments.runs"}), ("import experiments.runs", {"experiments.runs"}),
    ("from . import runs", {"experiments.runs"}), ("from .runs import say", {"experiments.runs"}),
    ("import runs", {"experiments.runs"}), ("import data as d, models", {"data", "models"}),
    ("def f():\n    if True:\n        import train", {"train"}), ("class C:\n    import train", {"train"}),
    ("import importlib\nimportlib.import_module('train')", {"?"}), ("__import__('train')", {"?"}),
    ("if __name__ == '__main__':\n    from experiments import score", {"experiments.score"})])
def test_imports_are_found_wherever_they_stand(source, modules):
    assert imports_of(source) == modules


def all_imports():
    """Returns {module: the modules of the project that it imports}."""
    graph = {name: imports_of(file.read_text()) for name, file in MODULES.items()}
    # Each file of declarations has its functions beside it, and claims.py imports them by the names of these files.
    graph["experiments.claims"].remove("?")
    graph["experiments.claims"] |= {f"experiments.{file.stem}" for file in ROOT.glob("experiments/*.mk")}
    return graph


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_lies_below_it(room):
    assert all_imports()[room] <= ROOMS[room]


def test_the_rooms_are_in_order():
    """Each room may import rooms named before it, and no other file of the project."""
    seen = set()
    for room, allowed in ROOMS.items():
        assert allowed <= seen and room in MODULES
        seen.add(room)


def test_there_is_no_circle():
    graph = all_imports()
    assert list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert "?" not in set().union(*graph.values())
