"""``dlp visualize``: what each kind draws, of which network and which images."""
