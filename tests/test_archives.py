"""archives.py, unpacking, and data.py's command line."""
import contextlib
import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import warnings
from pathlib import Path

import numpy as np
import pytest
from data_files import alone, assert_sentences, image_folder, packed, small_disk  # noqa: F401
from helpers import forkserver

import data
from experiments import archives, downloads, readers

ROOT = Path(__file__).resolve().parent.parent


# ---- unpack ---------------------------------------------------------------------------------------------------------

FACES = {"I/label.txt": b"x", "I/1.jpg": b"jpeg", "II/label.txt": b"x", "II/1.jpg": b"jpeg"}
CALTECH = {"test/annotions.txt": b"1.jpg,0", "test/1.jpg": b"t",
           **{f"{part}/{c}/1.jpg": b"jpeg" for part in ("train", "val", "addition") for c in range(35)}}
FOLDERS = {f"{side}/{c}/1.png": b"png" for side in ("train", "test") for c in data.CIFAR_CLASSES}
BATCHES = {name: name.encode() for name in readers.CIFAR_BATCHES}
SETS = {"faces21": FACES, "caltech35": CALTECH, "cifar10": FOLDERS}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("name, top", [("faces21", ""), ("faces21", "data/"), ("caltech35", "x/dataset/"),
                                       ("cifar10", ""), ("cifar10", "a/b/")])
def test_unpack(tmp_path, capsys, name, top, ending):
    files = {top + file: content for file, content in SETS[name].items()}
    mac = {f"__MACOSX/{file}": b"mac" for file in files} | {f"{top}._{name}": b"mac"}
    outside = {"README.md": b"outside of the data set"}
    archive = packed(tmp_path / f"upload.{ending}", mac | outside | files)
    folder = downloads.unpack(archive, tmp_path / "data")
    assert folder == tmp_path / "data" / name and [path.name for path in (tmp_path / "data").iterdir()] == [name]
    assert contents(folder) == (SETS[name] if top else SETS[name] | outside)
    assert folder.stat().st_mode == (tmp_path / "data").stat().st_mode  # others may read it
    assert capsys.readouterr().out == f"{folder}: {len(files) + 1} files\n"


@pytest.mark.parametrize("top", ["", "cifar-10-batches-py/", "deep/renamed/"])
def test_unpack_batches(tmp_path, top):
    (tmp_path / "data" / "cifar10").mkdir(parents=True)  # an empty folder is not in the way
    files = {top + file: content for file, content in BATCHES.items()}
    downloads.unpack(packed(tmp_path / "c.tar.gz", files), tmp_path / "data")
    expected = {f"cifar10/cifar-10-batches-py/{file}": content for file, content in BATCHES.items()}
    assert contents(tmp_path / "data") == expected
    assert data.locate("cifar10", tmp_path / "data")[0] == tmp_path / "data" / "cifar10" / "cifar-10-batches-py"


def tar_with(path, **fields):
    with tarfile.open(packed(path, FACES), "a") as t:
        member = tarfile.TarInfo("I/x")
        for field, value in fields.items():
            setattr(member, field, value)
        t.addfile(member)


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def damage(path, place):
    content = path.read_bytes()
    path.write_bytes(content[:place] + bytes(64) + content[place + 64:])


def second_file(path):
    """Where in a plain tar the second file begins: cut there, it looks like a shorter one."""
    with tarfile.open(path) as t:
        return t.getmembers()[1].offset


NOISE = FACES | {f"I/{i}.jpg": np.random.default_rng(i).bytes(5000) for i in range(2, 22)}
ZEROS = FACES | {"zeros": bytes(2_000_000)}
MANY = FACES | {f"I/{i}.jpg": b"" for i in range(200)}
BAD = {  # name: (what writes the archive, what the message says of it)
    "dots.zip": (lambda p: packed(p, FACES | {"../outside": b"x"}), "outside the folder"),
    "dots.tar": (lambda p: packed(p, FACES | {"I/../../../outside": b"x"}), "outside the folder"),
    "absolute.zip": (lambda p: packed(p, FACES | {f"{p.parent}/outside": b"x"}), "outside the folder"),
    "absolute.tar.gz": (lambda p: packed(p, FACES | {f"{p.parent}/outside": b"x"}), "outside the folder"),
    "link.tar": (lambda p: tar_with(p, type=tarfile.SYMTYPE, linkname="../.."), "link or device"),
    "hardlink.tar": (lambda p: tar_with(p, type=tarfile.LNKTYPE, linkname="/etc/passwd"), "link or device"),
    "device.tar": (lambda p: tar_with(p, type=tarfile.CHRTYPE, devmajor=1), "link or device"),
    "bomb.zip": (lambda p: packed(p, ZEROS), "more than 100 files or 0 GiB"),
    "bomb.tar.xz": (lambda p: packed(p, ZEROS), "more than 100 files or 0 GiB"),
    "many.zip": (lambda p: packed(p, MANY), "more than 100 files or 0 GiB"),
    "many.tar": (lambda p: packed(p, MANY), "more than 100 files or 0 GiB"),
    "empty.zip": (lambda p: packed(p, {}), "holds none of"),
    "empty.tar": (lambda p: packed(p, {}), "holds none of"),
    "nothing.tar.gz": (lambda p: p.write_bytes(b""), "cannot be unpacked"),
    "text.zip": (lambda p: p.write_text("not an archive"), "cannot be unpacked"),
    "noise.tar.xz": (lambda p: p.write_bytes(np.random.default_rng(0).bytes(3000)), "cannot be unpacked"),
    "cut.zip": (lambda p: cut(packed(p, NOISE), 50_000), "cannot be unpacked"),
    "cut.tar": (lambda p: cut(packed(p, NOISE), 50_000), "cannot be unpacked"),
    "between.tar": (lambda p: cut(packed(p, NOISE), second_file(p)), "its end is missing"),
    "cut.tar.gz": (lambda p: cut(packed(p, NOISE), 50_000), "cannot be unpacked"),
    "cut.tar.xz": (lambda p: cut(packed(p, NOISE), 50_000), "cannot be unpacked"),
    "cut.tar.bz2": (lambda p: cut(packed(p, NOISE), 50_000), "cannot be unpacked"),
    "damaged.zip": (lambda p: damage(packed(p, NOISE), 50_000), "cannot be unpacked"),
    "damaged.tar.gz": (lambda p: damage(packed(p, NOISE), 50_000), "cannot be unpacked"),
    "long.tar": (lambda p: packed(p, FACES | {"I/" + "x" * 300: b"x"}), "cannot be unpacked"),
    "clash.tar": (lambda p: packed(p, FACES | {"I/label.txt/x": b"x"}), "cannot be unpacked"),
    "folder.tar": (lambda p: p.mkdir(), "There is no archive"),
    "other.zip": (lambda p: packed(p, {"train/1.png": b"x", "test/1.png": b"x", "data.csv": b"x"}), "holds none of"),
    "missing.zip": (lambda p: None, "There is no archive"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archive_leaves_nothing(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(downloads, "MAX_FILES", 100)
    monkeypatch.setattr(downloads, "MAX_BYTES", 1_000_000)
    write, words = BAD[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's remarks on odd names
        write(tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    assert data.main(["unpack", name]) == 2
    message = capsys.readouterr().err
    assert name in message and words in message
    assert_sentences(message)
    assert sorted(set(tmp_path.rglob("*")) - {tmp_path / "data"}) == before and not any(Path("data").glob("*"))


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_an_archive_may_be_as_large_as_the_limits_and_no_larger(tmp_path, ending):
    archive = packed(tmp_path / f"x.{ending}", {"a": bytes(700), "b": b"", "c": bytes(300), "._mac": bytes(9)})
    assert archives.extract(archive, tmp_path / "fits", max_files=3, max_bytes=1000) == 3
    assert contents(tmp_path / "fits") == {"a": bytes(700), "b": b"", "c": bytes(300)}
    for limits in ({"max_files": 2, "max_bytes": 1000}, {"max_files": 3, "max_bytes": 999}):
        with pytest.raises(ValueError, match="more than"):
            archives.extract(archive, tmp_path / "does not", **limits)


def test_the_largest_data_set_is_within_the_limits():
    assert 60_000 < downloads.MAX_FILES <= 10**6 and 2**30 < downloads.MAX_BYTES <= 2**36


@pytest.mark.parametrize("files, goal", [(FACES, "data/faces21"), (BATCHES, "data/cifar10/cifar-10-batches-py")])
def test_unpack_over_what_is_there(tmp_path, files, goal):
    (tmp_path / goal).mkdir(parents=True)
    (tmp_path / goal / "mine").write_text("precious")
    with pytest.raises(data.DataError, match=f"{goal}.*move it away"):
        downloads.unpack(packed(tmp_path / "x.tar.gz", files), tmp_path / "data")
    assert contents(tmp_path / "data") == {f"{goal}/mine".removeprefix("data/"): b"precious"}
    assert not list((tmp_path / "data").glob(".unpack*"))


def test_unpack_on_a_full_disk(tmp_path, capsys):
    packed(tmp_path / "x.zip", FACES | {"I/big.jpg": bytes(300_000)})
    with small_disk(100_000):
        assert data.main(["unpack", "x.zip"]) == 2
    message = capsys.readouterr().err
    assert "File too large" in message and "disk" in message
    assert list((tmp_path / "data").iterdir()) == []


# ---- unpacking, stopped ---------------------------------------------------------------------------------------------

PLENTY = FACES | {f"I/{i}.jpg": bytes(1000) for i in range(2, 3000)}  # takes about half a second


def hidden(root):
    """What begins with a dot in a folder of data sets."""
    return sorted(path.name for path in root.glob(".*"))


def exits_with(argv):
    """Leaves the process with the exit code of data.py."""
    sys.exit(data.main(argv))


def unpacking(archive):
    """Starts a process that unpacks an archive into the folder data, and returns it when the first files are there."""
    command = ["unpack", str(archive), "--data-dir", str(Path("data").resolve())]
    process = forkserver.Process(target=exits_with, args=(command,))
    process.start()
    while not any(Path("data").glob(".unpack-*/archive/I/1*.jpg")):
        assert process.is_alive()
        time.sleep(0.001)
    return process


@pytest.mark.parametrize("numbers", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM],
                                     [signal.SIGINT, signal.SIGTERM]])
def test_a_stopped_unpacking_leaves_nothing(tmp_path, numbers):
    process = unpacking(packed(tmp_path / "x.tar", PLENTY))
    for number in numbers:
        os.kill(process.pid, number)
        time.sleep(0.002)
    process.join(60)
    codes = {130}
    if len(numbers) == 2:  # on a busy machine it comes when all is tidied up already, and this process has no handler
        codes.add(-numbers[1])
    assert process.exitcode in codes and list(Path("data").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_line_leaves_no_folder(tmp_path, monkeypatch, number):
    """It comes before every line of the code that makes and removes the folder, one after the other.

    Between two certain lines of shutil.rmtree it becomes an OSError, about a file closed twice; there the code is 2.
    """
    packed(tmp_path / "x.zip", FACES)
    before, line, stopped, place = signal.getsignal(number), 0, 0, None
    while line == stopped:  # until the command is done before that line
        line, stopped = 0, stopped + 1

        def trace(frame, event, _):
            nonlocal line, place
            if frame.f_code.co_filename not in (downloads.__file__, shutil.__file__, contextlib.__file__):
                return None
            if event == "line" and signal.getsignal(number) not in (before, signal.SIG_IGN) and line < stopped:
                line += 1
                if line == stopped:
                    place = frame.f_code
                    signal.raise_signal(number)
            return trace
        sys.settrace(trace)
        try:
            code = data.main(["unpack", "x.zip"])
        finally:
            sys.settrace(None)
        assert hidden(Path("data")) == [], f"a signal in {place}, before line {stopped} of those that run"
        assert code == (130 if line == stopped else 0) or place.co_filename == shutil.__file__
        shutil.rmtree("data/faces21", ignore_errors=True)
    assert stopped > 50


def test_left_overs_of_killed_processes_are_removed_and_no_others(tmp_path, monkeypatch):
    process = unpacking(packed(tmp_path / "x.tar", PLENTY))
    alive, = hidden(Path("data"))
    packed(tmp_path / "small.zip", CALTECH)
    os.kill(process.pid, signal.SIGSTOP)  # it is neither dead nor done
    downloads.unpack("small.zip", "data")
    assert hidden(Path("data")) == [alive] and any(Path("data", alive).rglob("*.jpg"))
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert hidden(Path("data")) == [alive]
    downloads.unpack(packed(tmp_path / "other.zip", FOLDERS), "data")
    assert sorted(path.name for path in Path("data").iterdir()) == ["caltech35", "cifar10"]


def test_fetching_removes_the_left_overs_of_unpacking(tmp_path, monkeypatch):
    Path("data/.unpack-0123/archive/I").mkdir(parents=True)
    Path("data/.unpack-0123/archive/I/1.jpg").touch()
    monkeypatch.setattr(downloads, "_fetch_copy", lambda *_: None)
    downloads.fetch("faces21", "data")
    assert hidden(Path("data")) == []


def test_a_disk_without_locks_does_for_unpacking(tmp_path, monkeypatch):
    """Then nobody knows which folders are in use, and all of them stay."""
    def refuse(*_):
        raise OSError(errno.EBADF, "Bad file descriptor")
    monkeypatch.setattr(downloads.fcntl, "flock", refuse)
    Path("data/.unpack-0123").mkdir(parents=True)
    downloads.unpack(packed(tmp_path / "x.zip", FACES), "data")
    assert hidden(Path("data")) == [".unpack-0123"] and Path("data/faces21/I/label.txt").exists()


# ---- files and folders ----------------------------------------------------------------------------------------------

def test_sha256_of_files_of_any_size(tmp_path):
    for size in (0, 1, 3 << 20):
        content = np.random.default_rng(size).bytes(size)
        (tmp_path / "x").write_bytes(content)
        assert archives.sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_the_digest_of_a_folder_is_that_of_what_sha256sum_prints(tmp_path):
    """Of its lines in the order of the paths as bytes, whatever order the folders have."""
    files = {"data/I/2.jpg": b"two", "data/I/10.jpg": b"ten", "data/I-/x": b"", "data/II/label.txt": b"label"}
    for name, content in files.items():
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_bytes(content)
    command = "find data -type f | LC_ALL=C sort | xargs sha256sum"
    printed = subprocess.run(command, shell=True, cwd=tmp_path / "x", capture_output=True, check=True).stdout
    assert printed.count(b"\n") == 4 and b"  data/I-/x\n" in printed
    digest = archives.content_digest(tmp_path / "x")
    assert digest == hashlib.sha256(printed).hexdigest()
    (tmp_path / "x/data/I/2.jpg").rename(tmp_path / "x/data/I/3.jpg")
    assert archives.content_digest(tmp_path / "x") != digest


def test_reason_is_one_line_and_has_no_number():
    assert archives.reason(OSError("first\nsecond")) == "first" and archives.reason(KeyError()) == "KeyError"
    assert archives.reason(ValueError(" what: ")) == "what"
    assert archives.reason(OSError(errno.ENOSPC, "No space left", "a/file")) == "No space left"
    assert archives.reason(urllib.error.URLError(OSError(errno.ECONNREFUSED, "Refused"))) == "Refused"
    assert archives.reason(urllib.error.HTTPError("http://x", 404, "None", {}, None)) == "HTTP Error 404: None"


def test_hidden_files_and_folders_are_not_seen(tmp_path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).mkdir()
    for name in ("2.png", "1.JPG", "._1.jpg", "3.txt"):
        (tmp_path / name).touch()
    assert archives.visible_folders(tmp_path) == ["a", "b"]
    assert archives.visible_folders(tmp_path / "3.txt") == archives.visible_folders(tmp_path / "nowhere") == []
    assert [path.name for path in archives.visible_files(tmp_path, (".png", ".jpg"))] == ["1.JPG", "2.png"]


# ---- the command line -----------------------------------------------------------------------------------------------

def test_info(tmp_path, capsys):
    image_folder(tmp_path / "data")
    assert data.main(["info", "cifar10"]) == 0
    out = capsys.readouterr().out
    assert "40 images 3x32x32" in out and "train 24, valid 6, test 10" in out
    assert data.main(["info", "cifar10", "faces21", "--data-dir", "data"]) == 2  # one of the two is missing
    out, err = capsys.readouterr()
    assert "40 images" in out and "faces21" in err
    assert_sentences(err)
    assert data.main(["info", "faces21", "--synthetic"]) == 0


@pytest.mark.parametrize("command, choices", [
    ("info mnist", "cifar10, faces21, caltech35"), ("fetch mnist", "'cifar10', 'faces21', 'caltech35'"),
    ("fetch", "{cifar10,faces21,caltech35}"), ("download", "'fetch', 'unpack', 'info'"), ("", "command")])
def test_unknown_words_list_the_choices(capsys, command, choices):
    try:
        code = data.main(command.split())
    except SystemExit as e:
        code = e.code
    assert code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err and choices in err


def test_commands_are_handed_on(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(downloads, "fetch", lambda *words: calls.append(words) or True)
    assert data.main("fetch cifar10 --from a --from b --data-dir there".split()) == 0
    assert data.main(["fetch", "faces21"]) == 0
    assert calls == [("cifar10", "there", ["a", "b"]), ("faces21", "data", [])] and capsys.readouterr().out == ""


def test_fetching_what_is_there(tmp_path, capsys):
    image_folder(tmp_path / "data")
    assert data.main(["fetch", "cifar10"]) == 0
    assert capsys.readouterr().out == "cifar10 is there already: data/cifar10\n"


@pytest.mark.parametrize("command", ["fetch cifar10", "unpack x"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_command_at_once(monkeypatch, capsys, command, number):
    def wait(*_):
        try:
            signal.raise_signal(number)
            time.sleep(60)
        finally:
            signal.raise_signal(number)  # once more, while something is tidied up
            Path("tidied up").touch()
    for name in ("fetch", "unpack"):
        monkeypatch.setattr(downloads, name, wait)
    before, started = signal.getsignal(number), time.monotonic()
    assert data.main(command.split()) == 130 and time.monotonic() - started < 30 and Path("tidied up").exists()
    message = capsys.readouterr().err
    assert f"stopped by {number.name}" in message and signal.getsignal(number) == before
    assert_sentences(message)


def test_main_unpack(tmp_path, capsys):
    packed(tmp_path / "x.zip", FACES)
    (tmp_path / "file").write_text("not a folder")
    assert data.main(["unpack", "x.zip", "--data-dir", "file"]) == 2
    assert "file" in capsys.readouterr().err
    assert data.main(["unpack", "x.zip"]) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_torch_is_being_imported(number):
    command = [sys.executable, ROOT / "data.py", "info", "faces21", "--synthetic"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        status, mask = Path(f"/proc/{process.pid}/status"), 1 << (signal.SIGTERM - 1)
        while not int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16) & mask:
            assert process.poll() is None
            time.sleep(0.001)
        assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == f"data.py: stopped by {number.name}; run the same command again to go on.\n"


def test_command_line():
    """As typed: exit code and message, without a traceback."""
    done = subprocess.run([sys.executable, ROOT / "data.py", "info", "faces21"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("data.py: No faces21 under data")
    assert_sentences(done.stderr)
