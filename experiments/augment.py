"""Augmentation of whole batches on their device, drawn for each image: shifts, flips, rotation, AutoAugment, AugMix.

Torch's own transforms draw once for a whole batch. Here `draw` draws for each image what happens to it, on the CPU, and
`shift`, `rotate` and `operate` do it. The pixels of AutoAugment and AugMix come out as from torchvision's transforms of
single images; images that get the same operation go through it together.
"""
import torch
import torch.nn.functional as F

# The operations by number; 0 is none. Each has an amount.
# The first five move pixels: by pixels per pixel of distance (shears), a fraction of the side (translations), degrees.
# The next four blend the image with another one: the amount is added to the image's weight of 1.
# The amounts of these nine have a sign. Posterize's amount is the number of bits that are kept, Solarize's the lowest
# value that is inverted. The other three have none.
OPS = ("", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness",
       "Posterize", "Solarize", "AutoContrast", "Equalize", "Invert")
MOVES, BLENDS = OPS[1:6], OPS[6:10]
# AutoAugment's policy for CIFAR-10 (Cubuk et al. 2019, appendix). An image gets one of these pairs of operations. After
# an operation stands its probability and, where it has a meaning, its magnitude from 0 to 9.
AUTOAUGMENT = (
    ("Invert .1", "Contrast .2 6"), ("Rotate .7 2", "TranslateX .3 9"), ("Sharpness .8 1", "Sharpness .9 3"),
    ("ShearY .5 8", "TranslateY .7 9"), ("AutoContrast .5", "Equalize .9"), ("ShearY .2 7", "Posterize .3 7"),
    ("Color .4 3", "Brightness .6 7"), ("Sharpness .3 9", "Brightness .7 9"), ("Equalize .6", "Equalize .5"),
    ("Contrast .6 7", "Sharpness .6 5"), ("Color .7 7", "TranslateX .5 8"), ("Equalize .3", "AutoContrast .4"),
    ("TranslateY .4 3", "Sharpness .2 6"), ("Brightness .9 6", "Color .2 8"), ("Solarize .5 2", "Invert .0"),
    ("Equalize .2", "AutoContrast .6"), ("Equalize .2", "Equalize .6"), ("Color .9 9", "Equalize .6"),
    ("AutoContrast .8", "Solarize .2 8"), ("Brightness .1 3", "Color .7 0"), ("Solarize .4 5", "AutoContrast .9"),
    ("TranslateY .9 9", "TranslateY .7 9"), ("AutoContrast .9", "Solarize .8 3"), ("Equalize .8", "Invert .1"),
    ("TranslateY .7 9", "AutoContrast .9"))
# What AugMix chooses from: neither blends nor Invert.
AUGMIX = MOVES + ("Posterize", "Solarize", "AutoContrast", "Equalize")
ON_CPU = ("degrees", "ops")  # draws that Dataset.batch wants on the CPU; it wants the others on the images' device


# ---- drawing --------------------------------------------------------------------------------------------------------

def draw(visits, generator, flip=False, pad=0, rotate=0.0, upright=None, autoaugment=0.0, augmix=0.0):
    """Draws an epoch's augmentation, once per visited image, on the CPU: the same for every device and batch size.

    visits: how many images the epoch visits. flip: mirror with probability 1/2. pad: shift by up to so many pixels.
    rotate: by up to so many degrees. upright: a bool mask (visits,) of images that are not rotated. autoaugment,
    augmix: the probability that an image gets it; at most one of the two. Returns a dict of tensors with `visits` rows
    for data.Dataset.batch, without what is off: shift, flip, degrees, ops, amounts, mix.
    """
    draws = {}
    if pad:
        draws["shift"] = torch.randint(-pad, pad + 1, (visits, 2), generator=generator)
    if flip:
        draws["flip"] = torch.rand(visits, generator=generator) < 0.5
    if rotate:
        draws["degrees"] = (torch.rand(visits, generator=generator) * 2 - 1) * rotate
        if upright is not None:
            draws["degrees"][upright] = 0
    if autoaugment:
        draws.update(draw_autoaugment(visits, generator, autoaugment))
    elif augmix:
        draws.update(draw_augmix(visits, generator, augmix))
    return draws


def draw_autoaugment(visits, generator, probability):
    """Draws AutoAugment's operations for `visits` images, each of which gets it with this probability.

    Returns a dict of tensors on the CPU: ops, int64 (visits, 1, 2), numbers in OPS; amounts, float32 (visits, 1, 2).
    """
    table = torch.tensor([[_number_probability_level(words) for words in pair] for pair in AUTOAUGMENT])
    chosen = torch.randint(len(table), (visits, 1), generator=generator)
    ops, chance, level = table[chosen].unbind(-1)
    ops, level = ops.long(), level.long()
    image_gets_it = torch.rand(visits, 1, 1, generator=generator) < probability
    done = image_gets_it & (torch.rand(ops.shape, generator=generator) < chance)
    amounts = _draw_amounts(ops, level, generator, translate=150 / 331, bits=8)
    return {"ops": ops * done, "amounts": amounts}


def _number_probability_level(words):
    """Returns an entry of AUTOAUGMENT as numbers: the operation's in OPS, its probability, its magnitude (else 0)."""
    op, probability, *level = words.split()
    return OPS.index(op), float(probability), int(level[0]) if level else 0


def draw_augmix(visits, generator, probability, severity=3, chains=3, depth=3):
    """Draws AugMix (Hendrycks et al. 2020, alpha = 1) for `visits` images, each of which gets it with this probability.

    An image runs through `chains` chains of one to `depth` operations, whose ends are mixed with the image itself.
    Returns a dict of tensors on the CPU: ops and amounts as of draw_autoaugment, but (visits, chains, depth); mix,
    float32 (visits, 1 + chains), the weights of the image and of the ends of the chains.
    """
    choice = torch.tensor([OPS.index(op) for op in AUGMIX])
    ops = choice[torch.randint(len(choice), (visits, chains, depth), generator=generator)]
    level = torch.randint(severity, ops.shape, generator=generator)
    amounts = _draw_amounts(ops, level, generator, translate=1 / 3, bits=4)
    length = torch.randint(1, depth + 1, (visits, chains, 1), generator=generator)
    done = torch.rand(visits, 1, 1, generator=generator) < probability
    # The image's weight is Beta(1, 1), that is uniform; the ends share the rest by Dirichlet(1, 1, 1).
    image = torch.rand(visits, 1, generator=generator)
    parts = torch.empty(visits, chains).exponential_(generator=generator)
    mix = torch.cat([image, (1 - image) * parts / parts.sum(1, keepdim=True)], 1)
    image_alone = torch.eye(1 + chains)[0]
    mix = torch.where(done[:, 0], mix, image_alone)
    return {"ops": ops * done * (torch.arange(depth) < length), "amounts": amounts, "mix": mix}


def _draw_amounts(ops, level, generator, translate, bits):
    """Returns the amounts of `ops` at the magnitudes `level`, 0 to 9, with signs drawn where an amount has one.

    translate: the largest translation, as a fraction of the side. bits: what Posterize keeps at level 0.
    """
    largest = {"ShearX": 0.3, "ShearY": 0.3, "TranslateX": translate, "TranslateY": translate, "Rotate": 30}
    largest.update(dict.fromkeys(BLENDS, 0.9))
    table = torch.stack([torch.linspace(0, largest.get(op, 0), 10) for op in OPS])
    table[OPS.index("Posterize")] = bits - torch.arange(10) // 2
    table[OPS.index("Solarize")] = torch.linspace(255, 0, 10)
    sign = 2 * torch.randint(2, ops.shape, generator=generator) - 1
    return table[ops, level] * torch.where(ops < OPS.index("Posterize"), sign, 1)


# ---- moving images ---------------------------------------------------------------------------------------------------

def shift(x, by):
    """Returns images (n, c, h, w) moved up and left by `by` (n, 2) pixels; black comes in.

    To pad by p pixels and crop at random is a shift by -p..p.
    """
    n, _, h, w = x.shape
    rows = by[:, :1] + torch.arange(h, device=x.device)
    columns = by[:, 1:] + torch.arange(w, device=x.device)
    inside = ((rows >= 0) & (rows < h))[:, None, :, None] & ((columns >= 0) & (columns < w))[:, None, None, :]
    image = torch.arange(n, device=x.device)[:, None, None]
    moved = x[image, :, rows.clamp(0, h - 1)[:, :, None], columns.clamp(0, w - 1)[:, None, :]]
    return moved.permute(0, 3, 1, 2) * inside


def rotate(x, degrees, landmarks=None):
    """Returns float images (n, c, h, w) rotated counter-clockwise about their centre, and their landmarks with them.

    degrees (n,); n may be 0. landmarks (n, 2k): x1 y1 ... in pixels, 0 at the left or top edge; or None. The images are
    sampled bilinearly, and what comes in from outside is 0: the mean of a normalised image.
    """
    n, _, h, w = x.shape
    if n == 0:  # grid_sample refuses an empty batch
        return x, landmarks
    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    # Where each pixel of the result comes from. Coordinates are relative to the centre; y points down. The grid is
    # written out because affine_grid takes six times as long on a CPU.
    xs = (torch.arange(w, device=x.device) + 0.5 - w / 2)[None, None, :]
    ys = (torch.arange(h, device=x.device) + 0.5 - h / 2)[None, :, None]
    grid = torch.empty(n, h, w, 2, device=x.device)
    torch.sub(cos * xs * (2 / w), sin * ys * (2 / w), out=grid[..., 0])
    torch.add(sin * xs * (2 / h), cos * ys * (2 / h), out=grid[..., 1])
    rotated = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if landmarks is None:
        return rotated, None
    px, py = landmarks[:, 0::2] - w / 2, landmarks[:, 1::2] - h / 2
    cos, sin = cos[:, :, 0], sin[:, :, 0]
    points = torch.stack([cos * px + sin * py + w / 2, cos * py - sin * px + h / 2], dim=-1)
    return rotated, points.view(n, -1)


# ---- AutoAugment's and AugMix's operations ---------------------------------------------------------------------------

def operate(x, ops, amounts, mix=None):
    """Returns uint8 RGB images (n, 3, h, w) after these operations, as torchvision's AutoAugment or AugMix leaves them.

    ops, amounts (n, chains, depth), mix (n, 1 + chains): as drawn above; without mix it is AutoAugment, of one chain.
    ops is on the CPU, so that sorting images by it waits for nothing; the others are on the images' device.
    """
    mode = "nearest" if mix is None else "bilinear"
    chains = ops.shape[1]
    ops, amounts = ops.flatten(0, 1), amounts.flatten(0, 1)
    kinds, orders = ops.sort(0)  # images with the same operation become neighbours
    kinds, orders, ranks = torch.stack([kinds, orders, orders.argsort(0)]).to(x.device, non_blocking=True)
    ends = x.repeat_interleave(chains, 0)
    for op, kind, order, rank, amount in zip(ops.T, kinds.T, orders.T, ranks.T, amounts.T):
        counts = op.bincount(minlength=len(OPS)).tolist()
        ends, amount = ends.index_select(0, order), amount[order]
        first, last = counts[0], sum(counts[:6])  # the rows whose pixels move: one call for all five operations
        if last > first:
            ends[first:last] = move(ends[first:last], kind[first:last], amount[first:last], mode)
        groups = ends[last:].split(counts[6:])
        group_amounts = amount[last:, None, None, None].split(counts[6:])
        for name, images, a in zip(OPS[6:], groups, group_amounts):
            if len(images):
                images.copy_(change(images, name, a))  # a view: it changes `ends`
        ends = ends.index_select(0, rank)
    if mix is None:
        return ends
    mix = mix[..., None, None, None]
    mixed = mix[:, 0] * x
    for i in range(chains):
        mixed += mix[:, 1 + i] * ends[i::chains]
    return mixed.byte()


def move(x, kind, amount, mode):
    """Returns uint8 images (n, c, h, w) sheared from the upper left corner, shifted, or rotated counter-clockwise.

    kind (n,): a number in OPS, 1 to 5. amount (n,). Shifts are by whole pixels. Black comes in from outside.
    mode: how pixels between pixels are read, "nearest" or "bilinear".
    """
    h, w = x.shape[2:]
    shear_x, shear_y, right, down, degrees = ((amount * (kind == i))[:, None, None] for i in range(1, 6))
    cos, sin = torch.deg2rad(degrees).cos(), torch.deg2rad(degrees).sin()
    # Where each pixel of the result comes from. Coordinates are relative to the centre; y points down.
    xs = torch.arange(w, device=x.device) + 0.5 - w / 2
    ys = torch.arange(h, device=x.device)[:, None] + 0.5 - h / 2
    from_x = cos * xs + ((shear_x - sin) * ys + (shear_x * h / 2 - (right * w).trunc()))
    from_y = (shear_y + sin) * xs + (cos * ys + (shear_y * w / 2 - (down * h).trunc()))
    grid = torch.stack([from_x * (2 / w), from_y * (2 / h)], -1)
    return F.grid_sample(x.float(), grid, mode=mode, padding_mode="zeros", align_corners=False).round_().byte()


def change(x, op, a):
    """Returns uint8 RGB images (n, 3, h, w) after `op`, a name of OPS[6:], with the amounts `a` (n, 1, 1, 1)."""
    if op == "Posterize":
        return x & (256 - (1 << (8 - a.long()))).byte()
    if op == "Solarize":
        return torch.where(x >= a, 255 - x, x)
    if op == "AutoContrast":
        return auto_contrast(x)
    if op == "Equalize":
        return equalize(x)
    if op == "Invert":
        return 255 - x
    return ((1 + a) * x - a * _blended_with(x, op, a)).clamp_(0, 255).byte()


def _blended_with(x, op, a):
    """Returns the other image of a blend, float32: black, grey, all of one grey, or blurred."""
    if op == "Brightness":
        return 0 * a
    other = x.float()
    if op == "Sharpness":  # every pixel, with weight 5, and its eight neighbours are averaged; the rim stays as it is
        inner = other[:, :, 1:-1, 1:-1]
        rows = other[..., :-2] + other[..., 1:-1] + other[..., 2:]
        inner.copy_(((rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * inner) / 13).round_())
        return other
    grey = (0.2989 * other[:, :1] + 0.587 * other[:, 1:2] + 0.114 * other[:, 2:]).floor_()
    if op == "Contrast":
        return grey.mean((1, 2, 3), keepdim=True)
    return grey  # Color


def auto_contrast(x):
    """Returns uint8 images (n, c, h, w) whose channels are each stretched to 0..255; one of a single value stays."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat = low == high
    low, factor = low.masked_fill(flat, 0), (255 / (high - low)).masked_fill(flat, 1)
    return ((x - low) * factor).clamp_(0, 255).byte()


def equalize(x):
    """Returns uint8 images (n, c, h, w) whose channels each got as flat a histogram as can be.

    A channel that is nearly of a single value stays.
    """
    values = x.flatten(2).flatten(0, 1).long()
    channels = torch.arange(len(values), device=x.device)[:, None]
    places = (values + 256 * channels).flatten()
    counts = places.new_zeros(256 * len(values)).scatter_add_(0, places, torch.ones_like(places)).view(-1, 256)
    below = counts.cumsum(1) - counts
    step = below.gather(1, values.amax(1, keepdim=True)) // 255
    table = ((below + step // 2) // step.clamp_min(1)).clamp_max_(255)
    return torch.where(step > 0, table.gather(1, values), values).byte().view_as(x)
