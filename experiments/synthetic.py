"""Synthetic data, made in memory in seconds: drawn faces with 21 landmarks, coloured objects of up to 35 classes.

The same arguments give the same images on every machine: everything is drawn on the CPU from one seeded generator.
"""
import math

import torch

# Where the 21 landmarks sit in a frontal face, x and y as fractions of the face's rectangle: brows (3 + 3), corners of
# the eyes (2 + 2), nose (3), lips (3), pupils, tip of the nose, corners of the mouth. The order is that of faces21.
FACE_POINTS = torch.tensor([
    [.11, .11], [.24, .08], [.38, .11], [.61, .10], [.74, .08], [.87, .10], [.17, .23], [.36, .25], [.62, .24],
    [.81, .23], [.36, .51], [.50, .57], [.64, .51], [.50, .66], [.50, .73], [.50, .79], [.27, .23], [.72, .23],
    [.50, .48], [.32, .71], [.67, .70]])
# The lines of the drawing, from landmark to landmark.
FACE_STROKES = ((0, 1), (1, 2), (3, 4), (4, 5), (6, 16), (16, 7), (8, 17), (17, 9), (10, 11), (11, 12), (18, 11),
                (19, 13), (13, 20), (19, 15), (15, 20), (19, 14), (14, 20))
LOWER_LIP = 15
FACE_SIDE = 112  # pixels
LARGEST_DRAWING = 112  # pixels: larger objects would take twenty seconds to draw


def faces(count, seed):
    """Returns `count` grey drawings of faces that differ in place, size, tilt, proportions, mouth and light.

    A dict: images, uint8 (count, 1, 112, 112); targets, float32 (count, 42), x1 y1 ... x21 y21 in pixels; part, int64
    (count,), all 0; group, int64 (count,), two faces to a "photograph"; classes, empty.
    """
    generator = torch.Generator().manual_seed(seed)

    def between(low, high, *shape):
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    points = FACE_POINTS.repeat(count, 1, 1) + 0.012 * torch.randn(count, 21, 2, generator=generator)
    points[:, LOWER_LIP, 1] += between(0, 0.08)  # how far the mouth is open
    size = torch.stack([between(54, 82), between(54, 82)], -1)[:, None]
    tilt = torch.deg2rad(between(-12, 12))[:, None]
    x, y = ((points - 0.5) * size).unbind(-1)
    points = torch.stack([tilt.cos() * x + tilt.sin() * y, tilt.cos() * y - tilt.sin() * x], -1)
    points = points + torch.stack([between(48, 64), between(50, 62)], -1)[:, None]

    pixels = torch.arange(FACE_SIDE) + 0.5
    ys, xs = torch.meshgrid(pixels, pixels, indexing="ij")
    centre = points.mean(1)
    across = (xs - centre[:, :1, None]) / (0.72 * size[..., :1])
    down = (ys - centre[:, 1:, None]) / (0.88 * size[..., 1:])
    head = across ** 2 + down ** 2  # below 1 inside an ellipse
    slope = between(-0.3, 0.3, 1, 1) * (xs - 56) + between(-0.3, 0.3, 1, 1) * (ys - 56)
    image = between(20, 110, 1, 1) + slope + between(60, 120, 1, 1) * torch.sigmoid(12 * (1 - head))
    for first, last in FACE_STROKES:
        start, along = points[:, first, :, None, None], (points[:, last] - points[:, first])[:, :, None, None]
        px, py = xs - start[:, 0], ys - start[:, 1]
        t = ((px * along[:, 0] + py * along[:, 1]) / (along ** 2).sum(1).clamp_min(1e-6)).clamp(0, 1)
        distance = torch.hypot(px - t * along[:, 0], py - t * along[:, 1])
        image = image - between(45, 70, 1, 1) * torch.sigmoid(2.5 * (1.6 - distance))
    image = image + 6 * torch.randn(count, FACE_SIDE, FACE_SIDE, generator=generator)
    return {"images": image.clamp(0, 255).byte()[:, None], "targets": points.flatten(1),
            "part": torch.zeros(count, dtype=torch.int64), "group": torch.arange(count) // 2, "classes": []}


def objects(classes, counts, side, seed):
    """Returns drawings of coloured objects of `classes` classes (35 at most), of which each part has equally many.

    counts: how many images part 0, part 1, ... has. side: of the images, in pixels; 224 gives the drawings of 112 with
    every pixel doubled.
    A dict: images, uint8 (n, 3, side, side); targets and part, int64 (n,); classes, their names.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.arange(count) % classes for count in counts])
    part = torch.cat([torch.full((count,), number) for number, count in enumerate(counts)])
    images = draw_objects(labels, min(side, LARGEST_DRAWING), generator)
    times = side // images.shape[-1]
    images = images.repeat_interleave(times, -1).repeat_interleave(times, -2)
    return {"images": images, "targets": labels, "classes": [f"object {i}" for i in range(classes)], "part": part}


def draw_objects(labels, side, generator):
    """Returns one coloured object, uint8 (n, 3, side, side), for each label of `labels`, int64 (n,), 0 to 34.

    label % 7 is the object's outline, label // 7 its pattern. Place, size, tilt and colours vary.
    """
    n = len(labels)

    def between(low, high, *shape):
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    grid = (torch.arange(side) + 0.5) / side * 2 - 1
    ys, xs = torch.meshgrid(grid, grid, indexing="ij")
    tilt, size = between(-0.35, 0.35, 1, 1), between(0.55, 0.85, 1, 1)
    right, down, cos, sin = between(-0.2, 0.2, 1, 1), between(-0.2, 0.2, 1, 1), tilt.cos(), tilt.sin()
    inside, pattern = torch.empty(n, side, side), torch.empty(n, side, side)
    for label in labels.unique().tolist():
        mine = labels == label
        x, y = xs - right[mine], ys - down[mine]
        u, v = (cos[mine] * x + sin[mine] * y) / size[mine], (cos[mine] * y - sin[mine] * x) / size[mine]
        inside[mine] = torch.sigmoid(-side / 2 * _outline(label % 7, u, v))
        pattern[mine] = torch.sigmoid(4 * _pattern(label // 7, u, v))
    colour, other, ground = (between(0, 1, 3)[:, :, None, None] for _ in range(3))
    images = torch.empty(n, 3, side, side, dtype=torch.uint8)
    for few in torch.arange(n).split(64):  # what is worked out of all at once would be gigabytes, fresh from the system
        shape, shade = inside[few, None], pattern[few, None]
        ink = shade * (0.35 + 0.65 * colour[few]) + (1 - shade) * 0.4 * other[few]
        noise = 0.04 * torch.randn(len(few), 3, side, side, generator=generator)
        image = shape * ink + (1 - shape) * 0.6 * ground[few] + noise
        images[few] = (image * 255).clamp(0, 255).byte()
    return images


def _outline(shape, u, v):
    """Returns numbers that are negative inside the shape and positive outside; in u and v it fills about -1..1."""
    rho, phi = torch.hypot(u, v), torch.atan2(v, u)
    if shape in (1, 2):  # triangle, square: a regular polygon's side is this far from the centre in the direction phi
        sector = 2 * math.pi / (shape + 2)
        return rho - 1.1 * math.cos(sector / 2) / torch.cos(torch.remainder(phi + math.pi / 2, sector) - sector / 2)
    if shape == 3:  # ellipse
        return torch.hypot(u, 2.2 * v) - 1
    if shape == 4:  # star
        return rho - (0.7 + 0.3 * torch.cos(5 * phi))
    if shape == 5:  # ring
        return (rho - 0.75).abs() - 0.22
    if shape == 6:  # cross
        return torch.minimum(torch.maximum(u.abs() - 0.3, v.abs() - 1), torch.maximum(v.abs() - 0.3, u.abs() - 1))
    return rho - 1  # disc


def _pattern(number, u, v):
    """Returns numbers that are positive where the object has its first colour and negative where it has its second."""
    if number == 1:  # stripes
        return torch.sin(12 * u)
    if number == 2:  # checks
        return torch.sin(9 * u) * torch.sin(9 * v)
    if number == 3:  # rings
        return torch.sin(12 * torch.hypot(u, v))
    if number == 4:  # half and half
        return 2 * u
    return torch.ones_like(u)  # filled
