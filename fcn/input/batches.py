"""Which training images come together, and on what canvas. Imports no framework."""

import itertools
from collections import defaultdict

import numpy as np

from fcn.spec import Augment, moves

STEP = 8
"""Sides of canvases are multiples of it, in pixels."""

MOST = 1000
"""Shapes that are looked at: joining them takes the cube of their number, and half a second for
these.
"""


def canvases(sizes: np.ndarray, count: int) -> np.ndarray:
    """Few canvases such that every image has one that it fits on, with little area to spare.

    Sides are rounded up to a multiple of `STEP`, or of its double and so on where that leaves more
    than `MOST` shapes. Then, as long as there are too many, those two canvases become one that add
    the least area, over all images, by it. On real VOC images the area grows by 6 % with 4
    canvases, 3 % with 8; it would by 47 % with one.

    Args:
        sizes: (images, 2), height and width of each.
        count: how many different canvases there may be, at least 1.

    Returns:
        int64 (images, 2): height and width of each image's canvas.
    """
    step = STEP
    while len(np.unique(-(-sizes // step), axis=0)) > MOST:
        step *= 2
    rounded = -(-sizes.astype(np.int64) // step) * step
    shapes, owner, images = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
    owner = owner.reshape(-1)

    def added(one: np.ndarray) -> np.ndarray:
        """Area that joining each of `one` with every canvas would add, (len(one), canvases)."""
        joint = np.maximum(shapes[one, None], shapes[None]).prod(-1)
        area = shapes.prod(-1)
        area_added: np.ndarray = (joint - area[one, None]) * images[one, None] + (
            joint - area
        ) * images
        return area_added

    alive = np.ones(len(shapes), bool)
    costs = added(np.arange(len(shapes))).astype(float)
    np.fill_diagonal(costs, np.inf)
    for _ in range(len(shapes) - count):
        kept, gone = np.unravel_index(np.argmin(costs), costs.shape)
        shapes[kept], images[kept] = (
            np.maximum(shapes[kept], shapes[gone]),
            images[kept] + images[gone],
        )
        owner[owner == gone], alive[gone] = kept, False
        costs[kept] = costs[:, kept] = np.where(alive, added(np.array([kept]))[0], np.inf)
        costs[kept, kept] = costs[gone] = costs[:, gone] = np.inf
    result: np.ndarray = shapes[owner]
    return result


def plan(order: np.ndarray, canvas: np.ndarray, batch: int) -> np.ndarray:
    """Puts the images of an epoch into batches: each image once, images of one canvas together.

    What is left of each canvas when no batch can be filled any more is put together across
    canvases, by size and round from that of the first image that is left: so an epoch always has
    ceil(images / batch) batches, whatever the canvases, and only the last one may be short. The
    others stand where the first of their images stands in `order`; so batches of one are `order`.

    Args:
        order: the images' numbers in the order of this epoch.
        canvas: (images, 2), see `canvases`.
        batch: images per batch, at least 1.

    Returns:
        The same numbers, rearranged: the first `batch` of them are the first batch, and so on.
    """
    waiting: dict[tuple[int, ...], list[int]] = defaultdict(list)
    full: list[list[int]] = []
    for place, shape in enumerate(map(tuple, canvas[order].tolist())):
        waiting[shape].append(place)
        if len(waiting[shape]) == batch:
            full.append(waiting.pop(shape))
    shapes = sorted(waiting)
    first = min(range(len(shapes)), key=lambda n: waiting[shapes[n]][0], default=0)
    rest = [place for shape in shapes[first:] + shapes[:first] for place in waiting[shape]]
    while len(rest) >= batch:
        full.append(rest[:batch])
        del rest[:batch]
    return order[[*itertools.chain.from_iterable(sorted(full, key=min)), *rest]]


def epoch(
    order: np.ndarray,
    sizes: np.ndarray,
    seed: int,
    number: int,
    batch: int,
    buckets: int,
    augment: Augment,
) -> np.ndarray:
    """All that is to be known of an epoch before any image is read.

    Args:
        order: the images' numbers in the order of this epoch.
        sizes: (images, 2), height and width of each.
        seed: of the dice.
        number: of the epoch.
        batch: images per batch.
        buckets: how many canvases there may be.
        augment: what may be done to an image.

    Returns:
        int32 (images, 10), in the order of `plan`: the image's number; its seven of
        `augment.moves`; height and width of its canvas, which with `batch` 1 is the size of its
        window.
    """
    moved = moves(augment, sizes, seed, number)
    canvas = canvases(moved[:, 5:], buckets) if batch > 1 else moved[:, 5:]
    table = np.concatenate([np.arange(len(sizes))[:, None], moved, canvas], axis=1, dtype=np.int32)
    planned: np.ndarray = table[plan(order, canvas, batch)]
    return planned
