"""archives.py and data.py's command line: download, extract, fetch, unpack, info. No network but this machine's own."""
import hashlib
import http.server
import io
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from data_files import alone, assert_sentences, image_folder, official_batches, small_disk  # noqa: F401

import data
from experiments import archives, readers

ROOT = Path(__file__).resolve().parent.parent


def packed(path, files):
    """Writes an archive with `files` {name: bytes}; its kind follows the ending of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            for name, content in files.items():
                z.writestr(name, content)
        return path
    kind = {".gz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2", ".tar": "w"}[path.suffix]
    with tarfile.open(path, kind) as t:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            t.addfile(member, io.BytesIO(content))
    return path


# ---- fetch ----------------------------------------------------------------------------------------------------------

class Mirror(http.server.BaseHTTPRequestHandler):
    """/whole serves the archive. The others do not know Range or length, stop half-way, or send something else."""

    def do_GET(self):
        content, kind = self.server.content, self.path.strip("/")
        if kind == "404":
            return self.send_error(404)
        if kind == "babble":
            return self.wfile.write(b"220 no web server\r\n\r\n")
        begin = self.headers["Range"]
        start = int(begin.removeprefix("bytes=").removesuffix("-")) if begin and kind != "no-range" else 0
        if start >= len(content):
            return self.send_error(416)
        body = b"something else" * 100 if kind == "other" else content[start:]
        self.send_response(206 if start else 200)
        if kind == "chunks":
            self.send_header("Transfer-Encoding", "chunked")
        elif kind != "no-length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind == "chunks":
            self.wfile.write(b"%x\r\n" % len(body))
        if kind in ("broken", "chunks", "stall"):
            body = body[: len(content) // 2]
        self.server.sent.append((kind, start, len(body)))
        self.wfile.write(body)
        if kind == "stall":
            self.wfile.flush()
            self.server.over.wait(20)

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server on this machine: .fetch(kind, ...) fetches from it, .content is the archive, .sent what it sent."""
    official_batches(tmp_path / "made" / "cifar-10-batches-py", monkeypatch)
    folder = tmp_path / "made" / "cifar-10-batches-py"
    files = {f"cifar-10-batches-py/{path.name}": path.read_bytes() for path in folder.iterdir()}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.content = packed(tmp_path / "made" / "cifar.tar.gz", files).read_bytes()
    server.sent, server.over = [], threading.Event()

    def fetch(*kinds, timeout=5):
        urls = [kind if "://" in kind else f"http://127.0.0.1:{server.server_port}/{kind}" for kind in kinds]
        data.fetch(tmp_path / "data", urls, hashlib.sha256(server.content).hexdigest(), timeout)
    server.fetch = fetch
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def refused():
    """An address where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}/"


def assert_fetched(tmp_path):
    assert len(data.load("cifar10", tmp_path / "data").images) == 40
    # neither archive nor temporary folder is left
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"cifar10", ".cache"}


def test_fetch_and_unpack(tmp_path, mirror, capsys):
    mirror.fetch("whole")
    assert mirror.sent == [("whole", 0, len(mirror.content))]
    assert_fetched(tmp_path)
    mirror.fetch("whole")  # nothing to do
    assert len(mirror.sent) == 1 and "there already" in capsys.readouterr().out


def test_fetch_goes_on_in_the_next_call(tmp_path, mirror):
    half, size = len(mirror.content) // 2, len(mirror.content)
    with pytest.raises(data.DataError, match="run the same command again.*kept in"):
        mirror.fetch("broken")
    assert (tmp_path / "data" / "cifar-10-python.tar.gz.part").read_bytes() == mirror.content[:half]
    mirror.fetch("whole")
    assert mirror.sent == [("broken", 0, half), ("whole", half, size - half)]
    assert_fetched(tmp_path)


@pytest.mark.parametrize("first", ["broken", "chunks", "404", "other", "babble", "refused", "nonsense://x"])
def test_fetch_goes_on_at_the_next_address(tmp_path, mirror, capsys, first):
    mirror.fetch(refused() if first == "refused" else first, "whole")
    start = len(mirror.content) // 2 if first in ("broken", "chunks") else 0  # what "other" sent was thrown away
    assert mirror.sent[-1] == ("whole", start, len(mirror.content) - start)
    assert capsys.readouterr().err.count("\n") == 1
    assert_fetched(tmp_path)


def test_fetch_from_servers_that_know_less(tmp_path, mirror):
    half, size = len(mirror.content) // 2, len(mirror.content)
    mirror.fetch("broken", "no-range")
    assert mirror.sent == [("broken", 0, half), ("no-range", 0, size)]
    assert_fetched(tmp_path)
    shutil.rmtree(tmp_path / "data")
    mirror.fetch("no-length")
    assert_fetched(tmp_path)


def test_fetch_gives_a_stalled_server_up(tmp_path, mirror):
    started, half = time.monotonic(), len(mirror.content) // 2
    mirror.fetch("stall", "whole", timeout=0.5)
    assert time.monotonic() - started < 10
    assert mirror.sent[-1] == ("whole", half, len(mirror.content) - half)  # what had come was kept
    assert_fetched(tmp_path)


def test_fetch_of_a_file_that_is_whole(tmp_path, mirror):
    """Killed, or out of disk, between download and unpacking: the server has nothing more to send and says 416."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cifar-10-python.tar.gz.part").write_bytes(mirror.content)
    mirror.fetch("whole")
    assert mirror.sent == []
    assert_fetched(tmp_path)


def test_fetch_fails_everywhere(tmp_path, mirror, capsys):
    with pytest.raises(data.DataError, match="any of 3 addresses") as e:
        mirror.fetch("404", "other", refused())
    assert_sentences(str(e.value))
    assert list((tmp_path / "data").iterdir()) == [] and capsys.readouterr().err.count("\n") == 3


def test_a_download_that_breaks_off_says_where(tmp_path, mirror, capsys):
    url = f"http://127.0.0.1:{mirror.server_port}/"
    size, half = len(mirror.content), len(mirror.content) // 2
    with pytest.raises(ConnectionError, match=f"broke off at {half / 1e6:.1f} of {size / 1e6:.1f} MB"):
        archives.download(url + "broken", tmp_path / "x", 5)
    archives.download(url + "whole", tmp_path / "x", 5)
    assert (tmp_path / "x").read_bytes() == mirror.content
    first, second = capsys.readouterr().out.splitlines()
    assert "starting, 0.0 of" in first and f"going on at {half / 1e6:.1f} of" in second


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
    folder = data.unpack(archive, tmp_path / "data")
    assert folder == tmp_path / "data" / name and [path.name for path in (tmp_path / "data").iterdir()] == [name]
    assert contents(folder) == (SETS[name] if top else SETS[name] | outside)
    assert folder.stat().st_mode == (tmp_path / "data").stat().st_mode  # others may read it
    assert capsys.readouterr().out == f"{folder}: {len(files) + 1} files\n"


@pytest.mark.parametrize("top", ["", "cifar-10-batches-py/", "deep/renamed/"])
def test_unpack_batches(tmp_path, top):
    (tmp_path / "data" / "cifar10").mkdir(parents=True)  # an empty folder is not in the way
    files = {top + file: content for file, content in BATCHES.items()}
    data.unpack(packed(tmp_path / "c.tar.gz", files), tmp_path / "data")
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
    monkeypatch.setattr(data, "MAX_FILES", 100)
    monkeypatch.setattr(data, "MAX_BYTES", 1_000_000)
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
    assert 60_000 < data.MAX_FILES <= 10**6 and 2**30 < data.MAX_BYTES <= 2**36


@pytest.mark.parametrize("files, goal", [(FACES, "data/faces21"), (BATCHES, "data/cifar10/cifar-10-batches-py")])
def test_unpack_over_what_is_there(tmp_path, files, goal):
    (tmp_path / goal).mkdir(parents=True)
    (tmp_path / goal / "mine").write_text("precious")
    with pytest.raises(data.DataError, match=f"{goal}.*move it away"):
        data.unpack(packed(tmp_path / "x.tar.gz", files), tmp_path / "data")
    assert contents(tmp_path / "data") == {f"{goal}/mine".removeprefix("data/"): b"precious"}
    assert not list((tmp_path / "data").glob(".unpack*"))


def test_unpack_on_a_full_disk(tmp_path, capsys):
    packed(tmp_path / "x.zip", FACES | {"I/big.jpg": bytes(300_000)})
    with small_disk(100_000):
        assert data.main(["unpack", "x.zip"]) == 2
    message = capsys.readouterr().err
    assert "File too large" in message and "disk" in message
    assert list((tmp_path / "data").iterdir()) == []


# ---- files and folders ----------------------------------------------------------------------------------------------

def test_sha256_of_files_of_any_size(tmp_path):
    for size in (0, 1, 3 << 20):
        content = np.random.default_rng(size).bytes(size)
        (tmp_path / "x").write_bytes(content)
        assert archives.sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_reason_is_one_line():
    assert archives.reason(OSError("first\nsecond")) == "first" and archives.reason(KeyError()) == "KeyError"
    assert archives.reason(ValueError(" what: ")) == "what"


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


@pytest.mark.parametrize("command", [["info", "mnist"], ["fetch", "mnist"], ["fetch"], ["download"], []])
def test_unknown_words_list_the_choices(capsys, command):
    try:
        code = data.main(command)
    except SystemExit as e:
        code = e.code
    assert code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err and ("cifar10" in err if "mnist" in command else "fetch" in err)


def test_main_fetch(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "CIFAR_URLS", ())
    assert data.main(["fetch", "cifar10", "--url", refused()]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert_sentences(last)
    assert "any of 1 addresses" in last
    image_folder(tmp_path / "data")
    assert data.main(["fetch", "cifar10"]) == 0  # there already


def test_addresses_given_are_tried_first(monkeypatch):
    tried = []
    monkeypatch.setattr(data, "fetch", lambda root, urls: tried.append((root, urls)))
    assert data.main(["fetch", "cifar10", "--url", "a", "--url", "b", "--data-dir", "there"]) == 0
    assert data.main(["fetch", "cifar10"]) == 0
    assert tried == [("there", ("a", "b", *data.CIFAR_URLS)), ("data", data.CIFAR_URLS)] and len(data.CIFAR_URLS) == 3


def test_main_interrupted(monkeypatch, capsys):
    def stop(*args):
        raise KeyboardInterrupt
    monkeypatch.setattr(data, "fetch", stop)
    assert data.main(["fetch", "cifar10"]) == 130
    assert_sentences(capsys.readouterr().err)


def test_main_unpack(tmp_path, capsys):
    packed(tmp_path / "x.zip", FACES)
    (tmp_path / "file").write_text("not a folder")
    assert data.main(["unpack", "x.zip", "--data-dir", "file"]) == 2
    assert "file" in capsys.readouterr().err
    assert data.main(["unpack", "x.zip"]) == 0


def test_command_line():
    """As typed: exit code and message, without a traceback."""
    done = subprocess.run([sys.executable, ROOT / "data.py", "info", "faces21"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("data.py: No faces21 under data")
    assert_sentences(done.stderr)
