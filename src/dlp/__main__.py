"""``python -m dlp``."""

from dlp.cli import main

main()
