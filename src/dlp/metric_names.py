"""What the name of a metric tells: whether less of it is better."""

#: Ends of the names of metrics of which less is better; all others are to be maximised.
FALLING = ("loss", "mae", "mse", "rmse", "mape", "error", "deviation", "distance", "perplexity")


def is_falling(metric: str) -> bool:
    """Whether less of a metric such as ``val_loss`` is better."""
    return metric.endswith(FALLING)
