"""Where runs stand, why one cannot be trained here, and the list of what is declared."""
import fcntl
import json
from types import SimpleNamespace

import pytest

import data
import by_hand
from experiments import declarations, runs, status


@pytest.fixture
def options(tmp_path):
    return SimpleNamespace(runs=tmp_path / "runs", data_dir=tmp_path / "none", seeds=[0], flags="")


def declared(**of_runs):
    return {"run": {f"a/{run}": flags for run, flags in of_runs.items()}}


def leave(options, run, seed=0, **result):
    """Leaves a run folder; with a result.json where one is given."""
    folder = options.runs / run / f"seed{seed}"
    folder.mkdir(parents=True)
    if result:
        runs.save_json(by_hand.result(run, seed, **result), folder / "result.json")
    return folder


def test_every_state_is_named_and_counted(options, capsys):
    of = declared(done="--synthetic", dead="--synthetic", other="--synthetic", broken="--synthetic",
                  begun="--synthetic", failed="--synthetic", new="--synthetic", busy="--synthetic")
    leave(options, "a/done", flags="--synthetic")
    leave(options, "a/dead", flags="--synthetic", status="diverged", epochs=3)
    leave(options, "a/other", flags="--lr 1")
    broken = leave(options, "a/broken") / "result.json"
    broken.write_text('{"torn')
    (leave(options, "a/begun") / "log.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n')
    (leave(options, "a/failed") / "failed.txt").write_text("OSError: full\nTraceback")
    with open(runs.lock_file(leave(options, "a/busy")), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not status.status(of, of["run"], options)
        printed = capsys.readouterr().out
        assert not status.status(of, of["run"], options, lines=False)
        short = capsys.readouterr().out
    assert printed.splitlines() == [
        "  done        a/done seed 0", "  diverged    a/dead seed 0  in epoch 3",
        "  missing     a/other seed 0  what is there was made with other flags",
        f"  failed      a/broken seed 0  {broken} is not JSON (Unterminated string starting at: line 1 column 2 (char "
        "1)). Train the run anew with --restart, which keeps its folder aside.",
        "  interrupted a/begun seed 0  after epoch 2", "  failed      a/failed seed 0  OSError: full",
        "  missing     a/new seed 0", "  running     a/busy seed 0  after epoch 0",
        "status: 1 done, 1 diverged, 1 running, 1 interrupted, 2 failed, 2 missing"]
    unfinished = [line for line in printed.splitlines() if not line.startswith(("  done", "  diverged", "  missing"))]
    assert short.splitlines() == unfinished


@pytest.mark.parametrize("args, times, words", [
    ({"epochs": 250}, [10] * 12, "after epoch 12 of 250, about 40 min left"),
    ({"epochs": 250, "early_stop": 20}, [10] * 12, "after epoch 12 of 250, at most 40 min left"),
    ({"epochs": 250}, [60, 60, 600], "after epoch 3 of 250, about 4 h 7 min left"),  # a median: one was interrupted
    ({"epochs": 3}, [5, 5], "after epoch 2 of 3, about 1 min left"),
    ({"epochs": 250}, [], "after epoch 0 of 250"), ({}, [1], "after epoch 1"),
    ({"epochs": 250, "max_steps": 3}, [1], "after epoch 1")])
def test_how_far_a_run_has_come_and_how_long_it_will_take(tmp_path, args, times, words):
    if args:
        runs.save_json(by_hand.args(**args), tmp_path / "args.json")
    rows = [{"epoch": number, "seconds": seconds} for number, seconds in enumerate(times, 1)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert runs.progress(tmp_path) == words
    (tmp_path / "log.jsonl").write_text('{"epoch": 0}\n')
    assert "log.jsonl, line 1: not a line of a log" in runs.progress(tmp_path)


def test_all_are_done_if_each_is_done_or_diverged(options, capsys):
    of = declared(done="--lr 1", dead="--lr 2")
    leave(options, "a/done", flags="--lr 1")
    leave(options, "a/dead", flags="--lr 2", status="diverged")
    assert status.status(of, of["run"], options) and status.status(of, [], options)
    assert capsys.readouterr().out.endswith("status: nothing declared\n")
    options.seeds = [0, 1]
    assert not status.status(of, ["a/done"], options)


def test_an_alias_is_named_beside_its_run_and_not_counted(options, capsys):
    of = {**declared(again="--lr 1", x="--lr 1", y="--lr 2"), "alias": {"a/again": "a/x"}}
    leave(options, "a/x", flags="--lr 1")
    leave(options, "a/again", flags="--lr 1", status="diverged")  # nobody looks there
    assert not status.status(of, of["run"], options)
    printed = capsys.readouterr().out.splitlines()
    assert printed[:3] == ["  alias       a/again = a/x", "  done        a/x seed 0", "  missing     a/y seed 0"]
    assert printed[-1] == "status: 1 done, 1 missing"
    assert status.status(of, ["a/again"], options)  # the run that it stands for decides
    assert capsys.readouterr().out == "  alias       a/again = a/x\n  done        a/x seed 0\nstatus: 1 done\n"
    assert status.status(of, ["a/again", "a/x"], options, lines=False)
    assert capsys.readouterr().out == "status: 1 done\n"


def test_wrong_flags_of_a_run_with_two_names_are_said_once():
    of = {**declared(again="--lerning-rate 1", x="--lerning-rate 1"), "alias": {"a/again": "a/x"},
          "where": {"a/again": "a.mk:1", "a/x": "a.mk:2"}}
    sentence, = status.wrong_flags(of)
    assert sentence.startswith("a.mk:2: a/x: ")


def test_flags_that_make_appends_are_part_of_a_run_and_of_the_one_that_it_starts_from(options):
    of = declared(x="--lr 1", y="--lr 2 --init-from=a/x")
    leave(options, "a/y", flags="--lr 2 --init-from=a/x --epochs 3", init_flags="--lr 1 --epochs 3")
    assert not status.status(of, ["a/y"], options)
    options.flags = "--epochs 3"
    assert status.status(of, ["a/y"], options)
    runs.write_flags_line("--lr 2 --init-from=a/x --epochs 3 < --lr 9 --epochs 3", options.runs / "a/y/seed0")
    assert not status.status(of, ["a/y"], options)


def test_a_run_lacks_what_the_run_lacks_that_it_comes_from(options):
    of = declared(scorer="--data caltech35", clean="--synthetic --clean-by=a/scorer --clean-share 0.1",
                  next="--synthetic --init-from=a/scorer", later="--synthetic --init-from=a/next",
                  by_hand="--synthetic --init-from=b/other")
    lack = status.what_lacks(of, "a/scorer", 0, options)
    assert "looked for caltech35" in lack
    assert [status.what_lacks(of, f"a/{run}", 0, options) for run in ("clean", "next", "later", "by_hand")] == [
        lack, lack, lack, ""]
    leave(options, "a/scorer", flags="--data caltech35")  # it was trained where the data were
    assert [status.what_lacks(of, f"a/{run}", seed, options) for run in ("clean", "next") for seed in (0, 1)] == [
        "", lack, "", lack]
    options.flags = "--synthetic"
    assert status.what_lacks(of, "a/scorer", 1, options) == ""


def test_what_many_runs_lack_is_said_once(options, monkeypatch, capsys):
    asked = []

    def locate(name, root):
        asked.append((name, root))
        raise data.DataError(f"No {name} here.")

    monkeypatch.setattr(data, "locate", locate)
    of = declared(x="--lr 1", y="--lr 2", z="--data faces21")
    status.status(of, of["run"], options)
    printed = capsys.readouterr().out
    assert "  2 runs cannot be trained as things are: No cifar10 here.\n" in printed
    assert "  1 run cannot be trained as things are: No faces21 here.\n" in printed
    assert set(asked) == {("cifar10", options.data_dir), ("faces21", options.data_dir)}


def test_that_cifar10_is_not_there_is_no_lack_since_it_is_fetched(options, capsys):
    of = declared(x="--lr 1", y="--lr 2 --init-from=a/x", generated="--synthetic", faces="--data faces21")
    assert [status.what_lacks(of, f"a/{run}", 0, options) for run in ("x", "y", "generated")] == [""] * 3
    assert "No faces21" in status.what_lacks(of, "a/faces", 0, options)
    status.status(of, of["run"], options)
    printed = capsys.readouterr().out
    assert "  for 2 runs train.py fetches CIFAR-10, once for all. Without a network put its archive on" in printed
    assert printed.count("cannot be trained") == 1
    (options.data_dir / "cifar10/cifar-10-batches-py").mkdir(parents=True)
    status.status(of, of["run"], options)
    assert "CIFAR-10" not in capsys.readouterr().out


def test_a_cifar10_that_is_there_and_broken_is_a_lack(options, monkeypatch, capsys):
    of = declared(x="--lr 1")
    options.data_dir.mkdir()
    (options.data_dir / "cifar10").write_text("not a folder")  # nothing can be put there
    assert "No CIFAR-10" in status.what_lacks(of, "a/x", 0, options)
    (options.data_dir / "cifar10").unlink()
    assert status.what_lacks(of, "a/x", 0, options) == ""

    def locate(name, root):
        raise data.DataError(f"{root}/{name} holds half of it.")

    monkeypatch.setattr(data, "locate", locate)
    status.status(of, of["run"], options)
    printed = capsys.readouterr().out
    assert f"  1 run cannot be trained as things are: {options.data_dir}/cifar10 holds half of it.\n" in printed
    assert "fetches" not in printed


@pytest.mark.parametrize("flags", ["--data cifar", "--split leak", "--epochs 1o", "--lerning-rate 1"])
def test_flags_that_make_no_sense_are_named_with_file_and_line(flags, options, capsys):
    of = {**declared(x=flags, y="--lr 1 --init-from=a/x", z="--synthetic"), "where": {"a/x": "a.mk:7", "a/y": "a.mk:8"}}
    status.status(of, of["run"], options)
    sentence, = status.wrong_flags(of)
    assert sentence.startswith("a.mk:7: a/x: ")
    assert f"  2 runs cannot be trained as things are: {sentence}\n" in capsys.readouterr().out
    options.flags = flags
    assert status.what_lacks(of, "a/z", 0, options).startswith(f"with {flags} appended: ")


def test_a_run_whose_imagenet_weights_are_not_here_says_how_to_get_them(options, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    options.flags = "--synthetic"
    of = declarations.declarations()
    assert not status.status(of, ["net/resnet18-pretrained"], options)
    printed = capsys.readouterr().out
    assert "missing     net/resnet18-pretrained seed 0" in printed and "status: 1 missing" in printed
    assert f"not in {tmp_path}/hub/checkpoints/resnet18-f37072fd.pth" in printed
    assert "copy resnet18-f37072fd.pth there" in printed
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    (tmp_path / "hub/checkpoints/resnet18-f37072fd.pth").write_text("")
    status.status(of, ["net/resnet18-pretrained"], options)
    assert "cannot be trained as things are" not in capsys.readouterr().out


def test_a_source_that_make_cannot_find_is_named_with_file_and_line():
    of = declared(x="--lr 1", near="--init-from=a/x", apart="--init-from a/x", away="--init-from=b/x",
                  cleaned="--clean-by a/x --clean-share 0.1")
    of["where"] = dict.fromkeys(of["run"], "a.mk:7")
    assert status.wrong_flags(of) == [
        "a.mk:7: a/apart: write --init-from=REPORT/RUN, with =, so that make knows what to train first.",
        "a.mk:7: a/away: --init-from=b/x names no declared run.",
        "a.mk:7: a/cleaned: write --clean-by=REPORT/RUN, with =, so that make knows what to train first."]


@pytest.mark.parametrize("flag", ["--save-every 0", "--bf16", "--device=cpu"])
def test_a_declared_flag_that_says_how_a_run_is_made_is_refused(flag):
    """What decides freshness leaves it out, so that the run would never count as done."""
    of = declared(x=f"--lr 1 {flag}")
    of["where"] = dict.fromkeys(of["run"], "a.mk:7")
    sentence, = status.wrong_flags(of)
    assert sentence.startswith(f"a.mk:7: a/x: {flag.split()[0]} says where or how a run is made, not what it is")


def test_the_list_has_every_comparison_with_its_runs_and_printed_numbers(capsys):
    assert status.show_list(declarations.declarations())
    printed = capsys.readouterr()
    assert printed.err == "" and printed.out.startswith("all: report-caltech35, report-keypoints, report-lenet_vgg, ")
    assert "\nexp-flip: Mirrored images in training.\n  net/baseline " in printed.out
    assert f"\n  {'keypoints/adam-bn':36}reported: valid loss 6\n" in printed.out
    assert f"\n  {'keypoints/sgd':36}\n" in printed.out
    assert f"\n  {'lenet_vgg/vgg16-l2-5':36}= lenet_vgg/vgg3-l2, reported: valid acc 82, 83, 83 %" in printed.out
    assert f"\n  {'lenet_vgg/vgg1-no-aug':36}= lenet_vgg/vggdrop-5\n" in printed.out
