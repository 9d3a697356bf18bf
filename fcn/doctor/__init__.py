"""The label doctor: what is a folder of labels, what is wrong with it, and what to do.

`examine` looks at a folder, `check` at a pair, `check_counts` at the label values of a
whole split, `convert` writes labels anew as class indices. `Diagnosis.to_json` gives

    schema        1; it is raised when any of this changes
    path          as it was asked for
    layout        "voc", "folder" (images/ and masks/), "ade20k", "sbd", or "labels" (labels alone)
    images        how many
    labels        how many
    kind          what the labels are: "indices", "ade20k", "class_colours" (those of classes.txt):
                  good as they are; "nothing": none could be read; or a kind of finding
                  (`findings.KINDS`), such as "voc_colours"
    words         the same as a sentence, with the values or colours found
    height, width [smallest, largest], in pixels
    classes       a list, by class index, of: name; raw (the values or colours that stand for it);
                  pixels; share (of all pixels but void, 0..1); files (labels that show it); most
                  (the label that shows most of it). What is no class comes last, with the name "".
    void_pixels   how many pixels count for nothing
    void_share    their share of all pixels, 0..1
    classes_txt   lines proposed for classes.txt; none if it need not or cannot be proposed
    stops         whether any of the findings does
    findings      a list of: kind; stops (`records` refuses it, or would write labels that mean
                  something else); file ("" if it is about all); what (was found here); title (of
                  the kind); do (what to do about it)
"""

from fcn.doctor.case import Case, Look
from fcn.doctor.contents import Content, count
from fcn.doctor.convert import convert
from fcn.doctor.diagnosis import Diagnosis, check, check_counts, examine
from fcn.doctor.findings import Finding, findings
from fcn.doctor.layouts import Item, read_classes
from fcn.doctor.table import summary, table
from fcn.doctor.turned import unclear

__all__ = [
    "Case",
    "Content",
    "Diagnosis",
    "Finding",
    "Item",
    "Look",
    "check",
    "check_counts",
    "convert",
    "count",
    "examine",
    "findings",
    "read_classes",
    "summary",
    "table",
    "unclear",
]
