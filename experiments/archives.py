"""Downloads files and unpacks archives: paths and bytes, whatever they hold.

`download` goes on with a file that broke off. `extract` writes the files of a zip or tar into a folder, and never
anywhere else. The rest is about folders: what is visible in one, what tells two states of it apart, where a cache goes.
"""
import contextlib
import hashlib
import http.client
import os
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from tqdm import tqdm

CACHE_NAME = "small-cnn-reports"  # this project's folder in the user's cache


# ---- downloading ----------------------------------------------------------------------------------------------------

def download(url, file, timeout=30):
    """Downloads `url` into `file`, and goes on where an earlier call broke off.

    timeout: seconds without a byte after which the server is given up. What has come by then stays in the file.
    Raises OSError, ValueError or http.client.HTTPException where the file is still incomplete.
    """
    have = file.stat().st_size if file.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as e:
        if e.code == 416 and have:  # nothing is left to send: the digest will tell whether the file is whole
            return
        raise
    with response:
        if response.status != 206:  # this server cannot send a part: everything comes again
            have = 0
        total = have + int(response.headers.get("Content-Length", 0))
        begins = "going on at" if have else "starting,"
        print(f"{url}: {begins} {have / 1e6:.1f} of {total / 1e6:.1f} MB", flush=True)
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=file.name, disable=None)
        with open(file, "ab" if have else "wb") as out, bar:
            while chunk := response.read1(1 << 18):  # read() would drop what it has when the connection stalls
                out.write(chunk)
                bar.update(len(chunk))
    size = file.stat().st_size
    if size < total:
        raise ConnectionError(f"broke off at {size / 1e6:.1f} of {total / 1e6:.1f} MB")


def download_any(urls, file, digest, timeout=30):
    """Downloads `file` from the first of these addresses that sends a file with the SHA-256 `digest`.

    Returns whether one did. Says on stderr why an address was given up. A broken download is kept for the next address
    or the next call; a whole file with another digest is thrown away.
    """
    for url in urls:
        try:
            download(url, file, timeout)
        except (OSError, ValueError, http.client.HTTPException) as e:
            print(f"{url}: {reason(e)}; trying the next address", file=sys.stderr)
            continue
        if sha256(file) == digest:
            return True
        file.unlink()
        print(f"{url}: the file's SHA-256 is not the official one; it was thrown away", file=sys.stderr)
    return False


def reason(error):
    """Returns the first line of an exception's message, or its type where it has none."""
    message = str(error).strip() or type(error).__name__
    return message.splitlines()[0].rstrip(":")


def sha256(path):
    """Returns the SHA-256 of a file as 64 hexadecimal digits. Raises OSError where it cannot be read."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


# ---- unpacking ------------------------------------------------------------------------------------------------------

def extract(archive, folder, max_files, max_bytes):
    """Writes the files of a zip or tar into `folder`, and returns how many there were.

    What macOS adds to archives is left out. Count and size are checked while the files come out, so that a small
    archive cannot fill the disk. Raises ValueError for a file that would land outside the folder, for a link or a
    device, and for too many files or bytes. Other exceptions come where the archive is none or is damaged, or the disk
    is full. What was written until then stays: the caller removes the folder.
    """
    too_much = f"more than {max_files} files or {max_bytes >> 30} GiB"
    files = size = 0
    for name, content in _members(archive):
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ValueError(f"{name} would land outside the folder")
        if "__MACOSX" in path.parts or path.name.startswith("._"):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        files += 1
        if files > max_files:
            raise ValueError(too_much)
        with content, open(path, "wb") as out:
            while chunk := content.read(1 << 20):
                size += len(chunk)
                if size > max_bytes:
                    raise ValueError(too_much)
                out.write(chunk)
    return files


def _members(archive):
    """Yields (name, open file) for every file in a zip or tar."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as z:
            for member in z.infolist():
                if not member.is_dir():
                    yield member.filename, z.open(member)
        return
    with tarfile.open(archive) as t:
        for member in t:
            if member.isreg():
                yield member.name, t.extractfile(member)
            elif not member.isdir():
                raise ValueError(f"{member.name} is a link or device, which no data set has")
        if t.fileobj.tell() <= t.offset:  # the loop also ends, silently, where a tar was cut between two of its files
            raise ValueError("its end is missing")
        while t.fileobj.read(1 << 20):  # gzip compares its checksum at the very end
            pass


# ---- folders --------------------------------------------------------------------------------------------------------

def visible_folders(path):
    """Returns the names of the folders in `path`, sorted, without hidden ones; none where `path` is no folder.

    Jupyter and macOS hide folders of their own among the data.
    """
    if not path.is_dir():
        return []
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def visible_files(folder, endings):
    """Returns the paths of the files in `folder` with one of these endings (".png", in lower case), sorted.

    Hidden files are left out. Raises OSError where the folder cannot be read.
    """
    return sorted(path for path in folder.iterdir()
                  if path.suffix.lower() in endings and not path.name.startswith("."))


def listing(folder, shown):
    """Yields a line for every file below `folder`, as bytes: path, size and time of change. Their order is fixed.

    shown: what stands for the folder in these paths, so that the lines are the same wherever the folder lies.
    """
    for here, folders, files in os.walk(folder, followlinks=True):
        folders.sort()  # os.walk goes on in this order
        for name in sorted(files):
            path = os.path.join(here, name)
            stat = os.stat(path)
            yield os.fsencode(f"{shown}{path[len(str(folder)):]} {stat.st_size} {stat.st_mtime_ns}\n")


def cache_folder(root):
    """Returns `root`/.cache, or a folder in the user's cache where `root` cannot be written. It is there afterwards."""
    with contextlib.suppress(OSError):
        (root / ".cache").mkdir(exist_ok=True)
        if os.access(root / ".cache", os.W_OK):
            return root / ".cache"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    of_this_root = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]
    folder = Path(home, CACHE_NAME, of_this_root)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
