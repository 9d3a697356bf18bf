"""Writing the records: pairs of image and label, checked and encoded by several threads, in an
order drawn from the seed.
"""

import collections
import functools
import hashlib
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fcn.datasets import Listing, Pair, leaks
from fcn.doctor import Case, Item, Look, findings, near
from fcn.errors import UserError, enumeration
from fcn.input import MARK, SCHEMA
from fcn.io import files
from fcn.records.encoding import Example, encode, same_picture

Done = Callable[[str, int, int], None]

MOST_BAD, NAMED = 1000, 20
"""After so many bad pairs the rest is not looked at any more; so many are named in the error."""


@dataclass(frozen=True)
class Bad:
    """A pair that cannot be used, and why."""

    pair: Pair
    reason: str

    def entry(self) -> dict[str, str]:
        """For the index, which does not depend on where the data set lies: the reason without the
        folders.
        """
        short = self.reason
        for path in (self.pair.image, self.pair.label):
            short = short.replace(f"{path.parent}{os.sep}", "")
        return {"id": self.pair.id, "reason": short}


@dataclass
class _Split:
    """What is known of a split so far; per image it keeps a reference, a size, a digest, 256
    colours and counts.
    """

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    images_with: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    samples: list[bytes] = field(default_factory=list)
    thumbnails: list[tuple[str, np.ndarray]] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)

    def add(self, example: Example) -> None:
        self.pairs.append(example.pair)
        self.sizes.append(example.size)
        self.pixels += example.pixels
        self.images_with += example.pixels > 0
        self.samples.append(example.sample)
        self.thumbnails.append((example.pair.id, example.thumbnail))
        item = Item(example.pair.id, example.pair.image, example.pair.label)
        self.looks.append(Look(item, content=example.content))

    def entry(self, name: str, classes: Sequence[str]) -> dict[str, Any]:
        heights, widths = zip(*self.sizes, strict=True)
        return {
            "list": name,
            "digest": hashlib.sha256(
                "".join(file["sha256"] for file in self.files.values()).encode()
            ).hexdigest(),
            "images": len(self.pairs),
            "files": self.files,
            "height": [min(heights), max(heights)],
            "width": [min(widths), max(widths)],
            "pixels": {name: int(n) for name, n in zip(classes, self.pixels, strict=False)},
            "void_pixels": int(self.pixels[255]),
            "images_with": {
                name: int(n) for name, n in zip(classes, self.images_with, strict=False)
            },
            "skipped": [bad.entry() for bad in self.bad],
            "ids": [pair.id for pair in self.pairs],
            "sizes": [list(size) for size in self.sizes],
        }


def write(
    listing: Listing,
    lists: Mapping[str, str],
    out: Path,
    shards: int,
    seed: int,
    on_bad: str,
    done: Done,
    workers: int | None = None,
    explain: Callable[[Pair], str] = lambda pair: "",
) -> dict:
    """Writes the records of a data set: `<split>-00000-of-000NN.tfrecord` and `index.json`.

    Args:
        listing: the pairs of the splits "train" and "val", and the classes.
        lists: what the splits are called in the data set, by split; for messages and for the index.
        out: folder to make or replace, as a whole and at the end.
        shards: files per split, at most one per pair; shard n takes every `shards`-th pair,
            starting with the n-th.
        seed: of the order in which the pairs of "train" are stored; those of "val" stay in their
            list's.
        on_bad: "stop" looks at all pairs and then names those that cannot be used; "skip" leaves
            them out.
        done: called with (split, pairs seen, pairs in all) after each pair.
        workers: threads, by default one per processor core; no byte depends on it.
        explain: says more of a bad pair than the reader's error, for messages; "" if it knows no
            more.

    Returns:
        The index: `schema`, `classes`, `notes` (of the listing) and `splits`, each of which has
        `list`: its name in the data set; `images`: how many; `digest`: over all shards;
        `files`, by name: `images` and `sha256`;
        `height`, `width`: [smallest, largest];
        `pixels` and `images_with`, by class: how many, and how many images show the class;
        `void_pixels`; `skipped`: `id` and `reason` of each pair that was left out;
        `ids`, `sizes` as [height, width]: of each image, in stored order.

    Raises:
        UserError: the splits share an image, by its id or, under another one, pixel by pixel, or in
            the user's own splits nearly so; pairs cannot be used (see `encode`), or all of a split;
            the doctor would stop at the labels, looked at together; a split has no labelled pixel;
            the disk is full. Nothing is left behind then, and what was at `out` stays.
    """
    leaks(listing.splits["train"], listing.splits["val"])
    work = functools.partial(_attempt, classes=len(listing.classes), colours=listing.colours)
    most_bad = MOST_BAD if on_bad == "stop" else sys.maxsize
    order = np.random.default_rng(seed).permutation(len(listing.splits["train"]))
    stored = {
        "train": [listing.splits["train"][number] for number in order],
        "val": listing.splits["val"],
    }
    splits: dict[str, _Split] = {}
    with files.replacing_folder(out, MARK) as folder:
        folder.mkdir()
        for split, pairs in stored.items():
            dealt = [pairs[n::shards] for n in range(min(shards, len(pairs)))]
            results = _in_order(work, itertools.chain(*dealt), workers or os.cpu_count() or 1)
            names = [f"{split}-{n:05d}-of-{len(dealt):05d}.tfrecord" for n in range(len(dealt))]
            parts = [(folder / name, len(part)) for name, part in zip(names, dealt, strict=True)]
            try:
                splits[split] = _store(results, parts, most_bad, functools.partial(done, split))
            except tf.errors.ResourceExhaustedError as error:
                raise UserError(
                    f"{error.message}: make room on the disk of {out} and run the stage again"
                ) from error
        _refuse_bad(lists, splits, on_bad, explain)
        _refuse_labels(listing, lists, splits)
        _refuse_same(lists, splits["train"], splits["val"], listing.own)
        entries = {
            split: found.entry(lists[split], listing.classes) for split, found in splits.items()
        }
        index = {
            "schema": SCHEMA,
            "classes": list(listing.classes),
            "notes": list(listing.notes),
            "splits": entries,
        }
        files.write_json(folder / "index.json", index)
    return index


def _attempt(pair: Pair, classes: int, colours: Any) -> Example | Bad:
    try:
        return encode(pair, classes, colours)
    except UserError as error:
        return Bad(pair, str(error))


def _in_order(
    work: Callable[[Pair], Example | Bad], pairs: Iterable[Pair], workers: int
) -> Iterator[Example | Bad]:
    """`work` of every pair in the pairs' order, done by threads that run ahead of the consumer by a
    few pairs only.
    """
    ahead: collections.deque = collections.deque()
    with ThreadPoolExecutor(workers) as pool:
        for pair in pairs:
            ahead.append(pool.submit(work, pair))
            if len(ahead) > 4 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _store(
    results: Iterator[Example | Bad],
    parts: Sequence[tuple[Path, int]],
    most_bad: int,
    done: Callable[[int, int], None],
) -> _Split:
    """Writes the results into files, so many (less the bad ones) into each; ends early at
    `most_bad`.
    """
    found = _Split()
    total = sum(count for _, count in parts)
    for path, count in parts:
        before = len(found.pairs)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for result in itertools.islice(results, count):
                if isinstance(result, Bad):
                    found.bad.append(result)
                    if len(found.bad) >= most_bad:
                        return found
                else:
                    writer.write(result.data)
                    found.add(result)
                done(len(found.pairs) + len(found.bad), total)
        found.files[path.name] = {"images": len(found.pairs) - before, "sha256": files.digest(path)}
    return found


def _refuse_bad(
    lists: Mapping[str, str],
    splits: Mapping[str, _Split],
    on_bad: str,
    explain: Callable[[Pair], str],
) -> None:
    bad = [each for found in splits.values() for each in found.bad]
    if bad and on_bad == "stop":
        seen = len(bad) + sum(len(found.pairs) for found in splits.values())
        raise UserError(
            *_reasons(
                f"{len(bad)} of {seen} pairs of image and label cannot be used:", bad, explain
            ),
            "Mend them, take them off the lists, or leave them out with `on_bad: skip`.",
        )
    for split, found in splits.items():
        if not found.pairs:
            start = f"no pair of image and label of {lists[split]} can be used:"
            raise UserError(*_reasons(start, found.bad, explain))


def _reasons(start: str, bad: Sequence[Bad], explain: Callable[[Pair], str]) -> list[str]:
    """The lines of an error that begins with `start`."""
    reasons = [explain(each.pair) or each.reason for each in bad[:NAMED]]
    if len(bad) == 1:
        return [f"{start} {reasons[0]}"]
    more = [f"- and {len(bad) - NAMED} more"] if len(bad) > NAMED else []
    return [start, *(f"- {reason}" for reason in reasons), *more]


def _refuse_labels(
    listing: Listing, lists: Mapping[str, str], splits: Mapping[str, _Split]
) -> None:
    """What can be told of all labels together only: what the doctor would stop at, stops here."""
    colours = tuple(red << 16 | green << 8 | blue for red, green, blue in listing.colours)
    by_encoding: dict[str, list[Look]] = {}
    for found in splits.values():
        for pair, look in zip(found.pairs, found.looks, strict=True):
            by_encoding.setdefault(pair.encoding, []).append(look)
    stops = []
    for encoding, looks in by_encoding.items():
        table = colours if encoding == "colours" else ()
        case = Case(looks, classes=len(listing.classes), table=table, encoding=encoding)
        stops += [str(finding) for finding in findings(case) if finding.stops]
    if stops:
        more = [f"- and {len(stops) - NAMED} more"] if len(stops) > NAMED else []
        lines = [f"- {each}" for each in stops[:NAMED]]
        raise UserError("the labels cannot be used:", *lines, *more)
    for split, found in splits.items():
        if not found.pixels[: len(listing.classes)].any():
            raise UserError(
                f"{lists[split]}: every pixel of its {len(found.pairs)} labels is void: choose "
                "images that have labels, or mend the labels"
            )


def _refuse_same(lists: Mapping[str, str], train: _Split, val: _Split, nearly: bool) -> None:
    candidates = collections.defaultdict(list)
    for pair, sample in zip(train.pairs, train.samples, strict=True):
        candidates[sample].append(pair)
    same = [
        f"{candidate.id} = {pair.id}"
        for pair, sample in zip(val.pairs, val.samples, strict=True)
        for candidate in candidates.get(sample, [])
        if same_picture(candidate, pair)
    ]
    if same:
        raise UserError(
            f"{lists['train']} and {lists['val']} share {len(same)} images under different names, "
            f"equal pixel by pixel: {enumeration(same)}. Scores on images that were trained on "
            "mean nothing: take them off one of the lists"
        )
    alike = (
        [f"{one} = {other}" for one, other in near.pairs(train.thumbnails, val.thumbnails)]
        if nearly
        else []
    )
    if alike:
        raise UserError(
            f"{lists['train']} and {lists['val']} share {len(alike)} images that are nearly the "
            f"same: {enumeration(alike)}. Scores on images that were trained on mean nothing: take "
            "them off one of the lists, or put both into the same"
        )
