"""Passages: how articles are cut, and their store on the disk, where they are found by row, id, title and source.

May import index.atomic_files and index.errors. Begin with ``passage``, then ``passage_file`` and its ``writer``.
"""
