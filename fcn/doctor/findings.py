"""What can be wrong with a pair or a folder: one table, and a look at a case with it."""

from collections.abc import Collection
from dataclasses import dataclass

from fcn.doctor import predicates as p
from fcn.doctor.case import Case


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        stops: `records` refuses it, or would write labels that mean something else.
        title: in a few words.
        do: what to do about it.
        found: the files of a case that it holds for ("": it is about all), and what was found.
            None: what the folders, the labels or their palettes were found to be, by its name.
    """

    stops: bool
    title: str
    do: str
    found: p.Predicate | None = None


CONVERT = "Write them anew as indices, with --convert OUT, and use OUT in place of the labels."
STOP, NOTE = True, False

KINDS = {
    # Files and pairs.
    "image_missing": Kind(STOP, "a label without its image",
        "Add the image, or remove the label and its line in the lists.",
        p.lacking("image", "label")),
    "label_missing": Kind(STOP, "an image without its label",
        "Add the label, or remove the image and its line in the lists.",
        p.lacking("label", "image")),
    "names_differ": Kind(STOP, "images and labels that differ in a part of the name",
        "Rename them: both need the same name."),
    "name_twice": Kind(STOP, "two files of the same name",
        "Rename or remove one: which label is for which image?"),
    "ending": Kind(STOP, "a file that the layout does not have",
        "Save it as such; --convert OUT does, for labels.", p.ending),
    "beside": Kind(STOP, "images and labels in one folder",
        "Move the images to images/ and the labels to masks/."),
    "list_broken": Kind(STOP, "a list that cannot be used",
        "Correct the list: one name without suffix per line, none twice."),
    "classes_broken": Kind(STOP, "a classes.txt that cannot be used",
        "Correct it, or remove it and run this again."),
    "no_images": Kind(STOP, "no images at all",
        "Put the images there, and a label of the same name for each.", p.no_images),
    "link": Kind(NOTE, "links in place of files or folders", "Nothing: they are followed."),
    "name_bytes": Kind(STOP, "a file name that is no UTF-8",
        "Rename it: convmv -f latin1 -t utf8 --notest FILE, if it was Latin-1."),
    "void_class": Kind(STOP,
        "a class that is called like void, and would be trained and averaged as one",
        "If it is the first: take its line out of classes.txt, and run this again: --convert "
        "OUT then makes its pixels void. If it is another one, give its pixels the value 255."
        " If it is a class, name it otherwise, such as background.", p.void_class),
    "all_void": Kind(STOP, "a list of images without a labelled pixel",
        "Choose images that have labels, or mend the labels.", Case.void_lists),
    "near_duplicates": Kind(STOP, "images in train that lie in val again, nearly the same",
        "Take them off one of the lists: scores on images that were trained on mean nothing.",
        p.alike(split=True)),
    "near_duplicates_anywhere": Kind(NOTE, "images that are nearly the same",
        "See to it, with lists, that they come into the same split; or remove them.",
        p.alike(split=False)),
    "image_unreadable": Kind(STOP,
        "an image that cannot be read", "Get the file again, or remove it and its label.",
        p.pair("image", lambda look: look.bad_image)),
    "label_unreadable": Kind(STOP,
        "a label that cannot be read", "Get the file again, or remove it and its image.",
        p.pair("label", lambda look: look.bad_label)),
    "size_mismatch": Kind(STOP, "image and label differ in size",
        "Find out whether they belong together; if so, resize the label to the image's size, "
        "with nearest neighbour only.", p.pair("label", lambda look: p.size(look, turned=False))),
    "size_turned": Kind(STOP,
        "the label fits the image only as it lies in the file, not as EXIF turns it",
        "The label was drawn on the unturned pixels: remove the mark (exiftool -Orientation= "
        "IMAGE), or turn the label too.", p.pair("label", lambda look: p.size(look, turned=True))),
    "turned_unclear": Kind(STOP, "an image that EXIF turns, whose label may not be turned",
        "If the label was drawn on the upright image, turn the image's pixels (magick mogrify"
        " -auto-orient IMAGE); if on the unturned one, remove the mark (exiftool "
        "-Orientation= IMAGE).", p.pair("image", lambda look: look.doubt)),
    "image_turned": Kind(NOTE,
        "an image that EXIF turns", "Nothing, if the label was drawn on the upright image.",
        p.image("EXIF orientation {0.orientation}", lambda head: head.orientation != 1)),
    "image_inks": Kind(NOTE, "an image in inks (CMYK)",
        "Its colours are converted without a profile; save it as RGB if they look wrong.",
        p.modes("CMYK")),
    "image_grey": Kind(NOTE, "a grey image", "Nothing: its three channels will be equal.",
        p.modes("1", "L", "LA")),
    "image_deep": Kind(NOTE, "an image of 16 bits",
        "The upper 8 bits are used; if it is nearly black, stretch it first.",
        p.modes("I;16", "I;16L", "I;16B", "I;16N")),
    "image_transparent": Kind(NOTE,
        "an image with transparency", "It is laid on white; save it without, if that is wrong.",
        p.modes("RGBA", "LA", "PA")),
    "left_out": Kind(NOTE, "what was left out", "If you know why, there is nothing to do."),
    # What the labels are.
    "classes_missing": Kind(STOP, "nothing says which label is which class",
        "Write classes.txt, beside the two folders.", p.classes_missing),
    "voc_colours": Kind(STOP, "the labels are colours of VOC's palette, not indices", CONVERT),
    "own_colours": Kind(STOP, "the labels are colours of no known table",
        "Put them into masks/ and the images into images/, and run the doctor there: it "
        "proposes a classes.txt for them."),
    "greys_as_colours": Kind(STOP, "the labels are indices, but stored as RGB", CONVERT,
        p.label("mode {0.mode}, where {modes} is read",
            lambda case, each: case.odd(each) and case.as_greys(each))),
    "mask_255": Kind(STOP,
        "the labels are masks of 0 and 255, and 255 would be read as void", CONVERT),
    "two_values": Kind(STOP, "the labels have two values that are not 0 and 1", CONVERT),
    "scaled": Kind(STOP, "the labels are grey values spread out for viewing, not indices", CONVERT),
    "voc_greys": Kind(STOP, "the labels are VOC's colours turned into grey",
        "Export them in colour or as indices. Where there are 16 classes or less, --classes N"
        " --convert OUT will do."),
    "shifted": Kind(STOP, "the labels count from 1",
        "If 1 is the first class: " + CONVERT[0].lower() + CONVERT[1:]),
    "one_more": Kind(STOP, "the labels have one value more than there are classes",
        "If 0 is the background, name it: put a line before the first one. If 0 means "
        "'other', to be left out as in ADE20K: --convert OUT makes 0 void and 1 the first "
        "class."),
    "already_indices": Kind(STOP,
        "the labels count from 0 and have 255, where ADE20K's count from 1",
        "Use the layout images/ and masks/ for them."),
    "sparse": Kind(NOTE, "the labels have few values for so high ones",
        "Say how many classes there are: --classes N."),
    "out_of_range": Kind(STOP, "label values beyond the classes",
        "Name all classes, or correct the labels; 255 is the value for 'leave it out'."),
    "unknown_colours": Kind(STOP, "label colours that classes.txt does not have",
        "Add a line for each colour, or correct the labels."),
    "storage": Kind(STOP, "labels stored in a way that is not read", CONVERT, p.storage),
    "label_transparent": Kind(STOP, "a label with transparent pixels",
        "Save it without transparency.", p.label("some pixels are transparent, and have no colour",
            lambda case, each: case.meaning.form == "colours" and each.transparent)),
    "mixed": Kind(STOP, "labels of different kinds in one folder", CONVERT, p.mixed),
    "photographs": Kind(STOP,
        "the labels have too many colours to be labels", "Is this the folder of the images?"),
    "one_class": Kind(STOP, "all labelled pixels are of one class",
        "There is nothing to learn; are these the right files?", p.one_class),
    "smeared": Kind(STOP,
        "labels with mixed values along the edges: smoothed, or resized like pictures",
        "Export them without smoothing and resize with nearest neighbour only. --convert OUT "
        "makes void of what is no class. If it is a line that was drawn, give it a value that"
        " does not lie between those on its two sides.",
        p.label("{0.smear_words}", lambda case, each: id(each) in case.smeared)),
    "lossy": Kind(NOTE, "labels in a lossy format, which changes their values",
        "Export them as PNG; or try --convert OUT.",
        p.label("a label as {0.format}", lambda case, each: each.lossy and not case.photographs)),
    "palettes_differ": Kind(STOP, "the same index has different colours in different files",
        "If the indices are right, write them anew with one palette: --convert OUT. If the "
        "colours are, save the labels as RGB and look again."),
    "palette_reordered": Kind(STOP, "indices under the colours of other classes of VOC's palette",
        "If the colours are right, save the labels as RGB and look again; if the indices are,"
        " write them anew with VOC's palette: --convert OUT."),
    "palette_foreign": Kind(NOTE, "a palette of their own",
        "Nothing: only the indices count, not the colours."),
    # What is in them.
    "class_absent": Kind(NOTE, "classes that never occur",
        "They cannot be learned. If you know why, there is nothing to do.", p.absent),
    "mostly_void": Kind(NOTE, "more than half of all pixels are void",
        "They count for nothing. If you know why, there is nothing to do.", p.mostly_void),
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
        return f"{self.file or KINDS[self.kind].title}: {self.what}. {self.advice}"


def findings(case: Case, kinds: Collection[str] = KINDS.keys()) -> list[Finding]:
    """What the table finds in a case; those that stop come first.

    Args:
        case: what was measured.
        kinds: the rows that are looked at.
    """
    found = []
    for name in sorted(kinds, key=lambda name: not KINDS[name].stops):
        spots = KINDS[name].found or p.called(name)
        found += [Finding(name, str(file), what) for file, what in spots(case)]
    return found
