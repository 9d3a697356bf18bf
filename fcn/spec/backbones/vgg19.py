"""VGG-19: Simonyan and Zisserman, arXiv:1409.1556, table 1, column E."""

from fcn.spec.vgg import vgg

BACKBONE = vgg(2, 2, 4, 4, 4)
