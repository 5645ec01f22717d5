"""Files in archives and folders: paths and bytes, whatever they hold.

`extract` writes the files of a zip or tar into a folder, and never anywhere else. `content_digest` says whether
a folder holds what it should. The rest tells what is visible in a folder, whether it has changed, and where a cache is.
"""
import contextlib
import hashlib
import os
import stat
import tarfile
import urllib.error
import zipfile
from pathlib import Path

CACHE_NAME = "small-cnn-reports"  # this project's folder in the user's cache


def reason(error):
    """Returns what an exception says, in one line and without its number; its type where it says nothing."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    message = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return message.splitlines()[0].rstrip(":")


# ---- digests --------------------------------------------------------------------------------------------------------

def sha256(path):
    """Returns the SHA-256 of a file as 64 hexadecimal digits. Raises OSError where it cannot be read."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def content_digest(folder):
    """Returns one SHA-256 of all files below `folder`: that of the lines "SHA256  PATH", sorted by path.

    PATH is relative to the folder, with slashes. The command `sha256sum` prints the same lines. Raises OSError where a
    file cannot be read.
    """
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [f"{sha256(folder / path)}  {path}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# ---- unpacking ------------------------------------------------------------------------------------------------------

def extract(archive, folder, max_files, max_bytes):
    """Writes the files of a zip or tar into `folder`, and returns how many there were. Raises as `write_files` does.

    Other exceptions come where the archive is none or is damaged.
    """
    return write_files(_members(archive), folder, max_files, max_bytes)


def write_files(members, folder, max_files, max_bytes):
    """Writes the files of an archive into `folder`, and returns how many there were.

    members: yields (name, open file), or (name, None) for a link or a device. What macOS adds to archives is left out.
    Count and size are checked while the files come out, so that a small archive cannot fill the disk. Raises ValueError
    for a file that would land outside the folder, for a link or a device, and for too many files or bytes; OSError
    where the disk is full. What was written until then stays: the caller removes the folder.
    """
    too_much = f"more than {max_files} files or {max_bytes >> 30} GiB"
    files = size = 0
    for name, content in members:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ValueError(f"{name} would land outside the folder")
        if content is None:
            raise ValueError(f"{name} is a link or device, which no data set has")
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
    """Yields (name, open file) for every file in a zip or tar, and (name, None) for a link or device."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as z:
            for member in z.infolist():
                if not member.is_dir():
                    yield member.filename, z.open(member)
        return
    with tarfile.open(archive) as tar:
        yield from tar_members(tar)


def tar_members(tar):
    """Yields (name, open file) for every file in an open tarfile.TarFile, and (name, None) for a link or device.

    Each file is to be read before the next one is asked for. Raises ValueError where the end of the tar is missing.
    """
    for member in tar:
        if not member.isdir():
            yield member.name, tar.extractfile(member) if member.isreg() else None
    if tar.fileobj.tell() <= tar.offset:  # the loop also ends, silently, where a tar was cut between two of its files
        raise ValueError("its end is missing")
    while tar.fileobj.read(1 << 20):  # gzip compares its checksum at the very end
        pass


# ---- files and folders ----------------------------------------------------------------------------------------------

def check_file(path):
    """Raises OSError where `path` is neither a file nor a link to one.

    Whoever opens a FIFO waits until somebody writes into it, and a device may have no end.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
        raise OSError(f"{path} is {kinds.get(stat.S_IFMT(mode), 'a device')}, not a file")


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


def listing(folder, shown, by_content=()):
    """Yields a line for every file below `folder`, as bytes: path, size and time of change. Their order is fixed.

    shown: what stands for the folder in these paths, so that the lines are the same wherever the folder lies.
    by_content: names of files that are read and have their SHA-256 in place of size and time. Raises OSError where one
    of these is no file, or something cannot be read.
    """
    for here, folders, files in os.walk(folder, followlinks=True):
        folders.sort()  # os.walk goes on in this order
        for name in sorted(files):
            path = os.path.join(here, name)
            if name in by_content:
                check_file(path)
                state = sha256(path)
            else:
                found = os.stat(path)
                state = f"{found.st_size} {found.st_mtime_ns}"
            yield os.fsencode(f"{shown}{path[len(str(folder)):]} {state}\n")


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
