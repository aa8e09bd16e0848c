"""Passages, corpora and the FAISS index over them. Imports nothing of the other packages."""
