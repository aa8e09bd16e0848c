"""The trained reader as it is served: its card, its LoRA factors, its prompt, and excerpts of passages.

It may import ``encoders``, ``index`` and ``errata``. Begin with ``card``.
"""
