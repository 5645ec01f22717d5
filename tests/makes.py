"""A small project whose runs take two steps, make in it, and a stand-in for the interpreter that trains nothing."""
import atexit
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import by_hand
import forking
from experiments import torture_round

# Kept is PYTHONPATH, which brings sitecustomize.py, and CUDA_VISIBLE_DEVICES, which hides the GPUs: see conftest.py.
NOT_PASSED_ON = set(torture_round.NOT_PASSED_ON) - {"PYTHONPATH"}

TINY = """
# Tiny: for the tests.
TINY = --act relu --synthetic --batch-size 100 --max-steps 2

## Two rates.
exp.tiny       = tiny/a tiny/b
plots.tiny     = curves
run.tiny/a     = $(TINY)
want.tiny/a    = test_acc=0.5
run.tiny/b     = $(TINY) --lr 0.01 --momentum 0.8

## A run that starts from another.
exp.chain      = tiny/c tiny/a
run.tiny/c     = $(TINY) --init-from=tiny/a

## A run that another one cleans the data of.
exp.clean      = tiny/cleaned tiny/scorer
plots.clean    = curves confusion features:1,2:scorer layers
CALTECH        = --model base --data caltech35 --synthetic --batch-size 32 --max-steps 2
run.tiny/scorer  = $(CALTECH) --split val+addition
run.tiny/cleaned = $(CALTECH) --label-noise 0.5 --clean-by=tiny/scorer --clean-share 0.5

## What can go wrong: divergence, and data that are not there.
exp.wrong      = tiny/lacks tiny/diverges tiny/a
run.tiny/lacks = --act relu --max-steps 2
run.tiny/diverges = $(TINY) --lr 1e18

## One that takes long.
exp.long       = tiny/long
run.tiny/long  = --synthetic --batch-size 100 --epochs 100000
"""


# ---- a project to make things in ------------------------------------------------------------------------------------

def copy_project(folder):
    """Copies the project without its tests, data and reports into a new folder; what is declared there is TINY.

    Its synthetic images are fewer: what is trained there need not be good.
    """
    torture_round.copy_project(folder, "tiny", TINY)
    edit(folder, "(2000, 0, 500)", "(400, 0, 100)", "data.py")
    edit(folder, "(560, 140, 140, 280)", "(70, 35, 70, 35)", "data.py")
    return folder


def clean_environment():
    """What the make that runs the tests has set must not leak into those that the tests run."""
    return {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}


@functools.cache
def forks():
    """The interpreter of runs that nothing interrupts, see forking.py; one for all tests of this process."""
    folder = Path(tempfile.mkdtemp(prefix="forks-"))
    atexit.register(shutil.rmtree, folder)
    return forking.interpreter(folder)


def make(folder, *words, expect=0, start=False, prefix=(), python=None, **env):
    """Runs make and returns what it printed; with start=True returns the process, which runs on.

    expect: its exit code. prefix: words before the command. env: more of the environment. python: the interpreter; by
    default Python itself for a process that runs on, since tests send signals to those, or that has a prefix.
    """
    if python is None:
        python = sys.executable if start or prefix else forks()
    command = [*prefix, "make", f"PYTHON={python}", *words]
    how = dict(cwd=folder, env={**clean_environment(), **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    if start:
        return subprocess.Popen(command, **how)
    done = subprocess.run(command, **how)
    assert done.returncode == expect, done.stdout
    return done.stdout


def would_train(folder, *words):
    """Returns the runs, as (name, seed), that `make -n` says it would train, in order."""
    return re.findall(r"^.*train\.py .*--run (\S+) --seed (\d+)", make(folder, "-n", *words), re.M)


def result(run, seed=0, folder="runs"):
    """The target of one run."""
    return f"{folder}/{run}/seed{seed}/result.json"


def tree(folder):
    """Returns {path: bytes} of all files below a folder but for Python's caches."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(folder): path.read_bytes() for path in files}


def edit(folder, old, new, file="experiments/tiny.mk"):
    """Replaces text in a file, in which it must be."""
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


# Stands for the interpreter. Of train.py it only notes when a run begins and ends and what make gave it, holds the
# run's lock and leaves a result. In NOTES: "begins RUN GPU THREADS BARS SAID", each "-" where nothing is set, and "ends
# RUN GPU". tiny/lacks is the long run: it ends when tiny/a has begun (or after 20 seconds). STOPS names a run that is
# stopped at its first try, PAUSE how long runs take.
STUB = r"""#!/bin/bash
[[ $1 == train.py ]] || exec {python} "$@"
flags=${{*:2}} flags=${{flags%% --run *}} flags=${{flags%% --runs *}} flags=${{flags%% --bf16}}
[[ $* =~ --run\ ([^ ]+)\ --seed\ ([0-9]+) ]]
run=${{BASH_REMATCH[1]}} seed=seed${{BASH_REMATCH[2]}}
[[ $* =~ --runs\ ([^ ]+) ]] && runs=${{BASH_REMATCH[1]}} || runs=runs
mkdir -p $runs/$run
exec 8>$runs/$run/.$seed.lock
flock -n 8 || exit 75
if [[ $flags =~ (--init-from|--clean-by)=([^ ]+) ]]; then
    source=$runs/${{BASH_REMATCH[2]}}/$seed
    [[ -e $source/result.json ]] || exit 2
    flags="$flags < $(<$source/flags.txt)"
fi
[[ -e $runs/$run/$seed/result.json && $(<$runs/$run/$seed/flags.txt) == "$flags" ]] && exit 0
echo "begins $run ${{CUDA_VISIBLE_DEVICES:--}} ${{OMP_NUM_THREADS:--}} ${{TQDM_DISABLE:--}} ${{SAID:--}}" >>"$NOTES"
sleep ${{PAUSE:-0.4}}
for ((i = 0; i < 200; i++)); do
    [[ $run != tiny/lacks ]] || grep -q 'begins tiny/a' "$NOTES" || {{ sleep 0.1; continue; }}
    break
done
echo "ends $run ${{CUDA_VISIBLE_DEVICES:--}}" >>"$NOTES"
mkdir -p $runs/$run/$seed
cd $runs/$run/$seed
echo "$flags" >flags.txt
if [[ $run == $STOPS && ! -e checkpoint.pt ]]; then touch checkpoint.pt; exit 75; fi
result='{result}'
result=${{result/a\/b/$run}}
echo "${{result/\"seed\": 0/\"seed\": ${{seed#seed}}}}" >result.json
"""


@pytest.fixture
def stub(tmp_path):
    """What `make` takes to use the stub, and the file of its notes. Locks of GPUs are this test's own."""
    script = tmp_path / "stub"
    script.write_text(STUB.format(python=forks(), result=json.dumps(by_hand.result("a/b", 0))))
    script.chmod(0o755)
    (tmp_path / "locks").mkdir()
    notes = tmp_path / "notes"
    return {"python": script, "NOTES": str(notes), "TMPDIR": str(tmp_path / "locks")}, notes


def most_at_once(lines):
    """The largest number of runs that were under way at a time, by these lines of the stub's notes."""
    most = now = 0
    for line in lines:
        now += 1 if line.startswith("begins") else -1
        most = max(most, now)
    return most


@pytest.fixture
def fresh(tmp_path):
    """A project in which nothing was made."""
    return copy_project(tmp_path / "fresh")
