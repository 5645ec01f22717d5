"""The crontab line of the README as cron runs it: hardly an environment, no terminal, no home, nobody there to look."""
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from conftest import ROOT
from helpers import substance
from makes import copy_project, edit, forks, fresh, result, stub, tree  # noqa: F401: fixtures among them

# A comparison of two runs that take two steps.
GOAL = "exp-tiny"


def crontab():
    """The command of the README's crontab line."""
    (command,) = re.findall(r"^ +\*/10 \* \* \* \*  (.*)$", (ROOT / "README.md").read_text(), re.M)
    assert command.startswith("cd $HOME/small-cnns && flock -n .cron.lock make report-keypoints STOP_AFTER=50m ")
    return command


def tick(project, goal=GOAL, stop_after="50m", python=sys.executable, **env):
    """Starts what cron starts every ten minutes, in this project, and returns the process.

    Two things are not as in the crontab: the runs are short, and PYTHON is given, as there is no .venv with torch here.
    """
    command = crontab().replace("$HOME/small-cnns", str(project)).replace("report-keypoints", goal)
    command = command.replace("STOP_AFTER=50m", f"STOP_AFTER={stop_after} PYTHON={python}")
    tmp = project.parent / "tmp"
    tmp.mkdir(exist_ok=True)
    bare = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp), "CUDA_VISIBLE_DEVICES": "", **env}  # no HOME unless in env
    return subprocess.Popen(["/bin/sh", "-c", command], cwd="/", env=bare, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, umask=0o077)


def ended(process, project):
    """Waits for a tick. Returns its exit code and the log so far."""
    code = process.wait(timeout=120)
    return code, (project / "cron.log").read_text()


def until(holds, seconds=60):
    """Waits until holds() is true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def is_free(project):
    """Has everything ended that holds the lock of the crontab line? It goes from flock to make and to the runs."""
    return subprocess.run(["flock", "-n", project / ".cron.lock", "true"]).returncode == 0


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """A project in which one tick, with a HOME that cannot be, has done everything; its exit code and its log."""
    project = copy_project(tmp_path_factory.mktemp("cron") / "small-cnns")
    code, log = ended(tick(project, HOME="/dev/null/nobody"), project)
    return project, code, log


def test_a_tick_trains_and_draws_without_home_terminal_and_display(worked):
    project, code, log = worked
    assert code == 0 and (project / result("tiny/a")).exists() and (project / result("tiny/b")).exists()
    assert list((project / "runs").rglob("*.png")) and "finished at" in log
    others = [line for line in log.splitlines() if "matplotlib" not in line]  # it says that it finds no home
    assert not re.search(r"warning|traceback|error|\r|\x1b", "\n".join(others), re.I), log


def test_a_tick_writes_where_it_may_and_for_nobody_else(worked):
    project, _, _ = worked
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (project / "runs").rglob("*")}
    assert modes and all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())
    assert sorted(path.name for path in project.parent.iterdir()) == ["small-cnns", "tmp"]  # and so no home
    left = [path.name for path in (project.parent / "tmp").iterdir()]
    assert all(re.fullmatch(r"make-\d*-.*\.said|torchinductor_.*", name) for name in left), left


def test_the_next_tick_finds_everything_done(worked):
    project, _, log = worked
    before = {path: content for path, content in tree(project / "runs").items() if path.suffix in (".pt", ".jsonl")}
    code, later = ended(tick(project), project)  # HOME is not even set
    assert code == 0 and "begins with" not in later.removeprefix(log) and later.startswith(log)
    assert {path: tree(project / "runs")[path] for path in before} == before


def test_a_tick_beside_another_one_ends_at_once_and_says_nothing(fresh):
    first = tick(fresh, "exp-long", "1h", forks())
    until((fresh / "runs/tiny/long/seed0/log.jsonl").exists)
    started = time.monotonic()
    assert tick(fresh, "exp-long", "1h", forks()).wait(timeout=60) == 1 and time.monotonic() - started < 5
    os.killpg(first.pid, signal.SIGTERM)
    until(lambda: is_free(fresh))
    log = (fresh / "cron.log").read_text()
    assert log.count("begins with") == 1 and "stopped by SIGTERM" in log


def begun(notes):
    """The runs that were begun, by the stub's notes, in order."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [line.split()[1] for line in lines if line.startswith("begins")]


def test_a_deadline_between_two_runs_leaves_the_second_to_the_next_tick(fresh, stub):
    how, notes = stub
    tick(fresh, f"{GOAL} JOBS=1", "4s", how["python"], NOTES=str(notes), PAUSE="5").wait(timeout=120)
    done = begun(notes)
    assert len(done) < 2 and "no time left for tiny/b" in (fresh / "cron.log").read_text()
    tick(fresh, f"{GOAL} JOBS=1", "50m", how["python"], NOTES=str(notes), PAUSE="0").wait(timeout=120)
    assert begun(notes) == ["tiny/a", "tiny/b"]


READ_ONLY = """mount --bind {project} {project} && mount -o remount,ro,bind {project} && cd {project} || exit 99
! touch x 2>/dev/null || exit 99
make exp-tiny RUNS={runs} PYTHON={python} STOP_AFTER=50m >>{runs}/cron.log 2>&1"""


def test_a_project_that_cannot_be_written_works_with_runs_elsewhere(worked, fresh, tmp_path):
    """As another user's, or a read-only mount: here one of a user namespace, which hinders root, too."""
    shutil.copytree(worked[0] / "runs", tmp_path / "elsewhere")  # one run is left to be trained
    shutil.rmtree(tmp_path / "elsewhere/tiny/b")
    shutil.rmtree(tmp_path / "elsewhere/figures")
    words = READ_ONLY.format(project=fresh, runs=tmp_path / "elsewhere", python=sys.executable)
    env = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "",
           "PYTHONPATH": os.environ["PYTHONPATH"]}  # brings sitecustomize.py
    done = subprocess.run(["unshare", "-rm", "/bin/sh", "-c", words], cwd="/", stdin=subprocess.DEVNULL,
                          env=env, capture_output=True, text=True)
    if "unshare" in done.stderr or done.returncode == 99:
        pytest.skip("this machine has no user namespaces in which to mount read-only")
    assert done.returncode == 0, (tmp_path / "elsewhere/cron.log").read_text()
    assert len(list((tmp_path / "elsewhere").rglob("result.json"))) == 2
    assert list((tmp_path / "elsewhere").rglob("*.png")) and not (fresh / "runs").exists()


def test_a_box_that_is_switched_off_goes_on_at_the_next_tick_to_the_same_result(fresh, tmp_path_factory):
    edit(fresh, "--epochs 100000", "--epochs 20")
    goal = result("tiny/long") + ' RUNS=runs FLAGS="--save-every 0"'
    other = tmp_path_factory.mktemp("undisturbed") / "small-cnns"
    shutil.copytree(fresh, other)
    undisturbed = tick(other, goal, python=forks())
    log = fresh / "runs/tiny/long/seed0/log.jsonl"
    process = tick(fresh, goal, python=forks())
    until(lambda: log.exists() and log.read_text().count("\n") >= 2)  # after the first there was a checkpoint
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until(lambda: is_free(fresh))
    assert not (fresh / result("tiny/long")).exists()
    code, said = ended(tick(fresh, goal, python=forks()), fresh)
    assert code == 0 and "goes on after epoch" in said
    assert ended(undisturbed, other)[0] == 0
    assert substance(fresh / "runs/tiny/long/seed0") == substance(other / "runs/tiny/long/seed0")
