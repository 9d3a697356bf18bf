"""Files as a fault or an attacker leaves them: whole ones changed, the same way each time for the
same seed.
"""

import copy
import io
import json
import os
import re
import stat
import zipfile

import numpy as np

from fcn.io import files

VALUES: tuple[object, ...] = (
    None, True, -1, 0, 1, 2**31, 10**30, -0.5, 1e300, float("nan"), float("inf"), "", "x",
    "\x1b[31m\a\r\nall is well",
    "\u202eevil", "a" * 3000, "../../../etc/passwd", [], {}, [[1]], {"a": {"b": []}}, ["a"] * 2000,
)  # fmt: skip
"""What may stand where something else should."""
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What has no place in a sentence."""
PIECES = (
    b"",
    b"\0",
    b"\xe9",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\n",
    b'"',
    b",",
    b"[" * 5000,
    b"9" * 5000,
    b"NaN",
    b"null",
    b"\x1b[2J",
)
"""What may stand anywhere in a file."""


def of_bytes(data, rng):
    """A file cut off, with bytes changed, put in, taken out or put elsewhere."""
    data = bytearray(data)
    start, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 8, 50))
    kind = rng.randrange(7)
    if kind == 0:
        return bytes(data[:start])
    if kind == 1:
        return bytes(data[start:])
    if kind == 2 and data:
        for _ in range(rng.choice((1, 3, 10))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 3:
        data[start:start] = rng.choice(PIECES)
    elif kind == 4:
        del data[start : start + length]
    elif kind == 5:
        data[start : start + length] = rng.randbytes(length)
    else:
        data[start:start] = data[: rng.randrange(len(data) + 1)]
    return bytes(data)


def of_json(data, rng):
    """A JSON file with one value changed, or a key taken away, added or
    doubled; or as `of_bytes`.
    """
    if rng.random() < 0.4:
        return of_bytes(data, rng)
    content = copy.deepcopy(json.loads(data))
    places = list(_places(content))
    holder, key = rng.choice(places)
    kind, value = rng.randrange(4), rng.choice(VALUES)
    if holder is None:
        content = value
    elif kind == 0 and isinstance(holder, dict):
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(("more", "\x1b[31m", "", "a" * 3000))] = value
    elif kind == 2 and isinstance(holder, list):
        holder.insert(key, value)
    else:
        holder[key] = value
    text = json.dumps(content)
    return (text[:-1] + ", " + text[1:] if rng.random() < 0.05 else text).encode()


def of_table(data, rng):
    """A table with a cell, a row or a column changed; or as `of_bytes`."""
    if rng.random() < 0.4:
        return of_bytes(data, rng)
    rows = [line.split(",") for line in data.decode().splitlines()]
    row = rng.choice(rows)
    kind = rng.randrange(5)
    if kind == 0:
        row[rng.randrange(len(row))] = str(rng.choice(VALUES))
    elif kind == 1:
        row.append("1")
    elif kind == 2:
        row.pop()
    elif kind == 3:
        rows.insert(rng.randrange(len(rows) + 1), list(row))
    else:
        rows.remove(row)
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass")


def of_arrays(data, rng):
    """An archive of arrays, one of them or its header changed, with checksums that are right; or
    its own headers are.
    """
    kind = rng.randrange(3)
    if kind == 0:
        return of_bytes(data, rng)
    if kind == 1:
        changed = bytearray(data)
        marks = [
            place
            for mark in (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06")
            for place in _all(data, mark)
        ]
        place = min(rng.choice(marks) + rng.randrange(60), len(data) - 1)
        changed[place] = rng.choice((0, 1, 0x7F, 0xFF, data[place] ^ (1 << rng.randrange(8))))
        return bytes(changed)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    header, rest = members[name][:128], members[name][128:]
    members[name] = of_bytes(header, rng) + (rest if rng.random() < 0.8 else of_bytes(rest, rng))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return packed.getvalue()


def of_progress(data, rng):
    """A checkpoint with something changed in what is no number of the net."""
    with np.load(io.BytesIO(data)) as archive:
        arrays = dict(archive)
    changed = np.frombuffer(of_json(arrays["progress"].tobytes(), rng), np.uint8)
    packed = io.BytesIO()
    np.savez(packed, **{**arrays, "progress": changed})
    return packed.getvalue()


def tree(folder):
    """All that lies below a folder: kind, and content or target, by path."""
    found = {}
    for parent, below, names in os.walk(folder):
        for name in (*below, *names):
            path = os.path.join(parent, name)
            mode = os.lstat(path).st_mode
            what = (
                os.readlink(path)
                if stat.S_ISLNK(mode)
                else files.digest(path)
                if stat.S_ISREG(mode)
                else ""
            )
            found[os.path.relpath(path, folder)] = (stat.S_IFMT(mode), what)
    return found


def _places(content, holder=None, key=None):
    """(what holds it, its key) of every value."""
    yield holder, key
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _places(value, content, name)
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _places(value, content, number)


def _all(data, mark):
    found, at = [], data.find(mark)
    while at >= 0:
        found.append(at)
        at = data.find(mark, at + 1)
    return found
