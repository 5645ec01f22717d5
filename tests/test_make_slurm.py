"""The lines of experiments/README.md for Slurm and GNU parallel, run as they stand there. Nothing is trained here."""
import os
import re
import subprocess

import pytest

from conftest import ROOT
from makes import clean_environment, edit, fresh, result, stub, would_train  # noqa: F401 (two are fixtures)

# Runs the tasks of an array one after another, the last one first, and what was requeued behind them.
SBATCH = r"""#!/bin/bash
while [[ $1 == --* && $1 != --wrap ]]; do [[ $1 == --array=1-* ]] && last=${1#--array=1-}; shift; done
export SLURM_ARRAY_JOB_ID=77
seq $last -1 1 >queue
for ((done = 1; done <= $(wc -l <queue); done++)); do
    export SLURM_ARRAY_TASK_ID=$(sed -n ${done}p queue)
    export SLURM_RESTART_COUNT=$(head -n $((done - 1)) queue | grep -cx $SLURM_ARRAY_TASK_ID)
    sh -c "$2" || echo "task $SLURM_ARRAY_TASK_ID failed"
done
"""
SCONTROL = r"""#!/bin/bash
[[ $1 == requeue && $2 == 77_* ]] && echo ${2#77_} >>queue
"""
# Of GNU parallel only what the line uses: -jN and arguments from stdin, each behind the command.
PARALLEL = r"""#!/bin/bash
exec xargs -P ${1#-j} -n 1 "${@:2}"
"""


def example(command):
    """The example of experiments/README.md that begins with this command, with quoted text over several lines."""
    readme = (ROOT / "experiments/README.md").read_text()
    found, = re.findall(rf"^ {{4}}({re.escape(command)} (?:[^'\n]|'[^']*')*)$", readme, re.M)
    return found


@pytest.fixture
def cluster(fresh, stub, tmp_path):  # noqa: F811
    """A project whose data are all generated, a shell in it with stand-ins for Slurm, and the stub's notes."""
    how, notes = stub
    (tmp_path / "bin").mkdir()
    for name, script in (("sbatch", SBATCH), ("scontrol", SCONTROL), ("parallel", PARALLEL)):
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    edit(fresh, "exp.wrong      = tiny/lacks ", "exp.wrong      = ")  # the stub's long run
    edit(fresh, "run.tiny/lacks = ", "unused = ")
    environment = {**clean_environment(), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "PYTHON": str(how["python"]),
                   "NOTES": how["NOTES"], "TMPDIR": how["TMPDIR"], "PAUSE": "0"}

    def shell(line, **env):
        done = subprocess.run(["bash", "-c", line], cwd=fresh, env={**environment, **env}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
        return done.stdout
    return fresh, shell, notes


def begun(notes):
    """The runs that began, sorted; one that began twice stands there twice."""
    return sorted(line.split()[1] for line in notes.read_text().splitlines() if line.startswith("begins"))


def test_slurm_trains_each_result_and_what_it_starts_from_and_requeues_what_was_stopped(cluster):
    folder, shell, notes = cluster
    shell(example("make -n train | sed"))
    tasks = (folder / "tasks").read_text().split()
    expected = sorted(f"tiny/{run}" for run in ("a", "b", "c", "cleaned", "diverges", "long", "scorer"))
    assert sorted(tasks) == [result(run) for run in expected]
    printed = shell(example("sbatch"), STOPS="tiny/b")
    assert begun(notes) == sorted([*expected, "tiny/b"])  # tiny/b was stopped once, and nothing else trained twice
    assert len((folder / "queue").read_text().split()) == 8 and "failed" not in printed
    assert would_train(folder, "train") == []


def test_slurm_gives_up_what_never_ends(cluster):
    folder, shell, notes = cluster
    (folder / "tasks").write_text(result("tiny/b") + "\n")
    shell(example("sbatch").replace("-ge 20", "-ge 2"), STOPS="tiny/b", PYTHON="false")
    assert (folder / "queue").read_text().split() == ["1"] * 3


def test_parallel_trains_them_too(cluster):
    folder, shell, notes = cluster
    shell(example("make -n train | sed"))
    shell(example("OMP_NUM_THREADS=2 parallel"))
    found = begun(notes)
    assert len(found) == 7 and would_train(folder, "train") == []
    assert {line.split()[3] for line in notes.read_text().splitlines() if line.startswith("begins")} == {"2"}
