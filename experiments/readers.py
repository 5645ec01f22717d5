"""Reads the files of the three data sets into arrays: where they lie, what they hold, and what is said of broken ones.

`locate` finds a data set's folder and the function that reads it. That function returns a dict:

images    uint8 (n, c, h, w)
targets   int64 (n,), classes by number; or float32 (n, 42), landmarks in pixels
part      int64 (n,): 0 train, 1 valid, 2 test, 3 more train images (caltech35's "addition")
group     int64 (n,), the number of each face's photograph; only for faces
classes   their names; empty for landmarks
source    a word on where all this comes from
"""
import hashlib
import io
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from experiments import archives

NAMES = ("cifar10", "faces21", "caltech35")
CIFAR_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()
# The md5 of the official files: the data set's page has no stronger digest of them.
CIFAR_BATCHES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f", "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751", "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb", "test_batch": "40351d587109b95175f43aff81a1287e"}
CALTECH_PARTS = ("train", "val", "test", "addition")  # by number
FACE_SIDE = 112  # pixels
IMAGES = (".png", ".jpg", ".jpeg")
TEXTS = ("label.txt", "annotions.txt")
# What images are decoded. PIL knows more formats, and would start other programs for some of them.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM")
# PIL's modes of up to 8 bits a channel. Of others, such as 16-bit grey, convert() would make 255 of all that is above.
# 16-bit colour comes in these modes, too: PIL itself reads the upper 8 bits of each channel, which is no such loss.
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
# The whole data sets: their classes, and how many images of each class every part has; part numbers as above.
WHOLE = {"cifar10": (10, {"train": (0, 5000), "test": (2, 1000)}),
         "caltech35": (35, {"train": (0, 60), "val": (1, 10), "test": (2, 40), "addition": (3, 20)})}
WHOLE_FACES, WHOLE_PHOTOGRAPHS = 2785, 1999
LOOKED_FOR = {"cifar10": "cifar10/cifar-10-batches-py, cifar-10-batches-py and cifar10/train",
              "faces21": "faces21/I/label.txt and faces21/II/label.txt",
              "caltech35": "caltech35/{" + ",".join(CALTECH_PARTS) + "}"}


class DataError(Exception):
    """The data are missing or broken. The message says what was looked for or found, and how to mend it."""


# ---- where they lie -------------------------------------------------------------------------------------------------

def locate(name, root="data"):
    """Returns the folder of a data set and the function that reads it. Raises DataError where it is not there."""
    root = Path(root)
    if name == "cifar10":
        for folder in (root / "cifar10" / "cifar-10-batches-py", root / "cifar-10-batches-py"):
            if folder.is_dir():
                return folder, _read_cifar_batches
        if (root / "cifar10" / "train").is_dir():
            return root / "cifar10", _read_cifar_folders
    elif name == "faces21":
        if any((root / name / part / "label.txt").is_file() for part in ("I", "II")):
            return root / name, _read_faces
    elif all((root / name / part).is_dir() for part in CALTECH_PARTS):
        return root / name, _read_caltech
    raise DataError(missing(name, root))


def missing(name, root, and_also=""):
    """Returns what is said where a data set is not there: what was looked for, and how to get it.

    and_also: goes on with the first sentence.
    """
    title = "CIFAR-10" if name == "cifar10" else name
    return (f"No {title} under {root}: looked for {LOOKED_FOR[name]}{and_also}. Get it with `python data.py fetch "
            f"{name}`, or put its archive on this box and run `python data.py unpack ARCHIVE`.")


def identify(folder):
    """Returns name and folder of the data set that lies somewhere below `folder`, or (None, None)."""
    for here, folders, files in os.walk(folder):
        folders.sort()  # os.walk goes on in this order
        here = Path(here)
        if "data_batch_1" in files:
            return "cifar10", here
        if any((here / part / "label.txt").is_file() for part in ("I", "II")):
            return "faces21", here
        if set(CALTECH_PARTS) <= set(folders):
            return "caltech35", here
        if {"train", "test"} <= set(folders) and len(archives.visible_folders(here / "train")) == 10:
            return "cifar10", here
    return None, None


def incomplete(name, raw):
    """Returns in what a data set, as its reader returned it, differs from the whole one; "" where it does not.

    Such as "40 of 2,785 faces, 20 of 1,999 photographs". More than there should be counts as well.
    """
    said = []

    def compare(found, whole, things):
        if found < whole:
            said.append(f"{found:,} of {whole:,} {things}")
        elif found > whole:
            said.append(f"{found:,} {things} instead of {whole:,}")

    if name == "faces21":
        compare(len(raw["images"]), WHOLE_FACES, "faces")
        compare(len(raw["group"].unique()), WHOLE_PHOTOGRAPHS, "photographs")
        return ", ".join(said)
    classes, parts = WHOLE[name]
    compare(len(raw["classes"]), classes, "classes")
    for part, (number, of_each) in parts.items():
        counts = torch.bincount(raw["targets"][raw["part"] == number], minlength=classes)
        total, least, most = counts.sum().item(), counts.min().item(), counts.max().item()
        compare(total, classes * of_each, f"{part} images")
        if total == classes * of_each and least != most:
            said.append(f"{part} classes of {least:,} to {most:,} images")
    return ", ".join(said)


# ---- cifar10 --------------------------------------------------------------------------------------------------------

def _read_cifar_batches(folder):
    """Reads the official python batches. Each one's digest is checked first, because a pickle can run any code."""
    images, labels, part = [], [], []
    for file, digest in CIFAR_BATCHES.items():
        archives.check_file(folder / file)
        content = (folder / file).read_bytes()
        if hashlib.md5(content).hexdigest() != digest:
            raise DataError(f"{folder / file} is not the official CIFAR-10 batch (its md5 is not {digest}), so it was "
                            f"not opened. Remove {folder}, then `python data.py fetch cifar10`.")
        batch = pickle.loads(content, encoding="bytes")
        images.append(torch.from_numpy(batch[b"data"].reshape(-1, 3, 32, 32).copy()))
        labels += batch[b"labels"]
        number = 2 if file == "test_batch" else 0
        part += [number] * len(batch[b"labels"])
    return {"images": torch.cat(images), "targets": torch.tensor(labels), "part": torch.tensor(part),
            "classes": CIFAR_CLASSES, "source": "official batches"}


def _read_cifar_folders(folder):
    """Reads {train,test}/CLASS/*.{png,jpg}. Where file names are the official numbers, the official order comes out."""
    images, labels, part, endings = [], [], [], set()
    classes = archives.visible_folders(folder / "train")
    for number, side in ((0, "train"), (2, "test")):
        here = archives.visible_folders(folder / side)
        if here != classes or len(classes) != 10:
            raise DataError(f"{folder / side} should hold ten class folders, the same in train and test; it holds "
                            f"{len(here)}. Remove {folder} and unpack it again with `python data.py unpack ARCHIVE`.")
        files, empty = [], []
        for label, name in enumerate(classes):
            paths = archives.visible_files(folder / side / name, IMAGES)
            files += [(path.stem.zfill(8), label, path) for path in paths]
            if not paths:
                empty.append(name)
        if empty:
            raise DataError(f"{folder / side} holds no .png or .jpg image of {', '.join(empty)}. Remove {folder} and "
                            "unpack it again with `python data.py unpack ARCHIVE`.")
        for _, label, path in tqdm(sorted(files), f"decoding {side}", leave=False, disable=None):
            image = np.asarray(_open_image(path).convert("RGB"))
            if image.shape != (32, 32, 3):
                raise DataError(f"{path} is {image.shape[1]}x{image.shape[0]}; CIFAR-10 images are 32x32. "
                                "Replace that file.")
            images.append(image)
            labels.append(label)
            part.append(number)
            endings.add(path.suffix.lower())
    source = f"image folder of {'/'.join(sorted(endings))}"
    if endings & {".jpg", ".jpeg"}:
        source += " (lossy copy)"
    return {"images": _stack(images), "targets": torch.tensor(labels), "part": torch.tensor(part), "classes": classes,
            "source": source}


# ---- faces21 --------------------------------------------------------------------------------------------------------

def read_labels(path):
    """Reads a label.txt of faces21: [(file, rectangle (4,), landmarks (21, 2)), ...] in pixels of the photograph.

    Raises DataError with the number of a line that is not a file name and 46 numbers, whose rectangle has no area, or
    that stood there before: its face would count twice.
    """
    faces, first = [], {}  # first: the numbers of the lines by their words
    for number, line in _lines(path):
        file, *fields = line.split()
        try:
            values = np.array(fields, dtype=float)
        except ValueError:
            values = np.array([np.nan])
        if len(fields) != 46:
            problem = f"has {len(fields)} numbers; 4 for the rectangle and 42 for the landmarks are needed"
        elif not (np.abs(values) < 1e6).all():  # nan and infinity are not below it either
            problem = "holds something that is not a number of pixels"
        elif values[2] <= values[0] or values[3] <= values[1]:
            problem = f"has a rectangle without area, {' '.join(fields[:4])}"
        elif (file, *fields) in first:
            problem = f"is line {first[file, *fields]} again"
        else:
            first[file, *fields] = number
            faces.append((file, values[:4], values[4:].reshape(21, 2)))
            continue
        raise DataError(f"{path}, line {number} {problem}. Mend or remove that line.")
    return faces


def grown_box(box, width, height):
    """Returns a face's rectangle x1 y1 x2 y2, grown by 25 % of its width and height on every side (report 1).

    All is in pixels. The result is clipped to the photograph, which is width x height.
    """
    x1, y1, x2, y2 = box
    dx, dy = 0.25 * (x2 - x1), 0.25 * (y2 - y1)
    return max(0.0, x1 - dx), max(0.0, y1 - dy), min(float(width), x2 + dx), min(float(height), y2 + dy)


def _read_faces(folder):
    """Reads every face of I and II: cropped, grey, resized to 112x112 (bilinear), landmarks in pixels of that crop.

    A crop that is not square is stretched to a square one (report 1).
    """
    faces = []
    for part in ("I", "II"):
        labels = folder / part / "label.txt"
        if labels.exists():
            faces += [(folder / part / file, box, points) for file, box, points in read_labels(labels)]
    if not faces:
        raise DataError(f"The label.txt files in {folder} name no face. Unpack the data set again with "
                        "`python data.py unpack ARCHIVE`.")
    photographs = sorted({path for path, _, _ in faces})
    number = {path: i for i, path in enumerate(photographs)}
    images, targets = [], []
    opened = grey = None
    for path, box, points in tqdm(faces, "decoding faces21", leave=False, disable=None):
        if opened != path:  # the faces of one photograph stand on consecutive lines
            opened, grey = path, _open_image(path).convert("L")
        x1, y1, x2, y2 = grown_box(box, *grey.size)
        if x2 - x1 < 1 or y2 - y1 < 1:
            raise DataError(f"A face rectangle of {path} lies outside that {grey.width}x{grey.height} photograph, or "
                            "holds less than a pixel of it. Mend label.txt.")
        crop = grey.resize((FACE_SIDE, FACE_SIDE), Image.Resampling.BILINEAR, box=(x1, y1, x2, y2))
        images.append(np.asarray(crop))
        targets.append((points - (x1, y1)) * (FACE_SIDE / (x2 - x1), FACE_SIDE / (y2 - y1)))
    return {"images": torch.from_numpy(np.stack(images))[:, None],
            "targets": torch.from_numpy(np.stack(targets)).float().flatten(1),
            "part": torch.zeros(len(faces), dtype=torch.int64),
            "group": torch.tensor([number[path] for path, _, _ in faces]),
            "classes": [], "source": "photographs with label.txt"}


# ---- caltech35 ------------------------------------------------------------------------------------------------------

def _read_caltech(folder, side):
    """Reads photographs, resized to side x side (bicubic, aspect not kept); grey ones become RGB (report 5)."""
    classes, files = caltech_files(folder)
    images, labels, part = [], [], []
    for path, label, number in tqdm(files, "decoding caltech35", leave=False, disable=None):
        images.append(np.asarray(_open_image(path).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)))
        labels.append(label)
        part.append(number)
    return {"images": _stack(images), "targets": torch.tensor(labels), "part": torch.tensor(part), "classes": classes,
            "source": "the course's folders"}


def caltech_files(folder):
    """Returns caltech35's classes and files: names, and [(path, label, number of its part), ...].

    The files are {train,val,addition}/CLASS/*.jpg and test/*.jpg with test/annotions.txt (sic), lines of file,label.
    Raises DataError where folders or images are missing, or a line is another one, or names a file again.
    """
    classes = [str(i) for i in range(len(archives.visible_folders(folder / "train")))]
    if len(classes) > WHOLE["caltech35"][0]:
        raise DataError(f"{folder / 'train'} holds {len(classes)} class folders; caltech35 has 35 classes, 0 to 34. "
                        "Move the others away, or unpack it again with `python data.py unpack ARCHIVE`.")
    files = []
    for number, part in enumerate(CALTECH_PARTS):
        if part == "test":
            files += [(path, label, number) for path, label in _read_annotations(folder / part, classes)]
            continue
        if archives.visible_folders(folder / part) != sorted(classes):
            raise DataError(f"{folder / part} should hold the class folders 0, 1, 2, ..., the same as in train; unpack "
                            "it again with `python data.py unpack ARCHIVE`.")
        for label, name in enumerate(classes):
            paths = archives.visible_files(folder / part / name, IMAGES)
            if part == "train" and not paths:
                raise DataError(f"{folder / part / name} holds no .png or .jpg image. Unpack the data set again with "
                                "`python data.py unpack ARCHIVE`.")
            files += [(path, label, number) for path in paths]
    if {number for _, _, number in files} != set(range(len(CALTECH_PARTS))):
        raise DataError(f"One of {', '.join(CALTECH_PARTS)} in {folder} holds no image. Unpack it again with "
                        "`python data.py unpack ARCHIVE`.")
    return classes, files


def _read_annotations(folder, classes):
    """Reads a test folder's annotions.txt: [(path, label), ...]. Raises DataError with the number of a broken line."""
    found, labels = folder / "annotions.txt", []
    first = {}  # the numbers of the lines by their files
    for number, line in _lines(found):
        file, _, name = (word.strip() for word in line.rpartition(","))
        if name not in classes or not file or Path(file).name != file:  # nor may a name lead to another folder
            raise DataError(f"{found}, line {number} is not the name of a file here, a comma and a class. "
                            "Mend or remove that line.")
        if file in first:
            raise DataError(f"{found}, line {number} names {file}, as line {first[file]} does. Remove one of the two.")
        first[file] = number
        labels.append((folder / file, classes.index(name)))
    return labels


# ---- files ----------------------------------------------------------------------------------------------------------

def _lines(path):
    """Yields (number from 1 on, line) for every line of a text file that is not empty. Raises OSError."""
    archives.check_file(path)
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() ends lines where no editor does
        if line.strip():
            yield number, line


def _open_image(path):
    """Returns a decoded image of PIL's, of at most 8 bits a channel. Raises DataError where there is none."""
    try:
        archives.check_file(path)
        with warnings.catch_warnings():
            # PIL only warns of an image that would fill the memory, unless it is twice as large.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
        image.load()
    except Exception as e:  # for files that are no images PIL raises OSError, SyntaxError, ValueError, struct.error
        reason = e
        if isinstance(e, FileNotFoundError):
            reason = "no such file"
        elif isinstance(e, UnidentifiedImageError):
            reason = f"it is none of {', '.join(FORMATS)}"
        raise DataError(f"{path} cannot be read as an image ({reason}). Replace it, or unpack the data set "
                        "again.") from e
    if image.mode not in MODES:
        raise DataError(f"{path} is an image of PIL's mode {image.mode}, whose values do not fit into 8 bits. Save it "
                        "as 8-bit grey or RGB.")
    return image


def compressed(images, quality):
    """Returns uint8 images (n, 3, h, w) as they are after one more compression as JPEG files of this quality.

    They are moved by 4 pixels before, their edges repeated: in the same place, the 8x8 blocks of a JPEG file that they
    come from would lose next to nothing more.
    """
    moved = np.pad(images.permute(0, 2, 3, 1).numpy(), ((0, 0), (4, 4), (4, 4), (0, 0)), mode="edge")
    for image in moved:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        image[:] = np.asarray(Image.open(file))
    return torch.from_numpy(moved[:, 4:-4, 4:-4]).permute(0, 3, 1, 2).contiguous()


def _stack(images):
    """Returns RGB arrays (h, w, 3) as one tensor (n, 3, h, w)."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
