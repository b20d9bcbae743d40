"""``dlp visualize``: its kinds, each with the network, layers, images and options that it needs.

Not here: the drawing itself, which is in `dlp.visualization` and knows no command.
"""
