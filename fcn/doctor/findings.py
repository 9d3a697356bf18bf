"""What can be wrong with a pair or a folder: one table, and a look at a case with it."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from fcn.doctor import predicates as p
from fcn.doctor.case import Case


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        stops: `records` refuses it, or would write labels that mean something else.
        found: the files of a case that it holds for ("": it is about all), and what was found.
        title: in a few words.
        do: what to do about it.
    """

    stops: bool
    found: Callable[[Case], Iterable[tuple[Path | str, str]]]
    title: str
    do: str


CONVERT = "Write them anew as indices, with --convert OUT, and use OUT in place of the labels."
STOP, NOTE = True, False

KINDS = {
    # Files and pairs.
    "image_missing": Kind(STOP, p.lacking("image", "label"), "a label without its image",
        "Add the image, or remove the label and its line in the lists."),
    "label_missing": Kind(STOP, p.lacking("label", "image"), "an image without its label",
        "Add the label, or remove the image and its line in the lists."),
    "names_differ": Kind(STOP, p.noted("names_differ"),
        "images and labels that differ in a part of the name",
        "Rename them: both need the same name."),
    "name_twice": Kind(STOP, p.noted("name_twice"), "two files of the same name",
        "Rename or remove one: which label is for which image?"),
    "ending": Kind(STOP, p.ending, "a file that the layout does not have",
        "Save it as such; --convert OUT does, for labels."),
    "beside": Kind(STOP, p.noted("beside"), "images and labels in one folder",
        "Move the images to images/ and the labels to masks/."),
    "list_broken": Kind(STOP, p.noted("list_broken"), "a list that cannot be used",
        "Correct the list: one name without suffix per line, none twice."),
    "classes_broken": Kind(STOP, p.noted("classes_broken"), "a classes.txt that cannot be used",
        "Correct it, or remove it and run this again."),
    "no_images": Kind(STOP, p.once(p.no_images), "no images at all",
        "Put the images there, and a label of the same name for each."),
    "link": Kind(NOTE, p.noted("link"), "links in place of files or folders",
        "Nothing: they are followed."),
    "name_bytes": Kind(STOP, p.noted("name_bytes"), "a file name that is no UTF-8",
        "Rename it: convmv -f latin1 -t utf8 --notest FILE, if it was Latin-1."),
    "void_class": Kind(STOP, p.once(p.void_class),
        "a class that is called like void, and would be trained and averaged as one",
        "If it is the first: take its line out of classes.txt, and run this again: --convert "
        "OUT then makes its pixels void. If it is another one, give its pixels the value 255."
        " If it is a class, name it otherwise, such as background."),
    "all_void": Kind(STOP, Case.void_lists, "a list of images without a labelled pixel",
        "Choose images that have labels, or mend the labels."),
    "near_duplicates": Kind(STOP, p.alike(split=True),
        "images in train that lie in val again, nearly the same",
        "Take them off one of the lists: scores on images that were trained on mean nothing."),
    "near_duplicates_anywhere": Kind(NOTE, p.alike(split=False), "images that are nearly the same",
        "See to it, with lists, that they come into the same split; or remove them."),
    "image_unreadable": Kind(STOP, p.pair("image", lambda look: look.bad_image),
        "an image that cannot be read", "Get the file again, or remove it and its label."),
    "label_unreadable": Kind(STOP, p.pair("label", lambda look: look.bad_label),
        "a label that cannot be read", "Get the file again, or remove it and its image."),
    "size_mismatch": Kind(STOP, p.pair("label", lambda look: p.size(look, turned=False)),
        "image and label differ in size",
        "Find out whether they belong together; if so, resize the label to the image's size, "
        "with nearest neighbour only."),
    "size_turned": Kind(STOP, p.pair("label", lambda look: p.size(look, turned=True)),
        "the label fits the image only as it lies in the file, not as EXIF turns it",
        "The label was drawn on the unturned pixels: remove the mark (exiftool -Orientation= "
        "IMAGE), or turn the label too."),
    "turned_unclear": Kind(STOP, p.pair("image", lambda look: look.doubt),
        "an image that EXIF turns, whose label may not be turned",
        "If the label was drawn on the upright image, turn the image's pixels (magick mogrify"
        " -auto-orient IMAGE); if on the unturned one, remove the mark (exiftool "
        "-Orientation= IMAGE)."),
    "image_turned": Kind(NOTE, p.image("EXIF orientation "
                                       "{0.orientation}", lambda head: head.orientation != 1),
        "an image that EXIF turns", "Nothing, if the label was drawn on the upright image."),
    "image_inks": Kind(NOTE, p.image("mode {0.mode}", lambda head: head.mode == "CMYK"),
        "an image in inks (CMYK)",
        "Its colours are converted without a profile; save it as RGB if they look wrong."),
    "image_grey": Kind(NOTE, p.image("mode {0.mode}", lambda head: head.mode in ("1", "L", "LA")),
        "a grey image", "Nothing: its three channels will be equal."),
    "image_deep": Kind(NOTE, p.image("mode {0.mode}", lambda head: head.mode.startswith("I;16")),
        "an image of 16 bits",
        "The upper 8 bits are used; if it is nearly black, stretch it first."),
    "image_transparent": Kind(NOTE, p.image("mode {0.mode}", lambda head: head.mode in ("RGBA",
    "LA", "PA")),
        "an image with transparency", "It is laid on white; save it without, if that is wrong."),
    "left_out": Kind(NOTE, p.noted("left_out"), "what was left out",
        "Nothing, if you know why."),
    # What the labels are.
    "classes_missing": Kind(STOP, p.classes_missing, "nothing says which label is which class",
        "Write classes.txt, beside the two folders."),
    "voc_colours": Kind(STOP, p.meant("voc_colours"),
        "the labels are colours of VOC's palette, not indices", CONVERT),
    "own_colours": Kind(STOP, p.meant("own_colours"), "the labels are colours of no known table",
        "Put them into masks/ and the images into images/, and run the doctor there: it "
        "proposes a classes.txt for them."),
    "greys_as_colours": Kind(STOP, p.label("mode {0.mode}, where {modes} is read",
        lambda case, each: case.odd(each) and case.as_greys(each)),
        "the labels are indices, but stored as RGB", CONVERT),
    "mask_255": Kind(STOP, p.meant("mask_255"),
        "the labels are masks of 0 and 255, and 255 would be read as void", CONVERT),
    "two_values": Kind(STOP, p.meant("two_values"),
        "the labels have two values that are not 0 and 1", CONVERT),
    "scaled": Kind(STOP, p.meant("scaled"),
        "the labels are grey values spread out for viewing, not indices", CONVERT),
    "voc_greys": Kind(STOP, p.meant("voc_greys"), "the labels are VOC's colours turned into grey",
        "Export them in colour or as indices. Where there are 16 classes or less, --classes N"
        " --convert OUT will do."),
    "shifted": Kind(STOP, p.meant("shifted"), "the labels count from 1",
        "If 1 is the first class: " + CONVERT[0].lower() + CONVERT[1:]),
    "one_more": Kind(STOP, p.meant("one_more"),
        "the labels have one value more than there are classes",
        "If 0 is the background, name it: put a line before the first one. If 0 means "
        "'other', to be left out as in ADE20K: --convert OUT makes 0 void and 1 the first "
        "class."),
    "already_indices": Kind(STOP, p.meant("already_indices"),
        "the labels count from 0 and have 255, where ADE20K's count from 1",
        "Use the layout images/ and masks/ for them."),
    "sparse": Kind(NOTE, p.meant("sparse"), "the labels have few values for so high ones",
        "Say how many classes there are: --classes N."),
    "out_of_range": Kind(STOP, p.meant("out_of_range"), "label values beyond the classes",
        "Name all classes, or correct the labels; 255 is the value for 'leave it out'."),
    "unknown_colours": Kind(STOP, p.meant("unknown_colours"),
        "label colours that classes.txt does not have",
        "Add a line for each colour, or correct the labels."),
    "storage": Kind(STOP, p.storage, "labels stored in a way that is not read", CONVERT),
    "label_transparent": Kind(STOP, p.label("some pixels are transparent, and have no colour",
        lambda case, each: case.meaning.form == "colours" and each.transparent),
        "a label with transparent pixels",
        "Save it without transparency."),
    "mixed": Kind(STOP, p.once(p.mixed), "labels of different kinds in one folder", CONVERT),
    "photographs": Kind(STOP, p.meant("photographs"),
        "the labels have too many colours to be labels", "Is this the folder of the images?"),
    "one_class": Kind(STOP, p.once(p.one_class), "all labelled pixels are of one class",
        "There is nothing to learn; are these the right files?"),
    "smeared": Kind(STOP, p.label("{0.smear_words}", lambda case, each: id(each) in case.smeared),
        "labels with mixed values along the edges: smoothed, or resized like pictures",
        "Export them without smoothing and resize with nearest neighbour only. --convert OUT "
        "makes void of what is no class. If it is a line that was drawn, give it a value that"
        " does not lie between those on its two sides."),
    "lossy": Kind(NOTE, p.label("a label as {0.format}",
        lambda case, each: each.lossy and not case.photographs),
        "labels in a lossy format, which changes their values",
        "Export them as PNG; or try --convert OUT."),
    "palettes_differ": Kind(STOP, p.palettes("palettes_differ"),
        "the same index has different colours in different files",
        "If the indices are right, write them anew with one palette: --convert OUT. If the "
        "colours are, save the labels as RGB and look again."),
    "palette_reordered": Kind(STOP, p.palettes("palette_reordered"),
        "indices under the colours of other classes of VOC's palette",
        "If the colours are right, save the labels as RGB and look again; if the indices are,"
        " write them anew with VOC's palette: --convert OUT."),
    "palette_foreign": Kind(NOTE, p.palettes("palette_foreign"), "a palette of their own",
        "Nothing: only the indices count, not the colours."),
    # What is in them.
    "class_absent": Kind(NOTE, p.once(p.absent), "classes that never occur",
        "Nothing, if you know why; they cannot be learned."),
    "mostly_void": Kind(NOTE, p.once(p.mostly_void), "more than half of all pixels are void",
        "Nothing, if you know why: they count for nothing."),
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


def findings(case: Case, kinds: Collection[str] = KINDS.keys()) -> list[Finding]:
    """What the table finds in a case; those that stop come first.

    Args:
        case: what was measured.
        kinds: the rows that are looked at.
    """
    order = sorted(kinds, key=lambda kind: not KINDS[kind].stops)
    return [
        Finding(kind, str(file), what) for kind in order for file, what in KINDS[kind].found(case)
    ]
