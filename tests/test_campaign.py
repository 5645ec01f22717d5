"""What is still to be measured, in which order, and what make trains of it."""
import re
import time
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


def test_parts_of_a_claim():
    assert [set(names) for names in campaign.parts_of("L14")] == [
        {"lenet_vgg/fc3-bn-dropout-unused", "lenet_vgg/fc2-bn-dropout-unused"},
        {"lenet_vgg/template1-unused", "lenet_vgg/template2-unused"}]


# ---- the order ------------------------------------------------------------------------------------------------------

SMALL = {"run": {"a/x": "--lr 1", "a/y": "--lr 2", "a/z": "--lr 3", "a/long": "--epochs 900",
                 "a/after": "--lr 4 --init-from=a/x"}, "alias": {"a/again": "a/z"}, "exp": {}}


def order(todo, claims, comparisons=(), again=(), wanted=None):
    """The runs as "x0", a/x with seed 0. wanted: {run: its seeds}; by default those that `todo` has of any run."""
    wanted = wanted or dict.fromkeys(SMALL["run"], sorted({seed for _, seed in todo}))
    questions = [(names, 1) for names in claims] + [(names, campaign.COMPARISON) for names in comparisons]
    return [f"{run[2:]}{seed}" for run, seed in campaign.order(todo, dict(again), questions, wanted, SMALL)]


def todo_of(seeds=(0,), **seconds):
    """Runs that are still to be trained, with each of these seeds: {(run, seed): seconds}."""
    return {(f"a/{run}", seed): takes for run, takes in seconds.items() for seed in seeds}


def test_what_answers_most_questions_per_hour_is_first():
    todo = todo_of(x=10, y=20, z=5, long=900)
    assert order(todo, [["a/long"], ["a/x", "a/y"], ["a/z", "a/x"]]) == ["x0", "z0", "y0", "long0"]
    assert order(todo, [["a/y"]]) == ["y0", "z0", "x0", "long0"]  # those of no question last
    assert order({}, []) == []


def test_three_answers_in_twenty_seconds_come_before_one_in_ten():
    todo = todo_of(x=10, y=20, z=5)
    assert order(todo, [["a/x"], ["a/y"], ["a/y"], ["a/y"]]) == ["y0", "x0", "z0"]
    # y and z answer three questions together, two of which need but one of them.
    assert order(todo_of(x=10, y=20, z=8), [["a/x"], ["a/y"], ["a/y", "a/z"], ["a/y"], ["a/z", "a/y"]])[:2] == [
        "y0", "z0"]
    # As many per second: the shorter step is first.
    assert order(todo_of(y=10, z=10, x=10), [["a/y", "a/z"], ["a/z", "a/y"], ["a/x"]]) == ["x0", "y0", "z0"]


def test_a_comparison_counts_a_tenth_of_a_claim():
    assert order(todo_of(x=50, y=6), [["a/x"]], [["a/y"]]) == ["x0", "y0"]
    assert order(todo_of(x=50, y=4), [["a/x"]], [["a/y"]]) == ["y0", "x0"]
    assert order(todo_of(x=10, y=10), [["a/x"], ["a/y"]], [["a/y"]]) == ["y0", "x0"]


@pytest.mark.parametrize("seeds", [(0, 1, 2), (3, 5, 7)])
def test_one_seed_of_everything_cheap_comes_before_further_seeds_of_what_is_dear(seeds):
    found = order(todo_of(seeds, x=10, y=15), [["a/y"], ["a/x"]])
    first, second, third = seeds
    assert found == [f"x{first}", f"y{first}", f"x{second}", f"x{third}", f"y{second}", f"y{third}"]


def test_seeds_that_a_claim_has_of_one_run_alone_answer_nothing():
    todo = {**todo_of((0, 1, 2), x=10, y=60), **todo_of(long=30)}
    wanted = {"a/x": (0, 1, 2), "a/y": (0, 1, 2), "a/long": (0,)}
    found = order(todo, [["a/x", "a/long"], ["a/y"]], wanted=wanted)
    assert found == ["x0", "long0", "y0", "y1", "y2", "x1", "x2"]


def test_what_a_run_starts_from_is_trained_with_it_and_costs_too():
    todo, base = todo_of(after=1, y=5), todo_of(x=10)
    assert order(todo, [["a/after"], ["a/y"]], again=base) == ["y0", "x0", "after0"]
    assert order({**todo, **base}, [["a/after"], ["a/y"]]) == ["y0", "x0", "after0"]


def test_the_order_of_all_that_is_declared_takes_no_time():
    names = list(declarations.trained(DECLARED))
    todo = {(run, seed): 60 + 7 * place for place, run in enumerate(names) for seed in range(3)}
    questions = [(names, 1) for names in campaign.real_names(DECLARED, map(campaign.runs_of, campaign.judged_claims()))]
    questions += [(names, 0.1) for names in campaign.real_names(DECLARED, DECLARED["exp"].values())]
    began = time.monotonic()
    found = campaign.order(todo, {}, questions, dict.fromkeys(names, (0, 1, 2)), DECLARED)
    assert time.monotonic() - began < 10  # half a second where nothing else runs
    assert sorted(found) == sorted(todo)


def test_a_second_name_is_a_question_unless_its_run_cannot_be_trained(tmp_path, monkeypatch):
    seconds = {"a/x": 30, "a/y": 10, "a/z": 10, "a/long": 5000, "a/after": 40}
    monkeypatch.setattr(campaign.costs, "cost", lambda run, *_: (seconds[run], True))
    monkeypatch.setattr(campaign.status, "what_lacks", lambda declared, run, *_: "no data" if run == "a/z" else "")
    monkeypatch.setattr(campaign, "judged_claims", lambda: [])
    names = {"a/again": "a/z", "a/twin": "a/x"}
    declared = {**SMALL, "alias": names, "exp": {"one": ["a/again", "a/y"], "two": ["a/twin"], "none": []}}
    targets = campaign.targets(declared, options(tmp_path, runs="runs"), [4])
    assert targets == [f"runs/a/{run}/seed4/result.json" for run in ("x", "y", "after", "long")]


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


def test_flags_that_are_appended_count_in_what_a_run_takes_and_so_in_its_seeds(tmp_path, monkeypatch):
    flags = "--model lenet5 --data cifar10 --epochs 10"
    record = {"run": "a/x", "seed": 0, "flags": flags, "status": "finished", "seconds_per_epoch": 300, "threads": 1,
              "epochs": 10, "versions": {"device": "AMD EPYC"}}
    monkeypatch.setattr(costs, "read_records", lambda: [record])
    monkeypatch.setattr(costs, "read_steps", lambda: [])
    monkeypatch.setattr(campaign.status, "what_lacks", lambda *_: "")
    monkeypatch.setattr(campaign.jobs, "has_gpu", lambda: False)
    declared = {**SMALL, "run": {"a/x": flags}}
    todo, _, _ = campaign.left(declared, options(tmp_path, flags="--epochs 20"))
    assert todo == {("a/x", 0): 6000}
    todo, _, _ = campaign.left(declared, options(tmp_path, flags="--epochs 2"))
    assert todo == {("a/x", 0): 600, ("a/x", 1): 600, ("a/x", 2): 600}


def test_a_short_run_has_further_seeds_where_they_can_be_compared(monkeypatch):
    parts = {"Q1": [["a/x", "a/long"], ["a/y", "a/z"]], "Q2": [["a/long"], ["a/again", "a/x", "a/long"]],
             "Q3": [["a/x", "a/dear"]]}
    monkeypatch.setattr(campaign, "judged_claims", lambda: list(parts))
    monkeypatch.setattr(campaign, "parts_of", parts.get)
    seconds = {"a/x": 10, "a/y": 10, "a/z": 10, "a/after": 10, "a/long": 1800, "a/dear": 9000}

    def with_three(**of_exps):
        found = campaign.seeds_of({**SMALL, "exp": of_exps}, seconds)
        assert set(found) == set(seconds) and set(found.values()) == {(0,), (0, 1, 2)}
        return [run[2:] for run in found if found[run] == (0, 1, 2)]

    assert with_three() == ["y", "z", "after"]  # x stands beside long ones alone, and no claim asks for after
    assert with_three(one=["a/x", "a/long"]) == ["y", "z", "after"]
    assert with_three(one=["a/x", "a/again"]) == ["x", "y", "z", "after"]
    parts["Q1"][1] = ["a/y", "a/long"]  # of z there is a second name beside a long run
    assert with_three() == ["after"]
    assert set(campaign.seeds_of(SMALL, seconds, [4, 5]).values()) == {(4, 5)}


@pytest.mark.parametrize("flags", ["--data cifar", "--split lst", "--epochs 1o", "--batch-size many"])
def test_a_run_whose_flags_make_no_sense_is_named_and_the_others_are_left(flags, tmp_path, monkeypatch):
    monkeypatch.setattr(campaign.status, "is_fetched", lambda *_: True)
    declared = {**SMALL, "run": {"a/x": "--lr 1", "a/y": flags, "a/after": "--init-from=a/y"}, "exp": {"one": ["a/y"]},
                "where": {"a/y": "a.mk:3"}}
    todo, _, lacking = campaign.left(declared, options(tmp_path, flags=""))
    assert {run for run, _ in todo} == {"a/x"}
    (why, of_runs), = lacking.items()
    assert why.startswith("a.mk:3: a/y: ") and flags.split()[1] in why and of_runs == ["a/y", "a/after"]
    declared["run"]["a/y"] = "--lr 2"  # the same, typed behind FLAGS=
    todo, _, lacking = campaign.left(declared, options(tmp_path, flags=flags))
    (why, of_runs), = lacking.items()
    assert not todo and why.startswith(f"with {flags} appended: ") and of_runs == ["a/x", "a/y", "a/after"]
    assert campaign.targets(declared, options(tmp_path, flags=flags)) == []


# ---- in make --------------------------------------------------------------------------------------------------------

def test_a_campaign_trains_what_is_left_and_says_how_much_that_is(fresh):  # noqa: F811
    """All is on generated data, but for one run that lacks its data: first CIFAR-10, which is fetched, then faces."""
    edit(fresh, "exp.long ", "exp.no = tiny/a\n#")
    edit(fresh, "run.tiny/long ", "#")
    edit(fresh, "run.tiny/scorer ", "#")
    edit(fresh, "run.tiny/cleaned ", "#")
    edit(fresh, "exp.clean ", "#")
    edit(fresh, "plots.clean ", "#")
    names = ("tiny/a", "tiny/b", "tiny/c", "tiny/diverges")
    assert sorted(would_train(fresh, "campaign", "SEEDS=1")) == [(name, "1") for name in sorted([*names, "tiny/lacks"])]
    edit(fresh, "run.tiny/lacks = --act relu", "run.tiny/lacks = --model keypoint --data faces21")
    assert re.search(r"^left: 12 runs, about [0-9.]+ hours of a core, and \d+ that cannot be trained",
                     make(fresh, "status"), re.M)
    asked = [(name, seed) for name in names for seed in "012"]
    assert sorted(would_train(fresh, "campaign")) == asked and not (fresh / "runs").exists()
    assert {seed for _, seed in would_train(fresh, "campaign", "SEEDS=0 3")} == {"0", "3"}
    printed = make(fresh, "campaign", "SEEDS=1")
    assert "left: nothing, and 1 that cannot be trained as things are" in printed
    assert {path.parent.name for path in fresh.rglob("result.json")} == {"seed1"}
    printed = make(fresh, "campaign", "STOP_AFTER=0s", expect=2)
    assert "left: 8 runs" in printed and would_train(fresh, "campaign", "SEEDS=1") == []
    assert printed.count("Error") == 2 and printed.count("no time left") == 1  # of make within and its last line
