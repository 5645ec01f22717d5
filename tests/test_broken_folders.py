"""Run folders with broken files: each command names the file in one sentence, shows the others, and exits with 2.

The table of what can be broken is made of functions that break a folder. A command that raises anything but its
sentence fails the test, and so does one that waits for a pipe.
"""
import json
import os
import shutil
from types import SimpleNamespace

import pytest
import torch

import by_hand
import models
import plots
import train
from experiments import ask, declarations, figures, folders, records, report, runs, score, starts
from helpers import (FACES, OBJECTS, change_args, ends_within, go, no_training, result_of, smaller_data, stop_every,
                     substance)
from makes import copy_project, make, result, would_train

FLAGS = f"{OBJECTS} --channels 6,16 --batch-size 40 --optim adam --epochs 3 --save-every 0 --test-weights none"
DECLARED = declarations.declarations()
TYPED = runs.identity_flags(FLAGS.split())
DECLARED = {**DECLARED, "exp": {**DECLARED["exp"], "pair": ["t/good", "t/bad"]},
            "plots": {**DECLARED["plots"], "pair": ["curves"]}, "about": {**DECLARED["about"], "pair": "Two."},
            "run": {**DECLARED["run"], "t/good": TYPED, "t/bad": TYPED}}


@pytest.fixture(scope="module", autouse=True)
def tiny_data():
    with smaller_data(cifar10=200, faces21=80):
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_data):
    """A folder of runs: t/good and t/bad have finished, t/half was stopped in its third epoch, with two checkpoints."""
    place = tmp_path_factory.mktemp("trained")
    for run in ("t/good", "t/bad"):
        assert go(place, FLAGS, run)[0] == 0
    with pytest.MonkeyPatch.context() as patch:
        stop_every(patch, 12)  # epochs of four steps, after each of which the valid images are scored
        assert go(place, FLAGS, "t/half")[0] == 75
    return place / "runs"


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A copy of that folder, in which every command works; pictures are not written, and curves not drawn."""
    shutil.copytree(trained, tmp_path / "runs")
    monkeypatch.setattr(declarations, "declarations", lambda: DECLARED)
    monkeypatch.setattr(plots, "save", lambda fig, path: None)
    monkeypatch.setattr(plots, "curves", lambda found, *_: [record["run"] for record in found].index("t/good"))
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_is_waited_for():
    """Fails a test that takes a minute."""
    with ends_within(60):
        yield


# ---- how a file is broken -------------------------------------------------------------------------------------------

def folder_instead(file):
    file.unlink(missing_ok=True)
    (file / "inside").mkdir(parents=True)


def link_to_nothing(file):
    file.unlink(missing_ok=True)
    file.symlink_to("nothing")


def pipe_instead(file):
    file.unlink(missing_ok=True)
    os.mkfifo(file)


def cut_in_the_middle(file):
    file.write_bytes(file.read_bytes()[:40])


def holds(content):
    """Breaks a file by giving it another content."""
    def replace(file):
        file.write_bytes(content)
    return replace


NO_FILE = {"folder": folder_instead, "link": link_to_nothing, "pipe": pipe_instead}
NO_JSON = {"words": holds(b"hello"), "empty": holds(b""), "cut": cut_in_the_middle, "latin": holds(b'{"a": "\xff"}'),
           "zeros": holds(b"\0" * 100), "deep": holds(b"[" * 100_000), "deep object": holds(b'{"a":' * 100_000),
           "infinite": holds(b'{"seed": 1e999}'), "digits": holds(b'{"seed": 1' + b"0" * 10_000 + b"}"),
           "nan": holds(b'{"seed": NaN}'), "half a letter": holds(b'{"run": "\\ud800"}')}
NO_OBJECT = {"list": holds(b"[]"), "number": holds(b"5"), "null": holds(b"null"), "text": holds(b'"x"'),
             "nothing": holds(b"{}")}
BROKEN = {**NO_FILE, **NO_JSON, **NO_OBJECT}


def commands(place, run, capsys):
    """Yields (command, exit code, stdout, stderr) of what reads the folder of this run, and that of t/good."""
    where = ["--runs", str(place / "runs")]
    for words in (["exp", "pair"], ["status", "t/good", "t/bad"]):
        yield words[0], report.main([*words, *where]), *capsys.readouterr()
    yield "curves", figures.main(["curves", *where, "--out", str(place / "out"), "t/good", run]), *capsys.readouterr()


def is_named_once(file, error):
    """Does just one line name the file, and no line a traceback? It says how to mend it, too."""
    named = [line for line in error.splitlines() if str(file) in line]
    return len(named) == 1 and "Traceback" not in error and ("--restart" in named[0] or "emove it" in named[0])


# ---- one file -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("name", ["args.json", "result.json"])
def test_a_finished_run_with_a_broken_file(place, capsys, name, how):
    file = place / "runs/t/bad/seed0" / name
    BROKEN[how](file)
    for command, code, out, error in commands(place, "t/bad", capsys):
        if command == "status":
            assert code == 0 and "done        t/good" in out and f"failed      t/bad seed 0  {file}" in out
            continue
        assert code == 2 and is_named_once(file, error), (command, error)
        assert "| good |" in out if command == "exp" else "curves.png" in out
    assert go(place, FLAGS, "t/bad")[0] == 2
    assert is_named_once(file, capsys.readouterr().err)
    code, error = score.main(["--score", str(file.parent)]), capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and ("no finished run" in error or is_named_once(file, error))


@pytest.mark.parametrize("how", BROKEN)
def test_a_half_finished_run_with_broken_settings(place, capsys, how):
    file = place / "runs/t/half/seed0/args.json"
    BROKEN[how](file)
    code, _ = go(place, FLAGS, "t/half")
    assert code == 2 and is_named_once(file, capsys.readouterr().err)
    assert runs.state_of(file.parent, TYPED)[0] == "failed"
    where = ["--runs", str(place / "runs"), "--out", str(place / "out")]
    assert figures.main(["curves", *where, "t/good", "t/half"]) == 2
    assert is_named_once(file, capsys.readouterr().err)


@pytest.mark.parametrize("name, how", [("args.json", "zeros"), ("result.json", "pipe"), ("flags.txt", "folder"),
                                       ("log.jsonl", "folder"), ("train.log", "pipe"), ("seed0", "file"),
                                       ("seed0", "link")])
def test_what_the_sentence_advises_helps(place, capsys, name, how):
    folder = place / "runs/t/bad/seed0"
    if name == "seed0":
        shutil.rmtree(folder)
        {"file": holds(b""), "link": link_to_nothing}[how](folder)
    else:
        BROKEN[how](folder / name)
    assert go(place, FLAGS, "t/bad")[0] == 2
    assert "--restart" in capsys.readouterr().err
    assert go(place, f"{FLAGS} --restart", "t/bad")[0] == 0
    assert result_of(folder)["status"] == "finished" and os.path.lexists(f"{folder}.1")
    assert go(place, FLAGS, "t/bad")[0] == 0


@pytest.mark.parametrize("name", ["train.log", "log.jsonl", "flags.txt", "failed.txt", "model.pt", "checkpoint.pt"])
@pytest.mark.parametrize("how", NO_FILE)
def test_whatever_stands_in_place_of_a_file_of_a_half_finished_run(place, capsys, name, how):
    file = place / "runs/t/half/seed0" / name
    NO_FILE[how](file)
    assert go(place, FLAGS, "t/half")[0] == 2 and is_named_once(file, capsys.readouterr().err)
    state, word = runs.state_of(file.parent, TYPED)
    assert state == "failed" and str(file) in word


@pytest.mark.parametrize("how", ["empty", "zeros", "latin"])
def test_flags_and_words_that_are_none_are_written_anew(place, capsys, how):
    folder = place / "runs/t/bad/seed0"
    for name in ("flags.txt", "train.log"):
        BROKEN[how](folder / name)
    assert report.main(["exp", "pair", "--runs", str(place / "runs")]) == 2  # it counts as made with other flags
    assert "1 done, 1 missing" in capsys.readouterr().out
    assert go(place, FLAGS, "t/bad")[0] == 0
    assert (folder / "flags.txt").read_text() == f"{TYPED}\n" and records.finished_at(folder) == ""
    assert score.main(["--score", str(folder)]) == 0
    half = place / "runs/t/half/seed0"
    for name in ("flags.txt", "train.log", "log.jsonl", "failed.txt"):
        BROKEN[how](half / name)
    state, word = runs.state_of(half, TYPED)
    assert state == "failed" and word.isprintable()
    assert go(place, FLAGS, "t/half")[0] == 0 and runs.state_of(half, TYPED) == ("done", "")


# ---- fields ---------------------------------------------------------------------------------------------------------

WRONG = ["missing", None, True, -1, 2.5, 10**300, "x", "", [], [5], {}, {"a": 1}]


def change(file, path, value):
    """Changes a field of a JSON file, "metrics.test_acc" say, or removes it."""
    content = json.loads(file.read_text())
    *above, name = path.split(".")
    inner = content
    for part in above:
        inner = inner[part]
    if value == "missing":
        inner.pop(name, None)
    else:
        inner[name] = value
    file.write_text(json.dumps(content))
    return content


def all_fields():
    """The fields that every version wrote: [(file, field)]."""
    found = [("args.json", name) for name in folders.ARGS]
    for of, fields in (("", folders.RESULT), ("metrics.", folders.METRICS), ("data.", folders.OF_DATA),
                       ("versions.", folders.VERSIONS)):
        found += [("result.json", of + name) for name in fields]
    return [(file, field) for file, field in found if not field.endswith("?")]


@pytest.mark.parametrize("name, field", all_fields())
def test_a_field_that_is_missing_or_holds_something_else(place, capsys, monkeypatch, name, field):
    """Whatever it holds, the comparison is made; what is broken is named with the field."""
    monkeypatch.setattr(figures, "draw", lambda *_: [])
    folder, refused = place / "runs/t/bad/seed0", 0
    whole = (folder / name).read_text()
    for value in WRONG:
        (folder / name).write_text(whole)
        change(folder / name, field, value)
        try:
            runs.read_run(folder)
        except runs.BadInput as e:
            refused += 1
            assert f"{folder / name} is broken: " in str(e) and field in str(e) or f"{folder / name} is of" in str(e)
            if value != "missing":
                continue
        code, (out, error) = report.main(["exp", "pair", "--runs", str(place / "runs")]), capsys.readouterr()
        assert "| good |" in out and (value != "missing" or refused == 1)
        if refused and value == "missing":
            assert code == 2 and is_named_once(folder / name, error)
    assert refused >= 8


def test_settings_that_no_flag_can_give_bring_back_no_net(place, capsys):
    folder = place / "runs/t/bad/seed0"
    whole = (folder / "args.json").read_text()
    for field in json.loads(whole):
        for value in ("x", {"a": 1}):
            (folder / "args.json").write_text(whole)
            change(folder / "args.json", field, value)
            try:
                starts.restore(folder)
            except runs.BadInput as e:
                assert str(folder) in str(e) or field in ("model", "data", "classes", "split"), (field, value, e)


def test_settings_of_an_older_version_bring_the_net_back(place):
    folder = place / "runs/t/bad/seed0"
    change_args(folder, remove=set(json.loads((folder / "args.json").read_text())) - set(folders.ARGS)
                - {"channels", "act"})
    assert starts.restore(folder)[0].bf16 is False


def test_a_run_without_settings_is_named(place, capsys):
    (place / "runs/t/bad/seed0/args.json").unlink()
    assert score.main(["--score", str(place / "runs/t/bad/seed0")]) == 2
    assert "There is no" in capsys.readouterr().err
    where = ["--runs", str(place / "runs"), "--out", str(place / "out"), "t/good", "t/bad"]
    declared = {**DECLARED, "plots": {**DECLARED["plots"], "pair": ["single"]}}
    options = SimpleNamespace(runs=place / "runs", data_dir="data", seeds=[0], flags="")
    assert report.make_exp(declared, ["pair"], options)  # the table needs no settings
    assert "no pictures of t/bad" in capsys.readouterr().err
    for kind in ("single", "layers"):
        assert figures.main([kind, *where]) == 2
        printed = capsys.readouterr()
        assert "args.json" in printed.err and "t/good" in printed.out and "t/bad" not in printed.out


def test_what_was_measured_before_is_no_broken_record():
    found = records.read_records()
    assert len(found) >= 181
    for record in found:
        assert folders.wrong_with_result(record) == ""
        assert "described" not in record or folders.wrong_with_description(record["described"]) == ""
    assert folders.wrong_with_result(by_hand.result()) == "" and folders.wrong_with(by_hand.args(), folders.ARGS) == ""


# ---- the log --------------------------------------------------------------------------------------------------------

FIRST = b'{"epoch": 1, "lr": 0.1, "train_loss": 2.0, "seconds": 1.0}\n'
SECOND = FIRST.replace(b"1,", b"2,", 1)
LOGS = {"garbled in the middle": FIRST + b'{"epo\n' + SECOND, "a number": FIRST + b"5\n", "a list": b"[]\n" + FIRST,
        "an epoch twice": FIRST + FIRST, "out of order": SECOND + FIRST, "left out": FIRST.replace(b"1", b"3", 1),
        "no epoch": b'{"lr": 1}\n', "a text": FIRST.replace(b"2.0", b'"2.0"'), "list": FIRST.replace(b"2.0", b"[]"),
        "nan": FIRST.replace(b"2.0", b"NaN"), "infinite": FIRST.replace(b"2.0", b"1e999"), "bytes": b"\xff\n" + FIRST,
        "truth": FIRST.replace(b"2.0", b"true"), "zeros": b"\0" * 50 + b"\n", "deep": b"[" * 100_000 + b"\n",
        "half a letter": FIRST.replace(b"2.0", b'"\\ud800"'), "a fraction": FIRST.replace(b"1,", b"1.5,", 1)}
BROKEN_LOGS = {**{how: holds(content) for how, content in LOGS.items()}, **NO_FILE}


@pytest.mark.parametrize("how", BROKEN_LOGS)
def test_a_broken_log_is_named_and_a_run_that_goes_on_writes_it_anew(place, capsys, how):
    file = place / "runs/t/bad/seed0/log.jsonl"
    BROKEN_LOGS[how](file)
    for command, code, out, error in commands(place, "t/bad", capsys):
        if command == "status":
            assert code == 0 and f"failed      t/bad seed 0  {file}" in out
            continue
        assert code == 2 and is_named_once(file, error), (command, error)
        assert "| good |" in out if command == "exp" else "curves.png" in out
    half = place / "runs/t/half/seed0"
    BROKEN_LOGS[how](half / "log.jsonl")
    assert str(half / "log.jsonl") in runs.state_of(half, TYPED)[1]
    code = go(place, FLAGS, "t/half")[0]
    if how in NO_FILE:
        assert code == 2 and is_named_once(half / "log.jsonl", capsys.readouterr().err)
    else:
        assert code == 0 and runs.read_run(half)["curves"]["epoch"] == [1, 2, 3]


def test_a_log_whose_last_line_was_cut_off_and_one_of_an_older_version_are_whole(place):
    folder = place / "runs/t/bad/seed0"
    content = (folder / "log.jsonl").read_bytes()
    (folder / "log.jsonl").write_bytes(content[:-20])
    assert runs.read_run(folder)["curves"]["epoch"] == [1, 2]
    (folder / "log.jsonl").write_bytes(b'{"epoch": 1, "lr": 1}\n{"epoch": 2}\n')
    assert runs.read_run(folder)["curves"]["lr"] == [1, None]


# ---- the folder -----------------------------------------------------------------------------------------------------

def another_runs_folder(folder):
    folder.symlink_to(folder.parent.parent / "good/seed0")


@pytest.mark.parametrize("how, said", [(holds(b""), "is a file, not the folder of a run"),
                                       (link_to_nothing, "is a link to nothing, not the folder of a run"),
                                       (another_runs_folder, "is of t/good, seed 0")])
def test_something_else_in_place_of_the_folder(place, capsys, how, said):
    folder = place / "runs/t/bad/seed0"
    shutil.rmtree(folder)
    how(folder)
    for command, code, out, error in commands(place, "t/bad", capsys):
        if command == "status":
            assert code == 0 and f"failed      t/bad seed 0  {folder}" in out
            continue
        assert code == 2 and said in error and is_named_once(folder, error), (command, error)
    assert go(place, FLAGS, "t/bad")[0] == 2
    assert said in capsys.readouterr().err
    before = substance(place / "runs/t/good/seed0")
    assert go(place, f"{FLAGS} --restart", "t/bad")[0] == 0 and result_of(folder)["run"] == "t/bad"
    assert substance(place / "runs/t/good/seed0") == before and os.path.lexists(f"{folder}.1")


def test_the_folder_of_another_seed_is_not_gone_on_with(place, capsys):
    shutil.copytree(place / "runs/t/bad/seed0", place / "runs/t/bad/seed1")
    shutil.copytree(place / "runs/t/half/seed0", place / "runs/t/half/seed1")
    for run, name in (("bad", "result.json"), ("half", "args.json")):
        assert go(place, f"{FLAGS} --seed 1", f"t/{run}")[0] == 2
        assert f"runs/t/{run}/seed1/{name} is of t/{run}, seed 0." in capsys.readouterr().err


def test_a_file_in_place_of_the_folder_of_a_run_and_a_folder_in_place_of_its_lock(place, capsys):
    shutil.rmtree(place / "runs/t/bad")
    (place / "runs/t/bad").write_text("")
    assert go(place, FLAGS, "t/bad")[0] == 2 and f"{place}/runs/t/bad cannot be made" in capsys.readouterr().err
    for command, code, out, error in commands(place, "t/bad", capsys):
        assert code == {"exp": 2, "status": 0, "curves": 0}[command] and "Traceback" not in error
        assert command != "status" or "missing     t/bad" in out
    for run in ("good", "half"):
        lock = place / f"runs/t/{run}/.seed0.lock"
        folder_instead(lock)
        assert runs.state_of(place / f"runs/t/{run}/seed0", TYPED)[0] in ("done", "interrupted")
    assert go(place, FLAGS, "t/half")[0] == 2
    assert f"{lock} is a folder, not the lock of a run. Remove it." in capsys.readouterr().err
    shutil.rmtree(lock)
    os.mkfifo(lock)
    assert go(place, FLAGS, "t/half")[0] == 0


# ---- checkpoints ----------------------------------------------------------------------------------------------------

def of_another_net():
    return models.build("mlp").state_dict()


def of_another_optimizer():
    net = torch.nn.Linear(3, 3)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


ROW = {"epoch": 1, "lr": 0.1, "train_loss": 2.0, "seconds": 1.0}
WHOLE = {"a list": [], "a number": 5, "nothing": {}, "a net": of_another_net()}
PARTS = {"model": [None, {}, of_another_net()], "optimizer": [None, {}, of_another_optimizer()],
         "rng": [None, torch.zeros(3)], "scheduler": [{"a": 1}], "switched": [None, "x"], "epoch": [-1, "x", 7, True],
         "steps": [-1, 2.5], "step": [-1, 99],
         "seconds": ["x", None], "norm": ["x"],
         "rows": [None, 5, [5, 5], [{}, {}], [ROW, ROW], [ROW, {**ROW, "epoch": 2, "seconds": None}],
                  [ROW, {**ROW, "epoch": 2, "train_loss": "x"}]],
         "tallies": [None, 5, {}, {"loss": torch.zeros(4)}, "short", "texts"],
         "best": ["x", {}, {"score": "x", "epoch": 1, "weights": {}}, "other weights", "late"]}
CHECKPOINTS = [(name, None) for name in WHOLE] + [(part, i) for part, wrong in PARTS.items() for i in range(len(wrong))]


def spoil(file, part, which):
    """Writes a checkpoint that is something else, or of which a part is."""
    content = torch.load(file, weights_only=True)
    if which is None:
        content = WHOLE[part]
    elif PARTS[part][which] == "short":
        content[part] = {name: row[:1] for name, row in content[part].items()}
    elif PARTS[part][which] == "texts":
        content[part] = {name: "x" for name in content[part]}
    elif PARTS[part][which] == "other weights":
        content[part] = {**content[part], "weights": of_another_net()}
    elif PARTS[part][which] == "late":
        content[part] = {**content[part], "epoch": 9}
    else:
        content[part] = PARTS[part][which]
    torch.save(content, file)


@pytest.mark.parametrize("part, which", CHECKPOINTS)
def test_a_checkpoint_that_is_none_is_said_and_the_one_before_is_used(place, trained, capsys, part, which):
    folder = place / "runs/t/half/seed0"
    for name in ("checkpoint.1.pt", "checkpoint.pt"):
        assert (folder / name).exists()
    spoil(folder / "checkpoint.pt", part, which)
    code, said = go(place, FLAGS, "t/half")[0], capsys.readouterr().out
    assert code == 0 and f"{folder / 'checkpoint.pt'} " in said and "the one before it is used" in said
    ours, theirs = substance(folder), substance(place / "runs/t/good/seed0")
    assert ours[:3] == theirs[:3]


@pytest.mark.parametrize("part, which", [("a list", None), ("model", 2), ("rows", 3)])
def test_two_checkpoints_that_are_none_are_not_gone_on_from(place, capsys, monkeypatch, part, which):
    folder = place / "runs/t/half/seed0"
    for name in ("checkpoint.1.pt", "checkpoint.pt"):
        spoil(folder / name, part, which)
    with monkeypatch.context() as patch:
        no_training(patch)
        assert go(place, FLAGS, "t/half")[0] == 2 and "--restart" in capsys.readouterr().err
    assert runs.state_of(folder, TYPED)[0] == "failed"
    assert go(place, f"{FLAGS} --restart", "t/half")[0] == 0


# ---- what is made of runs -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_note_on_figures_has_them_made_again(place, capsys, monkeypatch, how):
    monkeypatch.setattr(figures, "draw", lambda *_: [])
    words = ["exp", "pair", "--runs", str(place / "runs")]
    assert report.main(words) == 0
    assert report.main(words) == 0 and "as before" in capsys.readouterr().out
    BROKEN[how](place / "runs/figures/exp-pair/made-from.json")
    assert report.main(words) == 0 and "| good |" in capsys.readouterr().out


@pytest.mark.parametrize("files", [5, None, [5], {"a": 1}, "x"])
def test_a_note_with_other_files_has_them_made_again(place, capsys, monkeypatch, files):
    monkeypatch.setattr(figures, "draw", lambda *_: [])
    words = ["exp", "pair", "--runs", str(place / "runs")]
    assert report.main(words) == 0
    change(place / "runs/figures/exp-pair/made-from.json", "files", files)
    assert report.main(words) == 0 and "as before" not in capsys.readouterr().out


def test_what_could_not_be_read_is_said_every_time(place, capsys):
    (place / "runs/t/bad/seed0/log.jsonl").write_text("5\n")
    for _ in range(2):
        assert report.main(["exp", "pair", "--runs", str(place / "runs")]) == 2
        assert "log.jsonl, line 1" in capsys.readouterr().err


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_description_is_named(tmp_path, how):
    record = {"data": {"name": "caltech35"}, "status": "finished", "metrics": {"test_acc": 0.3}}
    file = tmp_path / "described.json"
    runs.save_json({"confusion": {"train": [[1]], "test": [[1]]}, "silhouette": {"1-5": None, "3,5": 0.5}, "spread": 1},
                   file)
    assert ask.described(record, tmp_path, None)["described"]["spread"] == 1
    BROKEN[how](file)
    with pytest.raises(runs.BadInput, match=r"described\.json .*Remove it"):
        ask.described(record, tmp_path, None)


@pytest.mark.parametrize("field, value", [("spread", "x"), ("confusion", []), ("confusion.train", [[1, 2]]),
                                          ("confusion.test", [[0]]), ("silhouette.1-5", "x"), ("spread", "missing")])
def test_a_description_with_other_fields_is_named(tmp_path, field, value):
    record = {"data": {"name": "caltech35"}, "status": "finished", "metrics": {"test_acc": 0.3}}
    runs.save_json({"confusion": {"train": [[1]], "test": [[1]]}, "silhouette": {"1-5": None, "3,5": 0.5}, "spread": 1},
                   tmp_path / "described.json")
    change(tmp_path / "described.json", field, value)
    with pytest.raises(runs.BadInput, match=r"described\.json is broken: .*Remove it"):
        ask.described(record, tmp_path, None)


@pytest.mark.parametrize("how", ["cut", "pipe", "nothing"])
def test_merging_takes_the_others(place, capsys, monkeypatch, how):
    monkeypatch.setattr(records, "RECORDS", place / "results/records.jsonl")
    for run in ("good", "bad"):
        change(place / f"runs/t/{run}/seed0/result.json", "data.synthetic", False)
    BROKEN[how](place / "runs/t/bad/seed0/result.json")
    assert not records.merge(DECLARED, place / "runs")
    assert [record["run"] for record in records.read_records()] == ["t/good"]
    assert is_named_once(place / "runs/t/bad/seed0/result.json", capsys.readouterr().err)


@pytest.mark.parametrize("line", [b"5", b"{", b"\xff", b"[" * 100_000])
def test_a_broken_line_of_the_committed_records_is_named(tmp_path, monkeypatch, line):
    monkeypatch.setattr(records, "RECORDS", tmp_path / "records.jsonl")
    (tmp_path / "records.jsonl").write_bytes(b"{}\n" + line + b"\n")
    with pytest.raises(runs.BadInput, match=r"records\.jsonl, line 2 is .*git"):
        records.read_records()


@pytest.mark.parametrize("kind, words", [
    ("sweep", ["--what", "lr"]), ("against", ["--what", "lr"]), ("by-epoch", []), ("single", []), ("layers", []),
    ("confusion", []), ("features", ["--classes", "1,2"])])
def test_every_kind_of_picture_is_drawn_of_the_others(place, capsys, kind, words):
    if kind == "sweep":
        shutil.copytree(place / "runs/t/good", place / "runs/t/other")
        change(place / "runs/t/other/seed0/args.json", "lr", 0.5)
    for run in ("good", "bad"):
        change(place / f"runs/t/{run}/seed0/result.json", "metrics.test_acc", 0.5)
        log = place / f"runs/t/{run}/seed0/log.jsonl"
        log.write_text(log.read_text().replace('"test_acc": null', '"test_acc": 0.5'))
    (place / "runs/t/bad/seed0/args.json").write_text("[]")
    where = ["--runs", str(place / "runs"), "--out", str(place / "out"), *words]
    code, (out, error) = figures.main([kind, *where, "t/good", "t/bad"]), capsys.readouterr()
    assert code == 2 and is_named_once(place / "runs/t/bad/seed0/args.json", error) and out.strip(), error
    assert figures.main([kind, *where, "t/bad"]) == 2
    assert capsys.readouterr().out == ""


def test_a_net_whose_weights_are_broken_is_left_out_of_the_pictures(place, capsys):
    (place / "runs/t/bad/seed0/model.pt").write_bytes(b"x")
    where = ["--runs", str(place / "runs"), "--out", str(place / "out")]
    assert figures.main(["layers", *where, "t/bad", "t/good"]) == 2
    printed = capsys.readouterr()
    assert "bad/seed0/model.pt" in printed.err and printed.out.split() == [f"{place}/out/t/good/seed0/layers.md"]


@pytest.mark.parametrize("name", ["model.pt", "args.json", "result.json", "log.jsonl"])
def test_faces_are_drawn_of_the_other_nets(place, capsys, name):
    for run in ("one", "two"):
        assert go(place, f"{FACES} --max-steps 1", f"f/{run}")[0] == 0
    capsys.readouterr()
    (place / "runs/f/one/seed0" / name).write_bytes(b"x\n")
    words = ["faces", "--runs", str(place / "runs"), "--out", str(place / "out")]
    assert figures.main([*words, "f/one", "f/two"]) == 2
    printed = capsys.readouterr()
    assert printed.out == f"{place}/out/faces.png\n" and printed.err.count(f"f/one/seed0/{name}") == 1
    assert figures.main([*words, "f/one"]) == 2
    assert "nothing to draw yet" in capsys.readouterr().err


@pytest.mark.parametrize("seeds", ["x", "-1", "0.5", ""])
def test_seeds_that_are_none_are_bad_input(place, capsys, seeds):
    assert figures.main(["curves", "--runs", str(place / "runs"), f"--seeds={seeds}", "t/good"]) == 2
    assert capsys.readouterr().err.count("\n") <= 2


# ---- make -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def project(tmp_path):
    """A project in which three runs have finished, by hand."""
    folder = copy_project(tmp_path / "project")
    for run, more in (("tiny/a", ""), ("tiny/b", " --lr 0.01 --momentum 0.8"), ("tiny/diverges", " --lr 1e18")):
        flags = f"--act relu --synthetic --batch-size 100 --max-steps 2{more}"
        (folder / result(run)).parent.mkdir(parents=True)
        runs.save_json(by_hand.result(run, flags=flags), folder / result(run))
        runs.write_flags_line(flags, (folder / result(run)).parent)
    return folder


def test_make_would_train_a_run_whose_flags_nobody_can_read_and_no_other(project):
    assert would_train(project, "exp-tiny") == []
    folder = project / "runs/tiny/b/seed0"
    shutil.copytree(folder, project / "whole")
    for name, how in (("flags.txt", "folder"), ("flags.txt", "pipe"), ("flags.txt", "link"), ("flags.txt", "zeros"),
                      ("result.json", "link")):
        BROKEN[how](folder / name)
        assert would_train(project, "exp-tiny") == [("tiny/b", "0")], (name, how)
        shutil.rmtree(folder)
        shutil.copytree(project / "whole", folder)


def test_make_names_results_that_are_broken(project):
    for run, how in (("tiny/b", "deep"), ("tiny/diverges", "pipe")):
        BROKEN[how](project / result(run))
        (project / result(run)).with_name("flags.txt").unlink()  # as of an older version: its line is in the result
    printed = make(project, "status")
    assert "  done        tiny/a seed 0" in printed and "Traceback" not in printed
    for run in ("tiny/b", "tiny/diverges"):
        assert f"  failed      {run} seed 0  runs/{run}/seed0/result.json" in printed
        assert printed.count(f"is taken for stale: runs/{run}/seed0/result.json") == 1
