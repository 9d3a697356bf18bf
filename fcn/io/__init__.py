"""Moves bytes and decides none: atomic files, locks, disk room, downloads, archives and their
members, redaction.
"""

from fcn.io.addresses import path_of, public, secret, sparing, without
from fcn.io.contents import PICTURES, VIDEOS
from fcn.io.files import BROKEN, check_file, digest, links, replacing_file, sniff, walk

__all__ = [
    "BROKEN",
    "PICTURES",
    "VIDEOS",
    "check_file",
    "digest",
    "links",
    "path_of",
    "public",
    "replacing_file",
    "secret",
    "sniff",
    "sparing",
    "walk",
    "without",
]
