"""train.py's flags, all of them: numbers at the edge, empty values, and random combinations, which train or are refused
with a sentence."""
import math
import os
import random

import pytest
import torch

import data
import losses
import models
import train
from experiments import runs, score
from helpers import go, smaller_data

DIGITS = "1" + 400 * "0"  # no float holds it, and no int64
LONG = "1" + 5000 * "0"  # Python makes no int of it
EDGES = ("0", "-1", "nan", "inf", "-inf", "1e39", "1e-60", "1e38", "1e-37", DIGITS, LONG, "", " ", "0x10", "1_000",
         "１", str(2**31), str(2**63))
NUMBERS = {action.option_strings[0]: action for action in train.make_parser()._actions if action.type}


def refused(place, words, capsys):
    """The sentence with which train.py refuses these words. It must make nothing."""
    before = sorted(place.rglob("*"))
    assert train.main(words) == runs.BAD_INPUT, words
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("train.py: ") and printed.err.count("\n") == 1
    assert sorted(place.rglob("*")) == before
    return printed.err


# ---- numbers at the edge --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flag", NUMBERS)
def test_a_number_at_the_edge_is_one_that_can_be_trained_with_or_is_refused_by_its_flags_name(flag):
    words = {"--convs": ["--model", "vgg13"], "--side": ["--data", "caltech35", "--model", "base"]}.get(flag, [])
    taken = 0
    for text in EDGES:
        try:
            values = getattr(train.parse([*words, f"{flag}={text}"]), NUMBERS[flag].dest)
        except runs.BadInput as e:
            assert flag in str(e) and "\n" not in str(e)
            continue
        taken += 1
        for value in values if isinstance(values, tuple) else [values]:
            assert math.isfinite(value) and abs(value) < (2**63 if isinstance(value, int) else 1.1e38)
    assert taken or flag == "--side"


@pytest.mark.parametrize("flag, texts", [
    ("--lr", "1e39 1e-60"), ("--switch-lr", "1e39 1e-60"), ("--weight-decay", "1e39 1e-60"), ("--clip", "1e39 1e-60"),
    ("--input-noise", "1e39 1e-60"), ("--margin", "1e39 1e-60"), ("--l2", "1e39 1e-60 2e38"), ("--gamma", "1e-60 1"),
    ("--save-every", "1e39"), ("--stop-after", f"{DIGITS} {DIGITS}h 1h{LONG}s"), ("--stop-at", DIGITS),
    ("--seed", f"{DIGITS} {2**63}"), ("--channels", f"1000000,1000000 6,{LONG}"), ("--fc", "99999999"),
    ("--convs", "1000000,1,1,1,1"), ("--kernels", "65537,3"), ("--threads", "100000"), ("--milestones", f"{DIGITS}")])
def test_numbers_beyond_what_can_be_trained_with_are_refused_and_nothing_is_made(flag, texts, tmp_path, capsys):
    for text in texts.split():
        said = refused(tmp_path, ["--runs", str(tmp_path / "runs"), f"{flag}={text}"], capsys)
        assert f"{flag}: must be" in said


def test_the_largest_deadline_is_one_that_the_clock_can_add(tmp_path):
    longest = "999999999h999999999m999999999s"
    assert runs.seconds(longest) == 999999999 * 3661
    with smaller_data(cifar10=40):
        code, _ = go(tmp_path, f"--synthetic --max-steps 1 --threads 1 --stop-after {longest} --stop-at {2**63 - 1}")
    assert code == runs.FINISHED


@pytest.mark.parametrize("text", [DIGITS, f"{DIGITS}h", LONG, f"1h{LONG}m"])
def test_a_deadline_that_no_clock_has_is_none_for_make_either(text, capsys):
    assert runs.main(["seconds", text]) == runs.BAD_INPUT and capsys.readouterr().out == ""


# ---- empty values ---------------------------------------------------------------------------------------------------

TEXTS = [action.option_strings[0] for action in train.make_parser()._actions
         if action.option_strings and action.nargs is None and not action.type and not action.choices]


def test_all_flags_whose_value_is_a_word_are_known():
    assert TEXTS == ["--weights", "--init-from", "--data-dir", "--split", "--clean-by", "--run", "--runs", "--device"]


@pytest.mark.parametrize("flag", TEXTS)
def test_an_empty_value_is_not_taken_for_none(flag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in ([flag, ""], [f"{flag}="], [flag, " "], [f"{flag}=\t"]):
        said = refused(tmp_path, ["--synthetic", "--max-steps", "1", *words], capsys)
        assert f"{flag} is given an empty value" in said


@pytest.mark.parametrize("words", [["--score", ""], ["--score="], ["--score", " "],
                                   ["--score", "seed0", "--data-dir", ""], ["--score", "seed0", "--device="]])
def test_an_empty_value_beside_score_is_refused(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert score.main(words) == runs.BAD_INPUT and "is given an empty value" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["info"], ["fetch", "cifar10"], ["unpack", "faces.zip"]])
def test_an_empty_folder_of_the_data_is_not_taken_for_this_one(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        data.main([*command, "--data-dir", ""])
    assert ended.value.code == 2 and "--data-dir is given an empty value" in capsys.readouterr().err


# ---- random combinations --------------------------------------------------------------------------------------------

COMBINATIONS = 80  # of which about two thirds train
SEED = "flags"  # the first word of the seed of each combination; the other is its number

SIZES = {"cifar10": 40, "caltech35": 2, "faces21": 40}
QUICK = {"cifar10": ("lenet5", "lenet5", "net", "mlp", "cnn"), "caltech35": ("base", "basic_block", "bottleneck"),
         "faces21": ("keypoint",)}
SLOW = ("resnet18", "vgg13", "vgg16", "vgg19", "nin", "googlenet", "vgg16_imagenet")
WRONG = ("nan", "-1", "none of these", "1e39", "0,0")

# Flags that any net may get, each with the values that make sense at least with some others; () for one that has none.
VALUES = {
    "--bn-last": (), "--unused": (), "--adam-eps": ("1e-4", "1e-37"), "--jpeg-again": ("0", "75"),
    "--norm": models.NORMS, "--dropout": ("0", "0.5", "0.999"), "--dropconnect": ("0", "0.5"),
    "--act": models.ACTIVATIONS, "--pool": models.POOLINGS, "--channels": ("6,16", "1,1", "3"),
    "--kernels": ("5,5", "1,1", "29,3"),
    "--fc": ("128", "8,8,8"), "--fc-norm": ("none", "bn"), "--convs": ("1,1,1,1,1", "1,1"), "--stem": models.STEMS,
    "--order": models.ORDERS, "--init": models.INITS, "--freeze": ("none", "features", "classifier"),
    "--init-from": ("combination/0", "nowhere/to-be-found", "no.pt"), "--weights": ("no.pth",),
    "--split": tuple(split for splits in data.SPLITS.values() for split in splits), "--side": ("112", "224"),
    "--normalise": tuple(data.MEAN_STD), "--pad-crop": ("0", "2", "16"), "--autoaugment": ("0.5", "1"),
    "--augmix": ("0.5", "1"), "--input-noise": ("0.1", "1e30"), "--input-dropout": ("0.2",),
    "--rotated-copies": ("15",), "--rotation": ("180",), "--label-noise": ("0.5", "1"),
    "--clean-by": ("combination/0", "nowhere/to-be-found"),
    "--clean-share": ("0", "0.5"), "--loss": tuple(losses.LOSSES), "--margin": ("0", "3"), "--l2": ("0.01", "1e20"),
    "--label-smoothing": ("0.1",), "--optim": ("sgd", "adam"), "--lr": ("0.01", "1e20", "1e-37"),
    "--momentum": ("0", "0.99"), "--weight-decay": ("0.1", "1e38"), "--clip": ("0", "1", "1e-37"),
    "--batch-size": ("1", "2", "7", "16", "100000"), "--epochs": ("1", "2", "9"),
    "--schedule": ("none", "step", "multistep", "cosine", "plateau"), "--step-size": ("1",),
    "--milestones": ("1", "5,1"), "--gamma": ("0.999", "1e-30"), "--patience": ("0", "1"),
    "--switch-after": ("0", "1"), "--switch-optim": ("sgd", "adam"), "--switch-lr": ("0.1",),
    "--seed": ("0", str(2**63 - 1)), "--early-stop": ("0", "1"),
    "--test-weights": ("final", "best", "none"), "--protocol": ("default", "report"), "--valid-rotation": ("10",),
    "--device": ("cpu", "cuda"), "--save-every": ("0", "1e9"), "--stop-after": ("1h",), "--stop-at": (str(2**40),)}
SWITCHES = ("--flip", "--drop-last", "--test-each-epoch", "--deterministic", "--restart", "--pretrained",
            "--copies-once", "--own-positive")


def combination(number, seed=SEED):
    """The flags of one random combination, as a list of words, the same for the same number and seed."""
    if number == 0:  # --init-from and --clean-by name this one
        return "--model lenet5 --synthetic --max-steps 2 --threads 1".split()
    draw = random.Random(f"{seed} {number}")
    name = draw.choice(("cifar10", "cifar10", "cifar10", "cifar10", "faces21", "caltech35"))
    quick = draw.random() < 0.98
    model = draw.choice(QUICK[name] if quick else SLOW)
    if draw.random() < 0.05:
        model = draw.choice(("keypoint", "lenet5", "base"))  # may well not fit the data
    words = ["--model", model, "--data", name, "--synthetic", "--max-steps", "2", "--threads", "1"]
    own = ["--" + flag.replace("_", "-") for flag in models.flags_of(model)]
    nets = ["--" + flag.replace("_", "-") for net in models.MODELS for flag in models.flags_of(net)]
    for flag, values in VALUES.items():
        if flag in own:
            chance = 0.3
        else:
            chance = 0.002 if flag in nets else 0.05
        if draw.random() < chance:
            words.append(flag)
            if values:
                words.append(draw.choice(WRONG if draw.random() < 0.02 else tuple(values)))
    words += [switch for switch in SWITCHES if draw.random() < 0.04]
    if quick and model in ("lenet5", "mlp") and draw.random() < 0.1:
        words.append("--bf16")  # slow on processors that have no such instructions
    if not quick:
        words += ["--batch-size", draw.choice(("2", "4"))]
    return words


def outcome(words, number, place, capsys):
    """Trains a combination, if train.parse takes it. Returns "refused" or the exit code, and what is wrong, or None."""
    run = place / "runs" / "combination" / str(number)
    flags = [*words, "--runs", str(place / "runs"), "--run", f"combination/{number}"]
    try:
        train.parse(flags)
    except runs.BadInput:
        expected, kind = (2,), "refused"
    else:
        expected, kind = (0, 2, 3), None
    code = train.main(flags)
    said = capsys.readouterr().err
    kind = kind or code
    if code not in expected:
        return kind, f"exit code {code}: {said}"
    if code == 2 and (not said.startswith("train.py: ") or "Traceback" in said):
        return kind, f"no sentence: {said}"
    if code == 2 and run.exists():
        return kind, "made a folder"
    return kind, None


def try_combinations(numbers, place, capsys, seed=SEED):
    """Returns how often each kind of outcome was seen. Fails with the flags of what went wrong."""
    seen, wrong = {}, []
    for number in numbers:
        words = combination(number, seed)
        try:
            kind, what = outcome(words, number, place, capsys)
        except Exception as e:
            kind, what = "error", f"{type(e).__name__}: {e}"
        seen[kind] = seen.get(kind, 0) + 1
        if what:
            wrong.append(f'combination({number}, "{seed}"), {" ".join(words)}: {what}')
    assert not wrong, "\n".join(wrong)
    return seen


@pytest.fixture
def as_before(tmp_path, monkeypatch):
    """What a run sets for its process is undone, and torchvision's cache is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = filled
    torch.set_num_threads(1)
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def test_any_combination_of_flags_trains_or_is_refused_with_a_sentence(tmp_path, as_before, capsys):
    with smaller_data(**SIZES):
        seen = try_combinations(range(COMBINATIONS), tmp_path, capsys)
    assert seen["refused"] > COMBINATIONS / 10 and seen[runs.FINISHED] > COMBINATIONS / 10


def test_every_flag_is_drawn():
    drawn = {word for number in range(2000) for word in combination(number) if word.startswith("--")}
    flags = {action.option_strings[0] for action in train.make_parser()._actions if action.dest != "help"}
    assert drawn == flags - {"--run", "--runs", "--data-dir"}
