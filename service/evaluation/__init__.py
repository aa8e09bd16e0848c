"""What the service is worth, measured as it is served; here is what all evaluations share.

It may import everything but training, export, the command line and the client. Begin with ``scratch_service``.
"""
