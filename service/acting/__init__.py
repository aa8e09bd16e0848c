"""How an edit acts on a prompt: by its weights, as context, or by its output as it stands.

Imports the engines and the prompts; what is in force is decided in ``edits``. Begin with ``edited_engine``.
"""
