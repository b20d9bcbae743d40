"""Numbers as sentences, figures and tables show them."""


def in_words(value: float) -> str:
    """Return a value to be read: four digits of small ones, large ones whole (1,234,567)."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def score_in_words(value: float) -> str:
    """Return a loss or metric with four decimals, as far as these show it."""
    shown = value == 0 or 0.001 <= abs(value) < 1e4
    return f"{value:.4f}" if shown else in_words(value)


def chance_in_words(probability: float) -> str:
    """Return a probability with three digits, never rounded to certainty."""
    if probability < 0.0005:
        return "below 0.001"
    return f"{probability:.3f}" if probability < 0.9995 else "above 0.999"
