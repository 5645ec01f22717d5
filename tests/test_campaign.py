"""What is still to be measured, in which order, and what make trains of it."""
import re
from types import SimpleNamespace

import pytest

from experiments import campaign, claims, costs, declarations, verdicts
from makes import edit, fresh, make, would_train  # noqa: F401: fresh is a fixture

DECLARED = declarations.declarations()


def options(tmp_path, **changes):
    return SimpleNamespace(**{"runs": str(tmp_path / "runs"), "data_dir": "none", "flags": "--synthetic",
                              **changes})


# ---- which runs a claim is judged by --------------------------------------------------------------------------------

@pytest.mark.parametrize("claim", [name for name in claims.functions() if not claims.is_counted(name)])
def test_with_the_runs_of_a_claim_every_part_of_it_finds_what_it_looks_for(claim):
    """Its parts are asked of those runs alone, made up: whatever comes out, none is lacking and none is too many."""
    asked = campaign.runs_of(claim)
    assert asked and set(asked) <= {*DECLARED["run"], *DECLARED["alias"]}
    found = set()

    def run(name):
        assert name in asked
        found.add(name)
        return {"run": name, "status": "finished", "metrics": campaign.Anything(0.5),
                "curves": campaign.Anything([1 / epoch for epoch in range(1, 401)]),
                "described": campaign.Anything(campaign.Anything(0.5))}

    for part in claims.functions()[claim]():
        try:
            part.sides(run)
        except verdicts.NotRun:
            pytest.fail(f"{part.threshold} looks for a run that it does not ask for")
        except (ArithmeticError, LookupError, TypeError, ValueError, verdicts.NotJudgeable):
            pass
    assert found == set(asked)


def test_runs_of_some_claims():
    assert set(campaign.runs_of("K4")) == {"keypoints/adam", "keypoints/adam-bn", "keypoints/adam-bn-dropout"}
    assert set(campaign.runs_of("N9")) == {"net/resnet18", "net/best"}
    assert {"caltech35/base-cosine", "caltech35/base", "caltech35/basic-block-euclid"} <= set(campaign.runs_of("C4"))


# ---- the order ------------------------------------------------------------------------------------------------------

SMALL = {"run": {"a/x": "--lr 1", "a/y": "--lr 2", "a/z": "--lr 3", "a/long": "--epochs 900",
                 "a/after": "--lr 4 --init-from=a/x"}, "alias": {"a/again": "a/z"}, "exp": {}}


def order(todo, wanted, again=()):
    return [f"{run[2:]}{seed}" for run, seed in campaign.order(todo, dict(again), wanted, SMALL)]


def test_what_answers_most_questions_per_hour_is_first():
    todo = {("a/x", 0): 10, ("a/y", 0): 20, ("a/z", 0): 5, ("a/long", 0): 900}
    assert order(todo, [["a/long"], ["a/x", "a/y"], ["a/z", "a/x"]]) == ["x0", "z0", "y0", "long0"]
    assert order(todo, [["a/y"], ["a/again"]]) == ["z0", "y0", "x0", "long0"]  # those of no question last
    assert order({}, [["a/x"]]) == []


def test_one_seed_of_everything_cheap_comes_before_further_seeds_of_what_is_dear():
    todo = {(run, seed): seconds for run, seconds in (("a/x", 10), ("a/y", 15)) for seed in range(3)}
    assert order(todo, [["a/y"], ["a/x"]]) == ["x0", "y0", "x1", "x2", "y1", "y2"]


def test_what_a_run_starts_from_is_trained_with_it_and_costs_too():
    todo, base = {("a/after", 0): 1, ("a/y", 0): 5}, {("a/x", 0): 10}
    assert order(todo, [["a/after"], ["a/y"]], base) == ["y0", "x0", "after0"]
    assert order({**todo, **base}, [["a/after"], ["a/y"]]) == ["y0", "x0", "after0"]


# ---- what is left ---------------------------------------------------------------------------------------------------

def test_short_runs_are_wanted_with_three_seeds_and_what_is_recorded_not_at_all(tmp_path, monkeypatch):
    flags = "--model lenet5 --data cifar10 --epochs 10"
    declared = {**SMALL, "run": {"a/x": flags, "a/long": f"{flags} --lr 1", "a/after": f"{flags} --init-from=a/x"}}
    record = {"run": "a/x", "seed": 0, "flags": flags, "status": "finished", "seconds_per_epoch": 6, "threads": 1,
              "epochs": 10, "versions": {"device": "AMD EPYC"}}
    dear = {**record, "run": "a/long", "seed": 7, "flags": f"{flags} --lr 1", "seconds_per_epoch": 180}
    monkeypatch.setattr(costs, "read_records", lambda: [record, dear])
    monkeypatch.setattr(costs, "read_steps", lambda: [])
    monkeypatch.setattr(campaign.status, "what_lacks", lambda *_: "")
    monkeypatch.setattr(campaign.jobs, "has_gpu", lambda: False)
    todo, again, lacking = campaign.left(declared, options(tmp_path, flags=""))
    assert set(todo) == {("a/x", 1), ("a/x", 2), ("a/long", 0), *(("a/after", seed) for seed in range(3))}
    assert again == {("a/x", 0): 60} and lacking == {}  # recorded, but its weights are not here
    assert campaign.in_words(todo, again, lacking).startswith("left: 6 runs, about 0.6 hours of a core; make campaign")
    assert campaign.in_words({}, {}, {}) == "left: nothing"
    todo, again, _ = campaign.left(declared, options(tmp_path, flags=""), [0])
    assert set(todo) == {("a/long", 0), ("a/after", 0)} and set(again) == {("a/x", 0)}
    todo, again, _ = campaign.left(declared, options(tmp_path))  # on generated data nothing is recorded
    assert len(todo) == 7 and not again
    monkeypatch.setattr(campaign.status, "what_lacks", lambda declared, run, *_: "no data" if run == "a/long" else "")
    todo, _, lacking = campaign.left(declared, options(tmp_path))
    assert len(todo) == 6 and lacking == {"no data": ["a/long"]}


# ---- in make --------------------------------------------------------------------------------------------------------

def test_a_campaign_trains_what_is_left_and_says_how_much_that_is(fresh):  # noqa: F811
    """All is on generated data, but for one run that lacks its data."""
    edit(fresh, "exp.long ", "exp.no = tiny/a\n#")
    edit(fresh, "run.tiny/long ", "#")
    edit(fresh, "run.tiny/scorer ", "#")
    edit(fresh, "run.tiny/cleaned ", "#")
    edit(fresh, "exp.clean ", "#")
    edit(fresh, "plots.clean ", "#")
    assert re.search(r"^left: 12 runs, about [0-9.]+ hours of a core, and \d+ that cannot be trained",
                     make(fresh, "status"), re.M)
    asked = [(name, seed) for name in ("tiny/a", "tiny/b", "tiny/c", "tiny/diverges") for seed in "012"]
    assert sorted(would_train(fresh, "campaign")) == asked and not (fresh / "runs").exists()
    assert {seed for _, seed in would_train(fresh, "campaign", "SEEDS=0 3")} == {"0", "3"}
    printed = make(fresh, "campaign", "SEEDS=1")
    assert "left: nothing, and 1 that cannot be trained as things are" in printed
    assert {path.parent.name for path in fresh.rglob("result.json")} == {"seed1"}
    printed = make(fresh, "campaign", "STOP_AFTER=0s", expect=2)
    assert "left: 8 runs" in printed and would_train(fresh, "campaign", "SEEDS=1") == []
