"""VGG-13: Simonyan and Zisserman, arXiv:1409.1556, table 1, column B."""

from fcn.spec.vgg import vgg

BACKBONE = vgg(2, 2, 2, 2, 2)
