"""The digest of what a comparison's figures are made from, and the file that keeps it."""
import copy
import os
from types import SimpleNamespace

import pytest

from experiments import unchanged

DECLARED = {"exp": {"x": ["a/one", "a/two"], "y": ["a/three"]}, "plots": {"x": ["curves"]},
            "where": {"a/one": "a.mk:1"}, "run": {"a/one": "--lr 1", "a/two": "--lr 2", "a/three": "--lr 3"}}


@pytest.fixture
def project(tmp_path):
    """A folder of code, data and the run folders of x, and the digest of x as a function of changed options."""
    for path, text in (("plots.py", "draw"), ("experiments/tables.py", "table"), ("data/faces21/I/0.jpg", "face"),
                       ("data/.cache/faces", "decoded"), ("runs/a/one/seed0/result.json", "{}"),
                       ("runs/a/one/seed0/log.jsonl", "{}\n"), ("runs/a/one/seed0/flags.txt", "--lr 1\n")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    def digest(declared=DECLARED, name="x", **changed):
        options = {"runs": tmp_path / "runs", "data_dir": tmp_path / "data", "seeds": [0], "flags": "", **changed}
        return unchanged.digest(declared, name, SimpleNamespace(**options), tmp_path)
    return tmp_path, digest


@pytest.mark.parametrize("path", [
    "plots.py", "experiments/tables.py", "experiments/new.py", "runs/a/one/seed0/result.json",
    "runs/a/one/seed0/log.jsonl", "runs/a/one/seed0/flags.txt", "runs/a/one/seed0/args.json",
    "runs/a/one/seed0/model.pt", "runs/a/two/seed0/log.jsonl", "data/faces21/II", "data/cifar10"])
def test_what_figures_are_made_from_changes_the_digest(project, path):
    folder, digest = project
    before = digest()
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text("changed")
    assert digest() != before


@pytest.mark.parametrize("path", ["notes.txt", "runs/a/three/seed0/log.jsonl", "runs/a/one/seed1/log.jsonl",
                                  "runs/a/one/seed0/train.log", "data/.cache/more"])
def test_what_else_there_is_does_not(project, path):
    folder, digest = project
    before = digest()
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text("changed")
    for file in folder.rglob("*"):
        os.utime(file, (1, 1))
    assert digest() == before


def test_declarations_and_options_change_the_digest_and_the_line_on_which_a_run_stands_does_not(project):
    _, digest = project
    other, moved = copy.deepcopy(DECLARED), copy.deepcopy(DECLARED)
    other["plots"]["x"] = ["curves:50"]
    moved["where"]["a/one"] = "a.mk:9"
    assert digest(moved) == digest()
    assert len({digest(), digest(other), digest(name="y"), digest(seeds=[0, 1]), digest(flags="--flip")}) == 5


def test_an_alias_stands_for_the_files_of_its_run(project):
    folder, digest = project
    declared = copy.deepcopy(DECLARED)
    declared["exp"]["x"], declared["alias"] = ["a/again"], {"a/again": "a/one"}
    before = digest(declared)
    (folder / "runs/a/one/seed0/log.jsonl").write_text("{}\n{}\n")
    assert digest(declared) != before
    declared["alias"]["a/again"] = "a/two"
    before = digest(declared)
    (folder / "runs/a/one/seed0/log.jsonl").write_text("{}\n")
    assert digest(declared) == before


def test_files_are_as_before_if_all_are_there_and_were_made_from_the_same(tmp_path):
    out = tmp_path / "exp-x"
    (out / "one").mkdir(parents=True)
    paths = [out / "table.md", out / "one/curves.png"]
    for path in paths:
        path.write_text("")
    assert unchanged.files_of(out, "abc") == []
    unchanged.keep(out, "abc", paths)
    assert unchanged.files_of(out, "abc") == paths and unchanged.files_of(out, "abd") == []
    paths[1].unlink()
    assert unchanged.files_of(out, "abc") == []
    paths[1].write_text("")
    (out / unchanged.FILE).write_text('{"torn')
    assert unchanged.files_of(out, "abc") == []
