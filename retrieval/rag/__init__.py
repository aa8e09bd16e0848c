"""RAG-Sequence and RAG-Token decoding (Lewis et al. 2020) over a causal language model of transformers.

It imports nothing else of Errata. Begin with ``decode``, then ``beam`` and ``cached_model``.
"""
