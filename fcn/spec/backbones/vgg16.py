"""VGG-16: Simonyan and Zisserman, arXiv:1409.1556, table 1, column D."""

from fcn.spec.vgg import vgg

BACKBONE = vgg(2, 2, 3, 3, 3)
