"""The search for hyperparameters: spaces, trials, and studies that processes share."""
