"""The command line: LightningCLI with run folders, and what each command adds to it."""
