"""Tools of this repository: the local cluster, images and generated files. Nothing here is part of the product."""
