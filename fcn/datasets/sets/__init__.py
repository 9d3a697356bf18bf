"""Published data sets of images and index PNGs: one file each.

A file's name is what `records.dataset` calls it; the file holds one `DATASET`. A new file is found
by itself: see docs/how-to/add-a-dataset.md. Data sets that need code of their own stand in
`fcn.datasets.catalog`.
"""
