"""Export of all edits in force as one LoRA adapter or one checkpoint that needs no service (``errata compile``).

It may import everything but training, the command line and the client; of evaluation its top folder. Start at ``run``.
"""
