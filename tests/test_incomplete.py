"""What is said of a data set that is not whole, and what cannot be split."""
from types import SimpleNamespace

import pytest
import torch
from data_files import (alone, assert_sentences, caltech_folder, faces_folder, image_folder,  # noqa: F401
                        official_batches)

import data
from experiments import readers


def raw_of(name, classes, *parts):
    """What a reader returns, without its images. parts: (number of the part, images in each class) or with a list."""
    targets, part = [], []
    for number, counts in parts:
        if isinstance(counts, int):
            counts = [counts] * classes
        for label, count in enumerate(counts):
            targets += [label] * count
            part += [number] * count
    return {"targets": torch.tensor(targets), "part": torch.tensor(part), "classes": [str(i) for i in range(classes)]}


CIFAR_TEST, REST = (2, 1000), ((1, 10), (2, 40), (3, 20))  # REST: of caltech35


@pytest.mark.parametrize("parts, words", [
    (((0, 5000), CIFAR_TEST), ""),
    (((0, 4900), CIFAR_TEST), "49,000 of 50,000 train images"),
    (((0, 5000), (2, 999)), "9,990 of 10,000 test images"),
    (((0, 1), (2, 1)), "10 of 50,000 train images, 10 of 10,000 test images"),
    (((0, 5001), CIFAR_TEST), "50,010 train images instead of 50,000"),
    (((0, [4998, 5002] + [5000] * 8), CIFAR_TEST), "train classes of 4,998 to 5,002 images")])
def test_cifar10(parts, words):
    assert readers.incomplete("cifar10", raw_of("cifar10", 10, *parts)) == words


@pytest.mark.parametrize("classes, parts, words", [
    (35, ((0, 60), *REST), ""),
    (34, ((0, 60), *REST), "34 of 35 classes, 2,040 of 2,100 train images, 340 of 350 val images, "
                           "1,360 of 1,400 test images, 680 of 700 addition images"),
    (35, ((0, 61), *REST), "2,135 train images instead of 2,100"),
    (35, ((0, 60), (1, [0, 20] + [10] * 33), *REST[1:]), "val classes of 0 to 20 images"),
    (35, ((0, 60), REST[0], (2, [39] + [40] * 34), REST[2]), "1,399 of 1,400 test images")])
def test_caltech35(classes, parts, words):
    assert readers.incomplete("caltech35", raw_of("caltech35", classes, *parts)) == words


@pytest.mark.parametrize("faces, photographs, words", [
    (2785, 1999, ""), (2784, 1999, "2,784 of 2,785 faces"), (2785, 1998, "1,998 of 1,999 photographs"),
    (2, 1, "2 of 2,785 faces, 1 of 1,999 photographs"), (2786, 1999, "2,786 faces instead of 2,785")])
def test_faces21(faces, photographs, words):
    raw = {"images": torch.empty(faces, 1, 1, 1), "group": torch.arange(faces) % photographs}
    assert readers.incomplete("faces21", raw) == words


SMALL = {"cifar10": "30 of 50,000 train images, 10 of 10,000 test images",
         "faces21": "20 of 2,785 faces, 10 of 1,999 photographs",
         "caltech35": "12 of 35 classes, 24 of 2,100 train images, 12 of 350 val images, 6 of 1,400 test images, "
                      "12 of 700 addition images"}


@pytest.mark.parametrize("name", data.NAMES)
def test_a_data_set_says_so_wherever_it_is_described(tmp_path, capsys, name):
    for make in (faces_folder, caltech_folder, image_folder):
        make(tmp_path / "data")
    settings = SimpleNamespace(label_noise=0, clean_by=None)
    for split in data.SPLITS[name]:
        for _ in ("read", "from the cache"):
            d = data.load(name, split=split)
            assert d.incomplete == SMALL[name] == data.facts(settings, d)["incomplete"]
    assert data.main(["info", name]) == 0
    assert capsys.readouterr().out.endswith(f"; incomplete: {SMALL[name]}\n")


@pytest.mark.parametrize("name", data.NAMES)
def test_generated_data_are_never_incomplete(name, small_data, capsys):
    d = data.load(name, synthetic=True)
    assert d.incomplete == "" and "incomplete" not in data.facts(SimpleNamespace(label_noise=0, clean_by=None), d)
    data.info([name], synthetic=True)
    assert "incomplete" not in capsys.readouterr().out


def test_whole_data_say_nothing(tmp_path, monkeypatch, capsys):
    image_folder(tmp_path)
    monkeypatch.setitem(readers.WHOLE, "cifar10", (10, {"train": (0, 3), "test": (2, 1)}))
    d = data.load("cifar10", tmp_path)
    assert d.incomplete == "" and "incomplete" not in data.facts(SimpleNamespace(label_noise=0, clean_by=None), d)
    data.info(["cifar10"], tmp_path)
    assert "incomplete" not in capsys.readouterr().out


@pytest.mark.parametrize("photographs, split, part", [(2, "photograph", "valid"), (2, "leak", None)])
def test_a_split_without_valid_images_is_refused(tmp_path, photographs, split, part):
    faces_folder(tmp_path, photographs=photographs, each=2)
    if part is None:  # four faces and their copies are enough to leave two of them out
        assert len(data.load("faces21", tmp_path, split=split).valid) == 2
        return
    with pytest.raises(data.DataError, match=f"The split {split} of faces21 under .* leaves no {part} image") as e:
        data.load("faces21", tmp_path, split=split)
    assert_sentences(str(e.value))


def test_a_split_without_train_images_is_refused(tmp_path, monkeypatch):
    faces_folder(tmp_path, photographs=4)
    monkeypatch.setattr(data, "VALID_FRACTION", 1.0)
    with pytest.raises(data.DataError, match="leaves no train image"):
        data.load("faces21", tmp_path)
