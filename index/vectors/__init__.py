"""Vectors: maximum inner product search with FAISS; nothing here knows passages.

May import index.errors. Begin with ``search_types`` (which structure, and why), then ``vector_index``.
"""
