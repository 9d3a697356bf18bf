"""params.yaml and profiles.yaml, read and checked once."""

from tasks.settings.params import FOLDER, NAME, NAME_WORDS, Place, Profile, Records, Settings, Source, nearest, parse

__all__ = ["FOLDER", "NAME", "NAME_WORDS", "Place", "Profile", "Records", "Settings", "Source", "nearest", "parse"]
