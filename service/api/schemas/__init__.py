"""The contract: what clients may send (``…requests``) and what they are answered (``…responses``), field by field.

They may import service.types and the words of editing and retrieval. Begin with ``requests``.
"""
