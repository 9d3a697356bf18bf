"""What can be wrong with a pair or a folder, whether it matters, and what to do about it: one row each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        stops: `records` refuses it, or would write labels that mean something else.
        title: in a few words.
        do: what to do about it.
    """

    stops: bool
    title: str
    do: str


_CONVERT = "Write them anew as indices, with --convert OUT, and use OUT in place of the labels."

KINDS = {
    # Files and pairs.
    "image_missing": Kind(True, "a label without its image", "Add the image, or remove the label and its line in the lists."),
    "label_missing": Kind(True, "an image without its label", "Add the label, or remove the image and its line in the lists."),
    "names_differ": Kind(True, "images and labels that differ in a part of the name", "Rename them: both need the same name."),
    "name_twice": Kind(True, "two files of the same name", "Rename or remove one: which label is for which image?"),
    "ending": Kind(True, "a file that the layout does not have", "Save it as such; --convert OUT does, for labels."),
    "beside": Kind(True, "images and labels in one folder", "Move the images to images/ and the labels to masks/."),
    "list_broken": Kind(True, "a list that cannot be used", "Correct the list: one name without suffix per line, none twice."),
    "classes_broken": Kind(True, "a classes.txt that cannot be used", "Correct it, or remove it and run this again."),
    "no_images": Kind(True, "no images at all", "Put the images there, and a label of the same name for each."),
    "link": Kind(False, "links in place of files or folders", "Nothing: they are followed."),
    "name_bytes": Kind(
        True, "a file name that is no UTF-8", "Rename it: convmv -f latin1 -t utf8 --notest FILE, if it was Latin-1."
    ),
    "void_class": Kind(
        True,
        "a class that is called like void, and would be trained and averaged as one",
        "If it is the first: take its line out of classes.txt, and run this again: --convert OUT then makes its pixels void. "
        "If it is another one, give its pixels the value 255. If it is a class, name it otherwise, such as background.",
    ),
    "all_void": Kind(True, "a list of images without a labelled pixel", "Choose images that have labels, or mend the labels."),
    "near_duplicates": Kind(
        True,
        "images in train that lie in val again, nearly the same",
        "Take them off one of the lists: scores on images that were trained on mean nothing.",
    ),
    "near_duplicates_anywhere": Kind(
        False, "images that are nearly the same", "See to it, with lists, that they come into the same split; or remove them."
    ),
    "image_unreadable": Kind(True, "an image that cannot be read", "Get the file again, or remove it and its label."),
    "label_unreadable": Kind(True, "a label that cannot be read", "Get the file again, or remove it and its image."),
    "size_mismatch": Kind(
        True,
        "image and label differ in size",
        "Find out whether they belong together; if so, resize the label to the image's size, with nearest neighbour only.",
    ),
    "size_turned": Kind(
        True,
        "the label fits the image only as it lies in the file, not as EXIF turns it",
        "The label was drawn on the unturned pixels: remove the mark (exiftool -Orientation= IMAGE), or turn the label too.",
    ),
    "turned_unclear": Kind(
        True,
        "an image that EXIF turns, whose label may not be turned",
        "If the label was drawn on the upright image, turn the image's pixels (magick mogrify -auto-orient IMAGE); if on the "
        "unturned one, remove the mark (exiftool -Orientation= IMAGE).",
    ),
    "image_turned": Kind(False, "an image that EXIF turns", "Nothing, if the label was drawn on the upright image."),
    "image_inks": Kind(
        False, "an image in inks (CMYK)", "Its colours are converted without a profile; save it as RGB if they look wrong."
    ),
    "image_grey": Kind(False, "a grey image", "Nothing: its three channels will be equal."),
    "image_deep": Kind(False, "an image of 16 bits", "The upper 8 bits are used; if it is nearly black, stretch it first."),
    "image_transparent": Kind(False, "an image with transparency", "It is laid on white; save it without, if that is wrong."),
    "left_out": Kind(False, "what no label holds", "Nothing, if you know why."),
    # What the labels are.
    "classes_missing": Kind(True, "nothing says which label is which class", "Write classes.txt, beside the two folders."),
    "voc_colours": Kind(True, "the labels are colours of VOC's palette, not indices", _CONVERT),
    "own_colours": Kind(
        True,
        "the labels are colours of no known table",
        "Put them into masks/ and the images into images/, and run the doctor there: it proposes a classes.txt for them.",
    ),
    "greys_as_colours": Kind(True, "the labels are indices, but stored as RGB", _CONVERT),
    "mask_255": Kind(True, "the labels are masks of 0 and 255, and 255 would be read as void", _CONVERT),
    "two_values": Kind(True, "the labels have two values that are not 0 and 1", _CONVERT),
    "scaled": Kind(True, "the labels are grey values spread for the eye, not indices", _CONVERT),
    "voc_greys": Kind(
        True,
        "the labels are VOC's colours turned into grey",
        "Export them in colour or as indices. Where there are 16 classes or less, --classes N --convert OUT will do.",
    ),
    "shifted": Kind(True, "the labels count from 1", "If 1 is the first class: " + _CONVERT[0].lower() + _CONVERT[1:]),
    "one_more": Kind(
        True,
        "the labels have one value more than there are classes",
        "If 0 is the background, name it: put a line before the first one. If 0 means 'other', to be left out as in ADE20K: "
        "--convert OUT makes 0 void and 1 the first class.",
    ),
    "already_indices": Kind(
        True, "the labels count from 0 and have 255, where ADE20K's count from 1", "Use the layout images/ and masks/ for them."
    ),
    "sparse": Kind(False, "the labels have few values for so high ones", "Say how many classes there are: --classes N."),
    "out_of_range": Kind(
        True, "label values beyond the classes", "Name all classes, or correct the labels; 255 is the value for 'leave it out'."
    ),
    "unknown_colours": Kind(
        True, "label colours that classes.txt does not have", "Add a line for each colour, or correct the labels."
    ),
    "storage": Kind(True, "labels stored in a way that is not read", _CONVERT),
    "label_transparent": Kind(True, "a label with transparent pixels", "Save it without transparency."),
    "mixed": Kind(True, "labels of different kinds in one folder", _CONVERT),
    "photographs": Kind(True, "the labels have too many colours to be labels", "Is this the folder of the images?"),
    "one_class": Kind(True, "all labelled pixels are of one class", "There is nothing to learn; are these the right files?"),
    "smeared": Kind(
        True,
        "labels with mixed values along the edges: smoothed, or resized like pictures",
        "Export them without smoothing and resize with nearest neighbour only. --convert OUT makes void of what is no class. "
        "If it is a line that was drawn, give it a value that does not lie between those on its two sides.",
    ),
    "lossy": Kind(
        False, "labels in a lossy format, which changes their values", "Export them as PNG; or try --convert OUT."
    ),
    "palettes_differ": Kind(
        True,
        "the same index has different colours in different files",
        "If the indices are right, write them anew with one palette: --convert OUT. If the colours are, save the labels as RGB "
        "and look again.",
    ),
    "palette_reordered": Kind(
        True,
        "indices under the colours of other classes of VOC's palette",
        "If the colours are right, save the labels as RGB and look again; if the indices are, write them anew with VOC's "
        "palette: --convert OUT.",
    ),
    "palette_foreign": Kind(False, "a palette of their own", "Nothing: only the indices count, not the colours."),
    # What is in them.
    "class_absent": Kind(False, "classes that never occur", "Nothing, if you know why; they cannot be learned."),
    "mostly_void": Kind(False, "more than half of all pixels are void", "Nothing, if you know why: they count for nothing."),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        kind: a key of `KINDS`.
        file: the file it was found in, or "" if it is about all of them.
        what: what was found, with its numbers.
        do: what to do, if it is not the kind's own.
    """

    kind: str
    file: str
    what: str
    do: str = ""

    @property
    def stops(self) -> bool:
        """`records` refuses it, or would write labels that mean something else."""
        return KINDS[self.kind].stops

    @property
    def advice(self) -> str:
        """What to do about it."""
        return self.do or KINDS[self.kind].do

    def __str__(self) -> str:
        """One line, as for an error message."""
        return f"{self.file}: {self.what}. {self.advice}".removeprefix(": ")
