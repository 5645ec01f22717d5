"""experiments/torture.py: a short selection of what it does, and proof that it finds what it looks for."""
import json
import random
import tempfile
import time

import pytest
import torch

import train
from experiments import checkpoints, kills, torture, torture_page, torture_round

TINY = torture.KINDS["landmarks"]._replace(what="tiny", most=2, flags=(
    f"{torture.FACES} --norm bn --dropout 0.3 --optim adam --lr 0.01 --epochs 3 --switch-after 2"))


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Returns play(function, arguments, spoil): (exit code, what torture.json holds) of one round of tiny runs.

    All that it leaves in the temporary folder is then in tmp_path / "temporary".
    """
    torture_round.warm_up()  # before: the socket that it makes must not have such a long name
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setitem(torture.KINDS, "landmarks", TINY)
    monkeypatch.setitem(torture.MOMENTS, "step", 20)  # of 24

    def call(function, *arguments, spoil=()):
        monkeypatch.setattr(torture, "CARDS", (torture.Card("kills", "tiny", function, arguments),))
        code = torture.main(["--seed", "3", "--round", "0", "--out", str(tmp_path / "out")], spoil)
        return code, json.loads((tmp_path / "out/torture.json").read_text())
    return call


# ---- rounds ---------------------------------------------------------------------------------------------------------

def test_a_round_of_kills_changes_nothing_and_leaves_nothing(play, tmp_path, monkeypatch, capsys):
    # On a machine that is busy only now and then a run could end before it is killed.
    reference = torture_round.Round.reference
    monkeypatch.setattr(torture_round.Round, "reference", lambda this, kind: (reference(this, kind)[0], 0.2))
    code, found = play(torture.random_instants, TINY)
    row, = found["rows"]
    assert code == 0 and row["kills"] >= 1 and row["starts"] >= 2 and row["different"] == row["wrong"] == 0
    assert found["seed"] == 3 and found["failures"] == [] and found["machine"]["versions"]["torch"]
    assert not list((tmp_path / "temporary").glob("torture-*"))
    assert torture_page.headline(found) in capsys.readouterr().out
    assert (tmp_path / "out/torture.md").read_text() == torture_page.page(found)


def test_rounds_of_full_disks_and_damage_change_nothing(play, monkeypatch):
    code, found = play(torture.small_files, TINY)
    assert code == 0 and found["rows"][0]["cases"] >= 1
    monkeypatch.setattr(torture, "CASES", 2)
    monkeypatch.setattr(torture, "STEPS", (17, 23))
    code, found = play(torture.damaged_checkpoint, "truncated")
    assert code == 0 and found["rows"][0]["cases"] == 2


def forget_optimizer():
    """Lets a run go on without the momentum that it had."""
    checkpoints.load_optimizer = lambda optimizer, content: None


def forget_random_numbers():
    """Lets a run draw other random numbers when it goes on."""
    torch.set_rng_state = lambda state: None


@pytest.mark.parametrize("spoil", [forget_optimizer, forget_random_numbers])
def test_a_run_that_loses_a_part_of_its_state_is_found(play, tmp_path, capsys, spoil):
    code, found = play(torture.chosen_moment, "step", spoil=(spoil,))
    assert code == 1 and found["rows"][0]["different"] == 1 and found["rows"][0]["cases"] >= 1
    failure, = found["failures"]
    assert "model.pt" in failure["problems"][0] and "differ" in failure["problems"][0]
    assert failure["command"] == "python experiments/torture.py --seed 3 --round 0"
    assert (tmp_path / "temporary").samefile(failure["folder"].rpartition("/torture-")[0])
    assert list((tmp_path / "temporary").glob("torture-*/round0/runs/a/b/seed0/model.pt"))
    said = capsys.readouterr().out
    assert failure["command"] in said and failure["folder"] in said and "1 results different" in said


def end_with_3():
    """Lets each process end with another exit code."""
    train.main = lambda argv: 3


def sleep():
    """Lets each process hang."""
    time.sleep(100)


@pytest.mark.parametrize("spoil, words", [(end_with_3, "exit code 3"), (sleep, "did not end within 2 seconds")])
def test_a_wrong_exit_code_and_a_process_that_hangs_are_found(play, monkeypatch, spoil, words):
    if spoil is sleep:
        monkeypatch.setattr(torture_round, "HANGS", 2)
        monkeypatch.setattr(torture_round.Round, "reference", lambda this, kind: ({}, 0.1))
    code, found = play(torture.random_instants, TINY._replace(most=0), spoil=(spoil,))
    assert code == 1 and found["rows"][0]["wrong"] >= 1 and words in found["failures"][0]["problems"][0]


# ---- what it is made of ---------------------------------------------------------------------------------------------

def test_every_card_is_drawn_before_one_comes_again():
    count = sum(card.weight for card in torture.CARDS)
    first, second, again = ([torture.card_of(number, seed, None) for number in range(start, start + count)]
                            for seed, start in ((1, 0), (1, count), (1, 0)))
    assert all(card in first and card in second for card in torture.CARDS) and first != second and first == again
    assert {card.category for card in first} == set(torture.CATEGORIES)
    assert {torture.card_of(number, 1, ["make"]).category for number in range(9)} == {"make"}


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_one_bit_or_a_shorter_file(tmp_path, seed):
    file, content = tmp_path / "file", bytes(range(50))
    file.write_bytes(content)
    torture.damage(file, "with a bit flipped", random.Random(seed))
    after = file.read_bytes()
    assert len(after) == 50 and sum((a ^ b).bit_count() for a, b in zip(content, after)) == 1
    file.write_bytes(content)
    torture.damage(file, "truncated", random.Random(seed))
    after = file.read_bytes()
    assert len(after) < 50 and content.startswith(after)


def test_a_finished_run_that_is_trained_again_is_found(tmp_path):
    this, folder = torture_round.Round(tmp_path, 1, 1), tmp_path / "runs/a/b/seed0"
    folder.mkdir(parents=True)
    (folder / "train.log").write_text("begins\n")
    assert torture.unchanged(this, [folder], {}) == {}
    (folder / "result.json").write_text("{}")
    finished = torture.unchanged(this, [folder], {})
    assert list(finished) == [folder] and torture.unchanged(this, [folder], finished) == finished
    assert this.problems == []
    (folder / "train.log").write_text("begins\nbegins\n")
    torture.unchanged(this, [folder], finished)
    assert this.counts["wrong"] == 1 and "trained again" in this.problems[0]


BEGINS, EPOCH = "a/b seed 0: begins with --x", "a/b seed 0: epoch {}/9  lr 1"
ON = "a/b seed 0: goes on after epoch {}, step 2 with --x"


@pytest.mark.parametrize("lines, wrong", [
    ([BEGINS, EPOCH.format(1), EPOCH.format(2)], None),
    ([BEGINS, BEGINS, EPOCH.format(1), ON.format(1), EPOCH.format(2)], None),
    ([BEGINS, EPOCH.format(1), EPOCH.format(2), ON.format(1), EPOCH.format(2)], None),
    ([BEGINS, EPOCH.format(1), BEGINS, EPOCH.format(2)], 3),  # two processes
    ([BEGINS, EPOCH.format(1), EPOCH.format(1)], 2),
    ([BEGINS, EPOCH.format(1), ON.format(1), BEGINS], 3)])  # what was saved is lost
def test_a_log_that_cannot_be_one_of_one_process_at_a_time_is_found(lines, wrong):
    assert kills.out_of_order("\n".join(lines)) == (None if wrong is None else lines[wrong])


def made_up(**changes):
    """What torture.json may hold."""
    row = {"category": "kills", "category_in_words": "SIGKILL", "what": "net", "rounds": 2, "starts": 500, "kills": 480,
           "cases": 0, "different": 0, "wrong": 0, "skipped": 0, "slowest": 0.0}
    other = {"category": "signals", "what": "in a step", "kills": 3, "cases": 7, "slowest": 1.25}
    rows = [row, {**row, **other, **changes}]
    machine = {"versions": {"device": "a processor", "torch": "2.11", "python": "3.11"}, "commit": "0123456789",
               "dirty": False, "cores": 2, "load": 0.5, "at": "2026-01-02T03:04:05Z"}
    return {"rows": rows, "machine": machine, "seed": 5, "command": "python x", "jobs": 2, "minutes": 60.0,
            "failures": []}


def test_the_headline_and_the_page():
    assert torture_page.headline(made_up()) == (
        "483 kills (SIGKILL at random instants and at every write) of 1 kinds of runs, and 7 stops, limits, damaged "
        "files and double starts: 0 bits different (a processor, 2026-01-02, commit 0123456)")
    assert "2 results different, 1 hung or ended wrongly" in torture_page.headline(made_up(different=2, wrong=1))
    page = torture_page.page(made_up(skipped=1))
    assert "**483**" in page and "1.2 s" in page and "left out" in page and "seed 5" in page
