"""Segments: passages with their vectors, which never change, and which of them are deleted.

May import index.passages and index.vectors. Begin with ``segment``; ``writer`` makes the files that it opens.
"""
