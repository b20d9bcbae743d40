"""LightningCLI with the project's defaults, configs by name, and errors of one sentence."""
