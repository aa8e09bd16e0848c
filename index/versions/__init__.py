"""Versions: directories that never change, each with a manifest; what makes one, opens it, and says which is active.

May import all other folders of index. Begin with ``manifest`` and ``passage_index``; ``build``, ``amend`` and
``compact`` make versions.
"""
