"""What changed from one run to another, in short words."""
import pytest

from experiments import changes, declarations, runs

FACES = "--model keypoint --data faces21"
CALTECH = "--model base --data caltech35"


@pytest.mark.parametrize("flags, base, words", [
    ("--lr 0.1 --flip --lr 0.2", "--lr 0.1 --clip 1", ["flip", "lr 0.2", "no clipping"]),
    ("--flip --lr 1", "--lr 1 --flip", []),
    ("--lr 0.01 --lr 0.001", "", []),  # it is the default: nothing changed
    ("--optim adam", "--momentum 0.5", ["Adam"]),  # momentum does nothing in Adam
    ("--momentum 0.5", "--optim adam", ["SGD", "momentum 0.5"]),
    ("--gamma 0.5 --patience 3 --step-size 2", "", []),  # without a schedule
    ("--schedule multistep --milestones 4,9,14 --gamma 0.5 --epochs 20", "--epochs 20", ["lr × 0.5 every 5 epochs"]),
    ("--schedule multistep --milestones 4,9 --gamma 0.5",
     "--schedule multistep --milestones 4,9,14,19 --gamma 0.5 --epochs 30", ["10 epochs"]),  # the same rule
    ("--schedule multistep --milestones 4,8 --epochs 10", "--schedule step --step-size 4",
     ["lr × 0.1 after epochs 4, 8"]),
    ("", "--schedule cosine", ["constant lr"]), ("--schedule step --step-size 5 --gamma 0.5", "", ["StepLR(5, 0.5)"]),
    ("--norm bn --dropout 0.3", "", ["batch norm", "dropout 0.3"]), ("", "--norm gn --l2 0.1 --flip --dropout 0.5",
                                                                    ["no flip, L2 term, dropout or group norm"]),
    ("--weight-decay 0.0001 --lr 0.00025", "", ["lr 2.5e-4", "weight decay 1e-4"]),
    ("--act relu --channels 6,16", "--pool max", ["average pooling", "channels 6,16", "ReLU"]),
    ("--test-weights best", "--valid-rotation 30", []),  # what is scored is no training
    (f"{FACES} --optim adam --lr 0.01 --epochs 250 --switch-after 200 --switch-lr 1e-5",
     f"{FACES} --optim adam --lr 0.01 --epochs 250", ["SGD at 1e-5, momentum 0.9 from epoch 201"]),
    (f"{FACES} --split leak", f"{FACES} --rotated-copies 15", ["rotated copies before the split"]),
    (f"{CALTECH} --loss triplet-cosine --freeze classifier", CALTECH, ["triplet loss (cosine)", "margin 0.25"]),
    (f"{CALTECH} --init-from=caltech35/base-features --freeze features", CALTECH,
     ["starts from base-features", "features frozen"]),
    (CALTECH, f"{CALTECH} --init-from=caltech35/base", ["starts anew"]),
    (f"{CALTECH} --label-noise 0.3 --clean-by=caltech35/scorer --clean-share 0.3", f"{CALTECH} --label-noise 0.3",
     ["cleaned by scorer (30%)"]),
    ("--model vgg13 --batch-size 128", "--norm bn", ["vgg13", "batch 128", "no batch norm"]),
    ("--model cnn", "--model mlp", ["cnn"]),  # both have batch norm by default, and other dropout
    ("--model cnn --dropout 0.3", "--model mlp", ["cnn", "dropout 0.3"]),
])
def test_what_changed_is_what_has_an_effect(flags, base, words):
    assert sorted(changes.changed(flags, base)) == sorted(words)


def test_every_declared_run_has_words_for_what_changed():
    """None of them shows a flag's own spelling, and no two different trainings of a comparison say the same."""
    declared = declarations.declarations()
    for name, runs_of in declared["exp"].items():
        first = declared["run"][runs_of[0]]
        said = {}
        for run in runs_of:
            phrases = changes.changed(declared["run"][run], first)
            assert not any("--" in phrase or "_" in phrase.replace("basic_block", "").replace("vgg16_imagenet", "")
                           for phrase in phrases), (name, run, phrases)
            same = said.setdefault(tuple(phrases), declarations.real(declared, run))
            assert same == declarations.real(declared, run), (name, run, phrases)


def test_flags_that_train_refuses_are_refused():
    with pytest.raises(runs.BadInput):
        changes.changed("--lerning-rate 1", "")


def test_numbers_as_one_types_them():
    assert [changes.plain(x) for x in (0.01, 1e-5, 0.0001, 2e-5, 10.0, 64, (4, 9), "relu", 0)] == [
        "0.01", "1e-5", "1e-4", "2e-5", "10", "64", "4,9", "relu", "0"]
