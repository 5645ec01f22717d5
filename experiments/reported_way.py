"""How the reports' scripts train: photographs opened anew at every visit, a DataLoader, `.item()` every step.

experiments/bench.py measures train.py beside this. The nets, losses and optimizers are the same, and so are the images
that both see; what differs is how a student writes it. Where there are no photographs, they are generated here.
"""
import math
import random
import time

import torch
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.transforms import functional as TF

import data
import losses
from experiments import hand_written

WORKERS = 2  # processes of a DataLoader, as in PyTorch's tutorials


# ---- data sets ------------------------------------------------------------------------------------------------------

class Faces(torch.utils.data.Dataset):
    """Faces as report 1's scripts read them, from the photograph at every visit: all upright, then all rotated.

    chosen: indices of faces in data.load's order, that of the label.txt files. An item is the image, normalised float32
    (1, 112, 112), and its landmarks, float32 (42,). The second half is rotated by up to 15 degrees.
    """

    def __init__(self, folder, chosen):
        faces = []
        for labels in (folder / "I" / "label.txt", folder / "II" / "label.txt"):
            if labels.is_file():
                faces += [(labels.parent / file, box, points) for file, box, points in data.read_labels(labels)]
        self.files = [faces[i] for i in chosen]

    def __len__(self):
        return 2 * len(self.files)

    def __getitem__(self, i):
        path, box, points = self.files[i % len(self.files)]
        grey = Image.open(path).convert("L")
        x1, y1, x2, y2 = data.grown_box(box, *grey.size)
        side = data.FACE_SIDE
        # Cut and resized in one call: as quick as PIL can, and the same sub-pixel box as data.py's.
        grey = grey.resize((side, side), Image.Resampling.BILINEAR, box=(x1, y1, x2, y2))
        scale = side / (x2 - x1), side / (y2 - y1)
        points = torch.from_numpy((points - (x1, y1)) * scale).float()
        if i >= len(self.files):
            degrees = random.uniform(-15, 15)
            grey = grey.rotate(degrees, Image.Resampling.BILINEAR)
            cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            points = (points - side / 2) @ torch.tensor([[cos, -sin], [sin, cos]]) + side / 2
        x = TF.to_tensor(grey)
        return (x - x.mean()) / x.std(), points.flatten()


class Objects(torch.utils.data.Dataset):
    """caltech35 as report 5's scripts read it, from the file at every visit: opened, resized, flipped, normalised.

    chosen: indices of images in data.load's order. An item is the image, float32 (3, 112, 112), and its class's number.
    """

    def __init__(self, folder, chosen):
        _, files = data.caltech_files(folder)
        self.files = [files[i] for i in chosen]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        path, label, _ = self.files[i]
        image = Image.open(path).convert("RGB").resize((112, 112), Image.Resampling.BICUBIC)
        if random.random() < 0.5:
            image = TF.hflip(image)
        mean, std = data.MEAN_STD["imagenet"]
        return TF.normalize(TF.to_tensor(image), mean, std), label


class Pictures(torch.utils.data.Dataset):
    """CIFAR-10 as torchvision's CIFAR10 serves it: pixels in memory, an image of PIL and its transforms at every visit.

    dataset, chosen: of data.load, and indices of images in it. settings.flip and settings.pad_crop are done as the
    reports name them. An item is the image, float32 (3, 32, 32), and its class's number.
    """

    def __init__(self, settings, dataset, chosen):
        self.pixels = dataset.images[chosen].permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = dataset.targets[chosen].tolist()
        steps = []
        if settings.pad_crop:
            steps.append(transforms.RandomCrop(32, padding=settings.pad_crop))
        if settings.flip:
            steps.append(transforms.RandomHorizontalFlip())
        mean, std = data.MEAN_STD[settings.normalise or data.NORMALISED["cifar10"]]
        self.transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(mean, std)])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.transform(Image.fromarray(self.pixels[i])), self.labels[i]


def loader(settings, photographs, shuffle=True):
    """Returns a DataLoader of training batches or, with shuffle=False, of all images in order."""
    return torch.utils.data.DataLoader(photographs, settings.batch_size, shuffle, num_workers=WORKERS,
                                       drop_last=shuffle and settings.drop_last)


# ---- training -------------------------------------------------------------------------------------------------------

def as_reported(model):
    """Returns the net as the reports' scripts write it: the same function of the same weights, made otherwise.

    Its weights have the layout that a net has unless one asks for another; ReLU comes before pooling and has an output
    of its own; batch norm and dropout are torch.nn's. The net is changed in place.
    """
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            setattr(parent, name, layer_as_reported(layer))
    for net in [m for m in model.modules() if isinstance(m, nn.Sequential)]:
        for i in range(len(net) - 1):
            if isinstance(net[i], nn.MaxPool2d) and isinstance(net[i + 1], nn.ReLU):
                net[i], net[i + 1] = net[i + 1], net[i]
    return model.to(memory_format=torch.contiguous_format)


def layer_as_reported(layer):
    """Returns torch.nn's layer for one that is written by hand or changes its input in place, else the same."""
    if isinstance(layer, hand_written.BatchNorm):
        kind = nn.BatchNorm2d if isinstance(layer, hand_written.BatchNorm2d) else nn.BatchNorm1d
        theirs = kind(len(layer.weight), layer.eps, layer.momentum).to(layer.weight.device, layer.weight.dtype)
        theirs.load_state_dict(layer.state_dict())
        return theirs
    if isinstance(layer, hand_written.Dropout):
        return nn.Dropout(layer.p)
    if isinstance(layer, nn.ReLU):
        return nn.ReLU()
    return layer


def make_optimizer(settings, model):
    """The optimizer that the flags name, with torch's own choices."""
    if settings.optim == "adam":
        return torch.optim.Adam(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    return torch.optim.SGD(model.parameters(), lr=settings.lr, momentum=settings.momentum,
                           weight_decay=settings.weight_decay)


def train_on(settings, batches, model, optimizer, most=math.inf):
    """Takes a step for each batch (x, y). Returns (number of steps, seconds from the end of the first to the last).

    Before the first step a DataLoader starts its workers, which a whole epoch pays for once. most: seconds after which
    no further step begins.
    """
    loss_function, device = losses.make(settings), settings.device
    steps, total, seconds, first_done = 0, 0.0, 0.0, None
    for x, y in batches:
        loss = loss_function(model(x.to(device)), y.to(device))
        if settings.l2:
            loss = loss + settings.l2 * sum(p.pow(2).sum() for p in model.parameters())
        optimizer.zero_grad()
        loss.backward()
        if settings.clip:
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        total += loss.item()
        steps += 1
        if first_done is None:
            first_done = time.perf_counter()
        seconds = time.perf_counter() - first_done
        if seconds > most:
            break
    return steps, seconds


def step(settings, batches, model, optimizer, most=math.inf):
    """Returns the seconds that a step takes, the mean over the batches but the first, of as many as `most` allows."""
    steps, seconds = train_on(settings, batches, model, optimizer, most)
    return seconds / (steps - 1)


def epoch(settings, photographs, held_out, model, optimizer):
    """Trains for one epoch and scores the valid images. Returns the seconds it took.

    photographs, held_out: data sets of torch, for training and of valid images. The workers of the loaders start anew
    with every epoch, as they do unless told otherwise.
    """
    started, total = time.perf_counter(), 0.0
    train_on(settings, loader(settings, photographs), model, optimizer)
    loss_function, device = losses.make(settings), settings.device
    model.eval()
    with torch.no_grad():
        for x, y in loader(settings, held_out, shuffle=False):
            total += loss_function(model(x.to(device)), y.to(device)).item()
    model.train()
    return time.perf_counter() - started


# ---- photographs, where there are none ------------------------------------------------------------------------------

def write_objects(root):
    """Writes the synthetic objects into the folders of root/caltech35 as 300x200 colour JPEGs, about the real size."""
    synthetic, folder = data.load("caltech35", synthetic=True), root / "caltech35"
    for part, chosen in (("train", synthetic.train), ("val", synthetic.valid), ("addition", synthetic.valid)):
        for i in chosen.tolist():
            label = synthetic.targets[i].item()
            path = folder / part / str(label) / f"{i:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = synthetic.images[i].permute(1, 2, 0).numpy()
            Image.fromarray(pixels).resize((300, 200)).save(path, quality=90)
    (folder / "test").mkdir()
    Image.new("RGB", (300, 200)).save(folder / "test" / "0.jpg")
    (folder / "test" / "annotions.txt").write_text("0.jpg,0\n")


def write_faces(root):
    """Writes the synthetic faces under root/faces21 as 160x160 colour JPEGs with label.txt, about the real size."""
    synthetic, place = data.load("faces21", synthetic=True), random.Random(0)
    images, landmarks = synthetic.images[:, 0].numpy(), synthetic.targets.view(-1, 21, 2).numpy()
    for i, (pixels, points) in enumerate(zip(images, landmarks)):
        folder, side = root / "faces21" / ("I", "II")[i % 2], place.randrange(96, 151, 6)
        left, top = place.randint(0, 160 - side), place.randint(0, 160 - side)
        grey = [place.randrange(60, 200) for _ in range(3)]
        photograph = Image.new("RGB", (160, 160), tuple(grey))
        photograph.paste(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR), (left, top))
        folder.mkdir(parents=True, exist_ok=True)
        photograph.save(folder / f"{i:06}.jpg", quality=90)
        # When data.py grows this box by a quarter, it is the drawn face.
        box = left + side / 6, top + side / 6, left + side * 5 / 6, top + side * 5 / 6
        placed = points * (side / data.FACE_SIDE) + (left, top)
        with open(folder / "label.txt", "a") as f:
            print(f"{i:06}.jpg", *box, *placed.ravel(), file=f)
