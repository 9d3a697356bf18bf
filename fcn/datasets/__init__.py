"""Data sets: each module lists the image and label files of a named split; `catalog` has them all."""
