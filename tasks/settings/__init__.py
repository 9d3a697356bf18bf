"""params.yaml and profiles.yaml, read and checked once."""

from tasks.settings.params import FOLDER, NAME, NAME_WORDS, Profile, Records, Settings

__all__ = ["FOLDER", "NAME", "NAME_WORDS", "Profile", "Records", "Settings"]
