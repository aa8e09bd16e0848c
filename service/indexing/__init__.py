"""The use-cases of ``errata index``: from corpora to versions of the index.

May import index, retrieval and service.settings; knows no terminal. Begin with ``indexer``.
"""
