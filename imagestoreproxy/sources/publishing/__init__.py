"""Publishing a source: which images a directory holds, and the documents that describe them.

All of it is decided from names, from what files begin with, and from what was published before; the
caller reads the disk, signs and writes.
"""
