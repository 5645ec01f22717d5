"""Which files are read as images, texts and batches, and which are refused at once."""
import os
import shutil
import socket
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import (alone, assert_sentences, caltech_folder, faces_folder, image_folder,  # noqa: F401
                        official_batches)
from PIL import EpsImagePlugin, Image

import data
from experiments import readers
from helpers import ends_within


@pytest.fixture(autouse=True)
def not_for_ever():
    """Fails a test that waits for somebody to write into a FIFO."""
    with ends_within(30):
        yield


def opened(path):
    """The image in a file as the readers have it, in colour."""
    return np.asarray(readers._open_image(Path(path)).convert("RGB"))


def refusal(path):
    """What is said of a file that is not read as an image."""
    with pytest.raises(data.DataError) as e:
        readers._open_image(Path(path))
    assert_sentences(str(e.value))
    return str(e.value)


# ---- formats and modes ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp", "ppm"])
def test_formats_that_are_read(ending):
    Image.new("RGB", (8, 8), (200, 100, 50)).save(f"x.{ending}")
    Path(f"x.{ending}").rename("x.jpg")  # its name does not matter
    assert np.abs(opened("x.jpg").astype(int) - (200, 100, 50)).max() < 8


def test_postscript_starts_no_program(monkeypatch):
    """PIL hands it to Ghostscript, whatever the file is called."""
    started = []

    def ghostscript(*_):
        started.append("gs")
        return Image.new("RGB", (9, 9)).im
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", ghostscript)
    script = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    Path("x.png").write_text(script)
    assert "x.png cannot be read as an image (it is none of JPEG, PNG, BMP, WEBP, PPM)." in refusal("x.png")
    assert not started
    Image.open("x.png").load()  # so it would be
    assert started


@pytest.mark.parametrize("ending", ["gif", "tiff", "ico"])
def test_formats_that_nobody_needs_are_not_read(ending):
    Image.new("RGB", (16, 16)).save(f"x.{ending}")
    assert "it is none of" in refusal(f"x.{ending}")


@pytest.mark.parametrize("mode, ending", [
    ("1", "png"), ("L", "png"), ("LA", "png"), ("P", "png"), ("RGB", "png"), ("RGBA", "png"), ("CMYK", "jpg"),
    ("YCbCr", "jpg"), ("L", "jpg"), ("RGBA", "webp")])
def test_modes_that_are_read(mode, ending):
    grey = Image.new("L", (8, 8), 255)
    image = grey.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr") else grey.convert(mode)
    image.save(f"x.{ending}")
    assert np.abs(opened(f"x.{ending}").astype(int) - 255).max() < 3


def test_transparency_leaves_the_colours_as_they_are():
    Image.new("RGBA", (8, 8), (200, 100, 50, 0)).save("x.png")
    assert (opened("x.png") == (200, 100, 50)).all()


def png(rows, channels):
    """Returns the bytes of a PNG with 16 bits a channel. rows: uint16 (h, w, channels)."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = rows.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    content = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode, kind", [("I;16", "16 bits"), ("I", "pgm"), ("F", "pfm")])
def test_grey_of_more_than_8_bits_is_refused(mode, kind):
    """Its light is in the upper bits, and convert() would make 255 of nearly everything."""
    rows = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8, 1)
    if kind == "16 bits":
        Path("x.png").write_bytes(png(rows, 1))
    elif kind == "pgm":
        Path("x.png").write_bytes(b"P5 8 8 65535\n" + rows.astype(">u2").tobytes())
    else:
        Path("x.png").write_bytes(b"Pf\n8 8\n-1.0\n" + rows.astype("<f4").tobytes())
    assert Image.open("x.png").mode == mode
    assert f"x.png is an image of PIL's mode {mode}," in refusal("x.png")


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_of_16_bits_of_colour_the_upper_8_are_read(channels):
    rows = np.linspace(0, 65535, 64 * channels).round().astype(np.uint16).reshape(8, 8, channels)
    Path("x.png").write_bytes(png(rows, channels))
    colours = rows[..., :1].repeat(3, 2) if channels == 2 else rows[..., :3]
    assert np.array_equal(opened("x.png"), colours >> 8)


@pytest.mark.parametrize("pixels", [1000, 2000])
def test_an_image_that_would_fill_the_memory_is_refused(monkeypatch, pixels):
    """PIL itself warns of the smaller of the two, and reads it."""
    Image.new("RGB", (50, 41)).save("x.png")  # 2,050 pixels
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "2050 pixels" in refusal("x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2050)
    assert opened("x.png").shape == (41, 50, 3)


# ---- files that are none --------------------------------------------------------------------------------------------

def replace(path, kind):
    """Puts something that is no file in place of one."""
    path.unlink()
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket may have 107 characters
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(path.name)
        finally:
            os.chdir(here)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["FIFO", "socket", "device", "folder"])
@pytest.mark.parametrize("name, file", [
    ("faces21", "I/0.png"), ("faces21", "II/label.txt"), ("caltech35", "train/3/0.png"),
    ("caltech35", "test/annotions.txt"), ("cifar10", "cifar-10-batches-py/data_batch_4")])
def test_what_is_no_file_is_refused_at_once(tmp_path, monkeypatch, name, file, kind):
    faces_folder(tmp_path)
    caltech_folder(tmp_path)
    official_batches(tmp_path / "cifar10" / "cifar-10-batches-py", monkeypatch)
    replace(tmp_path / name / file, kind)
    with pytest.raises(data.DataError, match=f"{file} is a {kind}, not a file") as e:
        data.load(name, tmp_path)
    assert_sentences(str(e.value))


@pytest.mark.parametrize("kind", ["FIFO", "socket", "device"])
def test_a_photograph_of_cifar10_that_is_no_file_is_refused(tmp_path, kind):
    image_folder(tmp_path)
    replace(tmp_path / "cifar10" / "train" / "cat" / "00009.png", kind)
    with pytest.raises(data.DataError, match=f"00009.png is a {kind}, not a file"):
        data.load("cifar10", tmp_path)


@pytest.mark.parametrize("kind", ["FIFO", "socket", "device", "folder"])
def test_an_archive_that_is_no_file_is_refused_at_once(tmp_path, capsys, kind):
    (tmp_path / "x.zip").touch()
    replace(tmp_path / "x.zip", kind)
    assert data.main(["unpack", "x.zip"]) == 2
    message = capsys.readouterr().err
    assert "There is no archive x.zip" in message
    assert_sentences(message)


def test_links_to_files_are_followed(tmp_path):
    faces_folder(tmp_path / "real")
    shutil.copytree(tmp_path / "real", tmp_path / "links", copy_function=os.symlink)
    a, b = data.load("faces21", tmp_path / "real"), data.load("faces21", tmp_path / "links")
    assert torch.equal(a.images, b.images) and a.fingerprint == b.fingerprint
