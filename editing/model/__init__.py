"""The model as editing sees it: side paths, prompts as token ids, gradients, forward passes, batches of edits.

Imports ``language``. Begin with ``side_path``, the one line in which an edit acts, and ``edit_batch``.
"""
