"""The Makefile's promises, kept by a small project of its own whose runs take two steps."""
import json
import os
import random
import re
import shutil
import signal
import time

import pytest

import train
from conftest import ROOT
from experiments import declarations, pages, runs
from makes import copy_project, edit, forks, fresh, make, result, tree, would_train  # noqa: F401 (fresh is a fixture)

REPORTS = ("caltech35", "keypoints", "lenet_vgg", "mlp_cnn", "net")
TARGETS = {"quickstart", "test", "smoke", "all", "train", "campaign", "list", "status", "show", "redo", "report",
           "bench", "torture", "clean", "help"}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project in which exp-tiny was made once, and what make printed."""
    folder = copy_project(tmp_path_factory.mktemp("first") / "project")
    return folder, make(folder, "exp-tiny")


@pytest.fixture
def trained(first, tmp_path):
    """A copy of that project as on another machine: no file has the time that it had."""
    folder = shutil.copytree(first[0], tmp_path / "project")
    for path in folder.rglob("*"):
        moment = random.uniform(0, time.time() + 10**6)
        os.utime(path, (moment, moment))
    return folder


# ---- what is made, and what is not made again -----------------------------------------------------------------------

def test_a_comparison_is_trained_drawn_and_printed(first):
    folder, printed = first
    out = folder / "runs/figures/exp-tiny"
    assert {p.name for p in out.iterdir()} == {"curves.png", "table.md", "made-from.json"}
    assert printed.count("begins") == 2 and re.search(r"^\| a .*\| (test acc )?50 ", printed, re.M)
    assert "lr 0.01, momentum 0.8" in printed
    assert printed.splitlines()[-1] == "status: 2 done"
    assert (out / "table.md").read_text().splitlines()[0] in printed


def test_what_is_done_is_not_done_again_wherever_it_was_done(trained):
    assert would_train(trained, "exp-tiny") == []
    for package in ("torch", "matplotlib", "numpy"):  # they take seconds to load, and a cron line comes every minute
        (trained / "heavy").mkdir(exist_ok=True)
        (trained / f"heavy/{package}.py").write_text("raise SystemExit('loaded')")
    printed = make(trained, "exp-tiny", PYTHONPATH=str(trained / "heavy"))
    assert printed == ("\nexp-tiny: Two rates.\nas before: its table and figures are in runs/figures/exp-tiny\n"
                       "status: 2 done\n")
    (trained / "runs/figures/exp-tiny/curves.png").unlink()
    printed = make(trained, "exp-tiny")
    assert "train.py" not in printed and "wrote runs/figures/exp-tiny/curves.png" in printed


def test_editing_code_comments_and_spacing_makes_nothing_stale(trained):
    edit(trained, "TINY = --act relu", "# a comment\nTINY   =    --act   relu")
    edit(trained, "run.tiny/b     =", "run.tiny/b =\t")
    edit(trained, "import os\n", "import os  # edited\n", "train.py")
    assert would_train(trained, "exp-tiny") == []


def test_changed_flags_make_just_that_run_stale_and_the_old_one_is_kept(trained):
    old = (trained / "runs/tiny/b/seed0/model.pt").read_bytes()
    edit(trained, "--lr 0.01", "--lr 0.02")
    before = tree(trained)
    assert would_train(trained, "exp-tiny") == [("tiny/b", "0")]
    assert tree(trained) == before  # make -n touches nothing
    make(trained, "exp-tiny")
    assert (trained / "runs/tiny/b/seed0.1/model.pt").read_bytes() == old
    assert (trained / "runs/tiny/b/seed0/model.pt").read_bytes() != old
    assert would_train(trained, "exp-tiny") == []


def test_what_is_done_is_told_from_flags_txt_alone(fresh):
    declared = declarations.declarations(fresh)
    for run in declared["run"]:
        for seed in range(5):
            file = fresh / result(run, seed)
            file.parent.mkdir(parents=True)
            file.write_text("{}")
            (file.parent / "flags.txt").write_text(declarations.expected_line(declared, run) + "\n")
    assert would_train(fresh, "all", "SEEDS=0 1 2 3 4") == []
    assert len(would_train(fresh, "all", "SEEDS=0 1 2 3 4", "SYNTHETIC=1", "RUNS=runs")) == 5 * len(declared["run"])


@pytest.mark.parametrize("old, new", [("--lr 0.01 --momentum 0.8", "--lr 0.01"), ("--momentum 0.8", "--momentum 0.88"),
                                      ("--momentum 0.8", "--momentum 0.8 --flip"), ("--lr 0.01", "--lr 0.011")])
def test_flags_count_to_the_last_letter(trained, old, new):
    edit(trained, old, new)
    assert would_train(trained, "exp-tiny") == [("tiny/b", "0")]


def test_the_same_flags_in_another_order_are_the_same_run(trained):
    def weights_and_log():
        return {path: content for path, content in tree(trained / "runs/tiny/b").items()
                if path.name not in ("result.json", "flags.txt")}

    old = weights_and_log()
    edit(trained, "--lr 0.01 --momentum 0.8", "--momentum 0.8 --lr 0.01")
    assert "finished before" in make(trained, "exp-tiny")
    assert weights_and_log() == old
    assert would_train(trained, "exp-tiny") == []


def test_how_result_json_is_written_does_not_matter(trained):
    file = trained / result("tiny/b")
    file.write_text(json.dumps(json.loads(file.read_text()), separators=(",", ":")))
    assert would_train(trained, "exp-tiny") == []


def test_runs_of_an_older_version_are_adopted(trained):
    """They have no flags.txt: their flags are in result.json alone."""
    make(trained, result("tiny/c"))
    lines = {}
    for run in "abc":
        file = trained / f"runs/tiny/{run}/seed0/flags.txt"
        lines[file] = file.read_text()
        file.unlink()
    assert would_train(trained, "exp-tiny", "exp-chain") == []
    assert {file: file.read_text() for file in lines} == lines
    for file in lines:
        file.unlink()
    edit(trained, "--lr 0.01", "--lr 0.02")
    assert would_train(trained, "exp-tiny", "exp-chain") == [("tiny/b", "0")]


def test_seeds_flags_and_generated_data_have_places_of_their_own(trained):
    assert would_train(trained, "exp-tiny", "SEEDS=0 1") == [("tiny/a", "1"), ("tiny/b", "1")]
    assert len(would_train(trained, "exp-tiny", "FLAGS=--lr 0.5")) == 2
    assert "--lr 0.5 --runs runs-flags --run tiny/a" in make(trained, "-n", "exp-tiny", "FLAGS=--lr 0.5")
    assert "--synthetic --runs runs-synthetic --run tiny/a" in make(trained, "-n", "exp-tiny", "SYNTHETIC=1")
    assert "--data-dir elsewhere" in make(trained, "-n", "exp-tiny", "RUNS=other", "DATA=elsewhere")


def test_flags_that_are_no_part_of_a_run_do_not_make_it_another(fresh):
    words = result("tiny/b", folder="runs-flags"), "--device cpu --lr 0.1 --save-every=9"
    make(fresh, words[0], f"FLAGS={words[1]}")
    assert would_train(fresh, words[0], f"FLAGS={words[1]}") == []
    assert would_train(fresh, words[0], "FLAGS=--lr 0.1") == []
    assert would_train(fresh, words[0], "FLAGS=--weights f --lr 0.1") == []
    assert would_train(fresh, words[0], "FLAGS=--lr 0.1 --threads 2") == []
    all_of_them = [f"{flag} 1" if has_value else flag for flag, has_value in runs.NOT_IDENTITY.items()]
    assert would_train(fresh, words[0], f"FLAGS={' '.join(all_of_them)} --lr 0.1") == []
    for other in ("--device cpu --lr 0.2", "--lr 0.1 --flip", "--threads 2"):
        assert would_train(fresh, words[0], f"FLAGS={other}") == [("tiny/b", "0")]


@pytest.mark.parametrize("words, said", [
    ("SEEDS=0,1", "no list of whole numbers"), ("GPUS=0", "no number of GPUs"), ("RUNS=my runs", "spaces"),
    ("JOBS=0", "no number of runs")])
def test_variables_that_make_no_sense_are_said_at_once(first, words, said):
    assert said in make(first[0], "exp-tiny", words, expect=2)
    assert would_train(first[0], "exp-tiny", "SEEDS=0  0", "SYNTHETIC=0") == []


def test_a_result_with_other_flags_is_not_shown_as_the_declared_run(trained):
    edit(trained, "--lr 0.01 --momentum 0.8", "--lr 0.01 --momentum 0.7")
    edit(trained, "sys.exit(main())", "sys.exit(2)", "train.py")  # nothing can be trained now
    printed = make(trained, "exp-tiny", expect=2)
    assert re.search(r"^\| b .*\| 0 +\|$", printed, re.M) and "status: 1 done, 1 missing" in printed


def test_a_broken_result_is_named_and_the_others_are_shown(trained):
    (trained / result("tiny/a")).write_text('{"torn')
    printed = make(trained, "exp-tiny", expect=2)
    assert "failed      tiny/a seed 0" in printed and "status: 1 done, 1 failed" in printed
    assert "Traceback" not in printed
    (trained / "runs/tiny/a/seed0/flags.txt").unlink()  # as older versions left it: what to adopt cannot be told
    printed = make(trained, "-n", "exp-tiny")
    assert "runs/tiny/a/seed0 is taken for stale: " in printed and "--run tiny/a" in printed


# ---- runs that need another run -------------------------------------------------------------------------------------

def test_a_run_waits_for_the_one_that_it_starts_from_and_follows_it(trained, fresh):
    assert would_train(fresh, "exp-chain") == [("tiny/a", "0"), ("tiny/c", "0")]
    make(trained, "-j4", result("tiny/c"))
    assert would_train(trained, "exp-chain") == []
    edit(trained, "--max-steps 2\n", "--max-steps 3\n")
    assert would_train(trained, "exp-chain") == [("tiny/a", "0"), ("tiny/c", "0")]
    edit(trained, "--max-steps 3\n", "--max-steps 2\n")
    edit(trained, "run.tiny/a     = $(TINY)", "run.tiny/a     = $(TINY) --lr 0.5")  # c's own flags are what they were
    assert would_train(trained, "exp-chain") == [("tiny/a", "0"), ("tiny/c", "0")]
    make(trained, result("tiny/a"))  # stopped here, c would have a newer a than it started from
    assert would_train(trained, "exp-chain") == [("tiny/c", "0")]
    make(trained, result("tiny/c"))
    assert (trained / "runs/tiny/c/seed0.1").exists() and would_train(trained, "exp-chain") == []


def test_a_run_waits_for_the_one_that_scores_its_labels_and_follows_it(fresh):
    # They are declared the other way round.
    assert would_train(fresh, "exp-clean") == [("tiny/scorer", "0"), ("tiny/cleaned", "0")]
    printed, out = make(fresh, "-j2", "exp-clean"), fresh / "runs/figures/exp-clean"
    assert {p.name for p in out.iterdir()} == {"curves.png", "confusion-cleaned.png", "confusion-scorer.png",
                                               "features-scorer.png", "table.md", "made-from.json"}
    # No run is declared that is like `cleaned` but not cleaned.
    assert "- cleaned, seed 0: dropped" not in printed and "Layers of scorer:" in printed
    assert (fresh / "runs/tiny/scorer/seed0/described.json").exists() and would_train(fresh, "exp-clean") == []
    edit(fresh, "--split val+addition\n", "--split val+addition --lr 0.05\n")  # cleaned's own flags are what they were
    assert would_train(fresh, "exp-clean") == [("tiny/scorer", "0"), ("tiny/cleaned", "0")]
    # As if that make were stopped after the first: cleaned would have another scorer than it says.
    line = declarations.expected_line(declarations.declarations(fresh), "tiny/scorer")
    (fresh / "runs/tiny/scorer/seed0/flags.txt").write_text(line + "\n")
    assert would_train(fresh, "exp-clean") == [("tiny/cleaned", "0")]


# ---- second names ---------------------------------------------------------------------------------------------------

def give_second_name(folder):
    """Declares tiny/again, a second name of tiny/b, and three comparisons that name it."""
    edit(folder, "run.tiny/b ", "alias.tiny/again = tiny/b\nwant.tiny/again = test_acc=0.25\nexp.both = tiny/b "
         "tiny/again\nexp.apart = tiny/a tiny/again\nexp.alone = tiny/again\nrun.tiny/b ")


def test_a_comparison_that_names_an_alias_needs_the_run_that_it_stands_for(fresh):
    give_second_name(fresh)
    assert would_train(fresh, "exp-both", "SEEDS=0 1") == [("tiny/b", "0"), ("tiny/b", "1")]
    assert would_train(fresh, "exp-apart") == [("tiny/a", "0"), ("tiny/b", "0")]
    assert would_train(fresh, "exp-alone", "exp-both") == [("tiny/b", "0")]
    for goal in ("all", "train", "report-tiny"):
        trained = would_train(fresh, goal)
        assert len(trained) == len(set(trained)) == 8 and ("tiny/again", "0") not in trained
    assert "No rule to make target" in make(fresh, result("tiny/again"), expect=2)


def test_an_alias_shows_what_was_measured_of_its_run(trained):
    give_second_name(trained)
    printed = make(trained, "exp-both")
    row_of_b, row_of_again = re.findall(r"^\| (?:b|again) .*$", printed, re.M)
    cells, others = ([cell.strip() for cell in row.split("|")] for row in (row_of_b, row_of_again))
    assert (others[1], cells[1]) == ("again", "b") and "25" in others[3] and "25" not in cells[3]  # reported
    assert others[4] == cells[4] and re.search(r"\d", cells[4]) and others[-2] == cells[-2] == "1"  # measured, seeds
    assert "begins" not in printed and printed.endswith("status: 1 done\n")
    printed = make(trained, "exp-alone")
    assert f"| {cells[4]} " in printed and printed.endswith("status: 1 done\n")
    assert "as before" in make(trained, "exp-alone")
    assert sorted(path.name for path in (trained / "runs/tiny").iterdir() if path.is_dir()) == ["a", "b"]
    edit(trained, "--lr 0.01", "--lr 0.02")
    assert would_train(trained, "exp-alone") == [("tiny/b", "0")]


def test_an_alias_is_shown_made_anew_and_listed_as_its_run(trained):
    give_second_name(trained)
    assert make(trained, "show", "RUN=tiny/again") == "# tiny/again = tiny/b\n" + make(trained, "show", "RUN=tiny/b")
    assert would_train(trained, "redo", "RUN=tiny/again", "SEEDS=0 1") == [("tiny/b", "0"), ("tiny/b", "1")]
    printed = make(trained, "redo", "RUN=tiny/again")
    assert printed.startswith("# tiny/again = tiny/b\n") and (trained / "runs/tiny/b/seed0.1").exists()
    assert "  alias       tiny/again = tiny/b\n  done        tiny/b seed 0\n" in printed
    assert not (trained / "runs/tiny/again").exists()
    printed = make(trained, "status")
    assert "  alias       tiny/again = tiny/b\n" in printed and "status: 2 done, 6 missing" in printed
    assert f"\n  {'tiny/again':36}= tiny/b, reported: test acc 25 %\n" in make(trained, "list")


def test_redo_of_an_alias_first_trains_what_its_run_starts_from(fresh):
    edit(fresh, "run.tiny/c ", "alias.tiny/again = tiny/c\nrun.tiny/c ")
    assert would_train(fresh, "redo", "RUN=tiny/again") == [("tiny/a", "0"), ("tiny/c", "0")]


@pytest.mark.parametrize("line", ["alias.tiny/again = tiny/none", "alias.tiny/a = tiny/b",
                                  "alias.tiny/again = tiny/a\nrun.tiny/more = --init-from=tiny/again"])
def test_a_wrong_alias_ends_every_make_before_it_trains(fresh, line):
    with open(fresh / "experiments/tiny.mk", "a") as file:
        file.write(f"{line}\n")
    for goal in ("all", "exp-tiny", "list"):
        printed = make(fresh, goal, expect=2)
        assert "experiments/tiny.mk:" in printed and "tiny/a" in printed and "begins" not in printed


# ---- what goes wrong, and deadlines ---------------------------------------------------------------------------------

def test_divergence_and_missing_data_do_not_stop_the_rest(trained):
    printed = make(trained, "exp-wrong", expect=2)
    assert "looked for" in printed and "python data.py fetch cifar10" in printed
    assert "1 diverged" in printed and "status: 1 done, 1 diverged, 1 missing" in printed
    assert "Traceback" not in printed and "ignored" not in printed
    assert would_train(trained, "exp-wrong") == [("tiny/lacks", "0")]  # a diverged run is a result
    assert not (trained / "runs/tiny/lacks/seed0").exists()
    printed = make(trained, "redo", "RUN=tiny/diverges")
    assert "begins" in printed and "diverged    tiny/diverges seed 0" in printed
    assert (trained / "runs/tiny/diverges/seed0.1").exists()


def test_a_failed_run_is_named_and_mended_by_the_next_make(fresh):
    largest = ("bash", "-c", 'ulimit -f 100; exec "$@"', "bash")  # no file above 100 kB
    printed = make(fresh, "exp-tiny", expect=2, prefix=largest, python=forks())
    assert "status: 2 failed" in printed
    assert "failed      tiny/a seed 0  OSError" in make(fresh, "status")
    make(fresh, "exp-tiny")
    assert not (fresh / "runs/tiny/a/seed0/failed.txt").exists()


def test_two_makes_at_once_never_train_the_same_run(fresh):
    edit(fresh, "--batch-size 100 --max-steps 2", "--batch-size 100 --max-steps 200")  # so long that the makes meet
    processes = [make(fresh, "-j2", "exp-tiny", start=True, python=forks()) for _ in range(2)]
    printed = [process.communicate()[0] for process in processes]
    assert sum(text.count("begins") for text in printed) == 2, printed
    assert not list(fresh.glob("runs/tiny/*/seed0.1")) and would_train(fresh, "exp-tiny") == []


def test_a_signal_to_make_reaches_the_run_which_saves_and_goes_on_later(fresh):
    process, run = make(fresh, "exp-long", start=True, python=forks()), fresh / "runs/tiny/long/seed0"
    while not (run / "log.jsonl").exists() or not (run / "log.jsonl").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    assert "running     tiny/long" in make(fresh, "status")
    assert "another process" in make(fresh, "exp-long", expect=2)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode != 0
    deadline = time.time() + 20
    while runs.is_locked(run) and time.time() < deadline:
        time.sleep(0.1)
    assert "interrupted tiny/long" in make(fresh, "status")
    assert (run / "checkpoint.pt").exists() and "stopped by SIGTERM" in (run / "train.log").read_text()
    printed = make(fresh, "exp-long", "STOP_AFTER=5s", expect=2)
    assert "goes on after epoch" in printed and "stopped by the deadline" in printed and "1 interrupted" in printed
    assert (fresh / "runs/figures/exp-long/curves.png").exists()


def stop_moments(folder, *words, **env):
    """Returns the moments, in seconds since 1970, at which `make -n` says that its runs would stop."""
    return [int(moment) for moment in re.findall(r"--stop-at (\d+)", make(folder, "-n", *words, **env))]


def test_a_deadline_is_one_moment_for_all(fresh):
    before = int(time.time())
    moments = stop_moments(fresh, "exp-wrong", "exp-chain", "STOP_AFTER=1h30m")
    assert len(moments) == 4 and len(set(moments)) == 1
    assert before + 5400 <= moments[0] <= time.time() + 5400
    assert 460 < stop_moments(fresh, "exp-tiny", "STOP_AFTER=08m")[0] - time.time() <= 480
    assert stop_moments(fresh, "exp-tiny") == []


def test_a_make_within_a_make_has_its_deadline(fresh):
    edit(fresh, "exp.tiny ", "exp.bn-dropout ")  # what quickstart makes
    edit(fresh, "plots.tiny ", "plots.bn-dropout ")
    edit(fresh, "\t$(MAKE) exp-bn-dropout", "\tsleep 1.1; $(MAKE) exp-bn-dropout", "Makefile")
    before = int(time.time())
    moments = stop_moments(fresh, "quickstart", "STOP_AFTER=50m")
    assert len(moments) == 2 and len(set(moments)) == 1 and moments[0] - before - 3000 in (0, 1)


def test_a_deadline_that_is_over_starts_nothing(trained):
    printed = make(trained, "exp-chain", "STOP_AFTER=0s", expect=2)
    assert "no time left" in printed and "begins" not in printed and "status: 1 done, 1 missing" in printed
    assert "no time such as" in make(trained, "exp-tiny", "STOP_AFTER=soon", expect=2)


# ---- looking at what is declared ------------------------------------------------------------------------------------

def test_show_prints_a_command_for_each_seed(trained):
    flags = "--act relu --synthetic --batch-size 100 --max-steps 2 --lr 0.01 --momentum 0.8"
    command = f"{forks()} train.py {flags} --run tiny/b --seed"
    assert make(trained, "show", "RUN=tiny/b") == f"{command} 0\n"
    assert make(trained, "show", "RUN=tiny/b", "SEEDS=0 3") == f"{command} 0\n{command} 3\n"
    edit(trained, "--momentum 0.8", "--momentum 0.8 --lr 0.02")
    assert make(trained, "show", "RUN=tiny/b") == f"{command.replace('0.01', '0.02')} 0\n"
    for target in ("show", "redo"):
        assert "make list names the runs" in make(trained, target, "RUN=tiny/x", expect=2)
        assert "make list names the runs" in make(trained, target, expect=2)


def test_no_declared_run_is_shown_with_a_flag_twice():
    """make is asked once for all commands; `show` prints what runs.each_once makes of each."""
    rule = "all-commands: ; @:$(foreach r,$(RUN_NAMES),$(info $(call command,$r,0)))"
    commands = make(ROOT, "-s", f"--eval={rule}", "all-commands", "RUNS=runs-test").splitlines()
    shown = {}
    for command in commands:
        words = runs.each_once(command.split()).split()
        flags = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert len(flags) == len(set(flags)), command
        shown[words[words.index("--run") + 1]] = words[2:]
        assert train.parse(words[2:]) == train.parse(command.split()[2:])
    assert set(shown) == set(declarations.trained(declarations.declarations()))
    run = "keypoints/adam-bn"
    assert make(ROOT, "show", f"RUN={run}", "RUNS=runs-test").split()[2:] == shown[run]


def test_redo_trains_every_seed_anew_and_keeps_the_old_folder(trained):
    old = tree(trained / "runs/tiny/b/seed0")
    printed = make(trained, "redo", "RUN=tiny/b", "SEEDS=0 1")
    assert printed.count("begins") == 2
    assert "done        tiny/b seed 0" in printed and "done        tiny/b seed 1" in printed
    assert tree(trained / "runs/tiny/b/seed0.1") == old and not (trained / "runs/tiny/b/seed1.1").exists()
    assert would_train(trained, "exp-tiny") == []


def test_redo_first_trains_what_the_run_starts_from(trained, fresh):
    assert would_train(fresh, "redo", "RUN=tiny/c") == [("tiny/a", "0"), ("tiny/c", "0")]
    assert would_train(trained, "redo", "RUN=tiny/c") == [("tiny/c", "0")]


def test_status_says_why_runs_cannot_be_trained(trained):
    printed = make(trained, "status")
    assert "missing     tiny/lacks" in printed and "status: 2 done, 6 missing" in printed
    assert "for 1 run train.py fetches CIFAR-10" in printed and "cannot be trained" not in printed
    edit(trained, "run.tiny/lacks = --act relu", "run.tiny/lacks = --model keypoint --data faces21")
    assert "1 run cannot be trained as things are: No faces21 under data" in make(trained, "status")


def test_a_comparison_of_an_undeclared_run_is_said_at_once(fresh):
    edit(fresh, "exp.tiny       = tiny/a tiny/b", "exp.tiny       = tiny/a tiny/bb")
    assert "exp.tiny names tiny/bb, which no run.tiny/bb declares" in make(fresh, "help", expect=2)


def test_list_names_file_and_line_of_flags_that_make_no_sense(fresh):
    printed = make(fresh, "list")
    assert "exp-chain: A run that starts from another." in printed and "tiny.mk:" not in printed
    edit(fresh, "--momentum 0.8", "--momentun 0.8")
    edit(fresh, "--split val+addition", "--split leak")
    printed, lines = make(fresh, "list", expect=2), (fresh / "experiments/tiny.mk").read_text().splitlines()
    assert "exp-chain: A run that starts from another." in printed
    for run, word in (("tiny/b", "--momentun"), ("tiny/scorer", "--split leak")):
        number = 1 + [line.startswith(f"run.{run} ") for line in lines].index(True)
        assert re.search(rf"^experiments/tiny\.mk:{number}: {run}: .*{re.escape(word)}", printed, re.M), printed
    assert printed.count("tiny.mk:") == 2


def named_by_help(printed):
    """Returns {target: its sentence} of what make help prints."""
    return dict(re.findall(r"^ {2,4}(\S+) *(.*)$", printed, re.M))


def test_help_names_every_target():
    helped = named_by_help(make(ROOT))
    expected = TARGETS | {f"exp-{name}" for name in declarations.declarations()["exp"]}
    expected |= {f"report-{name}" for name in REPORTS}
    assert {name for name in helped if not name.startswith("[")} == expected
    assert all(helped[name] for name in TARGETS)


def test_help_joins_the_lines_of_a_sentence_and_gives_none_to_others(fresh):
    (fresh / "experiments/words.mk").write_text(
        "# Words.\n\n## A sentence that goes on\n## in a second line.\nexp.long-words = tiny/a\n"
        "exp.no-words = tiny/b\n## Only this.\n\n# A comment.\nexp.few-words := tiny/b\n\nexp.spaceless=tiny/c\n")
    helped = named_by_help(make(fresh, "help"))
    assert helped["exp-long-words"] == "A sentence that goes on in a second line."
    assert helped["exp-no-words"] == "" == helped["exp-spaceless"]
    assert helped["exp-few-words"] == "Only this."
    assert helped["exp-tiny"] == "Two rates." and helped["report-words"] == "all of experiments/words.mk"
    about = declarations.declarations(fresh)["about"]
    assert about == {name.removeprefix("exp-"): helped[name] for name in helped if name.startswith("exp-")}


# ---- reports --------------------------------------------------------------------------------------------------------

def test_a_report_trains_the_seeds_that_are_asked_for(fresh):
    names = ["tiny/a", "tiny/b", "tiny/c", "tiny/scorer", "tiny/cleaned", "tiny/lacks", "tiny/diverges", "tiny/long"]
    found = would_train(fresh, "report-tiny", "SEEDS=0 1")
    assert sorted(found) == sorted((name, seed) for name in names for seed in "01")
    assert '--seeds "0 1"' in make(fresh, "-n", "report-tiny", "SEEDS=0 1").splitlines()[-1]


def test_a_comparison_belongs_to_the_report_whose_file_declares_it(fresh):
    (fresh / "experiments/other.mk").write_text("exp.borrowed = tiny/a other/x\nrun.other/x = --act relu --synthetic\n")
    assert would_train(fresh, "report-other") == [("tiny/a", "0"), ("other/x", "0")]
    assert re.search(r"report\.py exp borrowed --runs", make(fresh, "-n", "report-other"))
    of_tiny = make(fresh, "-n", "report-tiny")
    assert "other/x" not in of_tiny and "exp tiny chain clean wrong long --runs" in of_tiny
    assert declarations.declarations(fresh)["report"]["borrowed"] == "other"


def test_two_lines_declare_a_comparison(fresh):
    (fresh / "experiments/tiny.mk").write_text("exp.plain = few/x\nrun.few/x = --act relu\n")
    (fresh / "experiments/tiny.mk").rename(fresh / "experiments/few.mk")
    assert would_train(fresh, "exp-plain") == [("few/x", "0")]
    assert named_by_help(make(fresh))["exp-plain"] == ""
    short = "SYNTHETIC=1", "FLAGS=--max-steps 2 --batch-size 100"
    printed = make(fresh, "exp-plain", *short)
    assert "status: 1 done" in printed and would_train(fresh, "exp-plain", *short) == []
    out = fresh / "runs-synthetic-flags/figures/exp-plain"
    assert (out / "curves.png").stat().st_size > 1000 and "| x " in (out / "table.md").read_text()
    assert re.search(r"^exp-plain\n +few/x *$", make(fresh, "list"), re.M)
    (fresh / "README.md").write_text(f"{pages.BEGIN}\n{pages.END}\n")
    make(fresh, "report")
    page = (fresh / "results/few.md").read_text()
    assert "Not measured yet" in page and "exp-plain" in page


def test_clean_leaves_data_results_and_runs(trained):
    for name in ("data", "results", "runs-flags", "runs-smoke", "runs-synthetic", "runs-quickstart"):
        (trained / name).mkdir()
        (trained / name / "file").write_text("")
    make(trained, "clean")
    assert {p.name for p in trained.iterdir() if p.is_dir()} == {"data", "results", "runs", "runs-flags", "experiments"}
    assert (trained / result("tiny/a")).exists()


def test_report_writes_pages_figures_and_the_readme_from_records(trained):
    for name in "ab":  # as if they were full runs on real data
        file = trained / result(f"tiny/{name}")
        content = json.loads(file.read_text())
        content["data"]["synthetic"], content["max_steps"] = False, None
        file.write_text(json.dumps(content))
    (trained / "README.md").write_text(f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n")
    make(trained, "report")
    page, readme = (trained / "results/tiny.md").read_text(), (trained / "README.md").read_text()
    assert "## exp-tiny" in page and "](figures/exp-tiny-curves.png)" in page and "Not measured yet" in page
    assert (trained / "results/figures/exp-tiny-curves.png").exists()
    assert readme.startswith("before") and readme.endswith("after\n") and "old" not in readme
    assert "](results/tiny.md)" in readme
    before = tree(trained)
    shutil.rmtree(trained / "runs")  # another machine: the records are enough
    make(trained, "report")
    assert {path: content for path, content in before.items() if path.parts[0] != "runs"} == tree(trained)
