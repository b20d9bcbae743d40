"""A synthetic table of districts with house prices, which no model can have seen before."""

import numpy as np
import pandas as pd


def districts(rows: int = 20_640, seed: int = 0) -> pd.DataFrame:
    """Return districts with prices.

    The table has geography, skewed counts, a category, missing values and a capped target. Its
    columns have the names of the well-known California table, but every number is drawn at random.
    All seeds have the same country with different districts.
    """
    draw, land = np.random.default_rng(seed), np.random.default_rng(7)
    town_x, town_y = land.uniform(-124, -114.5, 40), land.uniform(32.5, 42, 40)
    wealth, size = land.normal(0, 0.35, 40), land.pareto(1.2, 40) + 0.3
    town = draw.choice(40, rows, p=size / size.sum())
    distance, angle = draw.exponential(0.18, rows) + 0.02, draw.uniform(0, 2 * np.pi, rows)
    x = town_x[town] + distance * np.cos(angle)
    y = town_y[town] + distance * np.sin(angle)
    shore = np.abs(x - (-124 + (42 - y) * 0.9))
    quarter = np.zeros(rows)
    for height, frequency, turn, phase in zip(
        land.normal(0, 0.11, 25),
        land.uniform(3, 30, 25),
        land.uniform(0, np.pi, 25),
        land.uniform(0, 2 * np.pi, 25),
        strict=True,
    ):
        quarter += height * np.sin(frequency * (x * np.cos(turn) + y * np.sin(turn)) + phase)
    income = draw.normal(1.2, 0.42, rows) + 0.35 * wealth[town] + 0.6 * quarter
    income = np.clip(np.exp(income - 0.1 * np.log1p(shore)), 0.5, 15)
    age = np.clip(draw.normal(29, 12, rows) - 8 * (distance > 0.3), 1, 52).round()
    households = np.exp(draw.normal(6.0, 0.75, rows)).round() + 1
    rooms_each = np.clip(draw.lognormal(1.62, 0.25, rows) + 0.1 * income, 1.5, 40)
    rooms = (households * rooms_each).round()
    bedrooms = (households * np.clip(draw.normal(1.06, 0.08, rows), 0.5, 3)).round()
    people = (households * np.clip(draw.lognormal(1.05, 0.25, rows), 1, 20)).round()
    bay = (y > 36.5) & (y < 38.5) & (shore < 2)
    near = np.select([shore < 0.25, shore < 1.1, bay], ["ocean", "hour", "bay"], "inland")
    price = (
        11.0
        + 0.78 * np.log(income)
        + 0.45 * wealth[town] * np.exp(-2 * distance)
        + quarter
        + 0.35 * np.exp(-1.5 * shore)
        + 0.10 * np.log(rooms_each) * (income > 4)
        - 0.35 * (np.log(people / households) - 1.05)
        + 0.004 * (age - 29) * (shore < 1.1)
        + 0.12 * np.log(5 * bedrooms / rooms)
        - 0.12 * (near == "inland")
        + draw.normal(0, 0.13, rows)
        + (draw.random(rows) < 0.03) * draw.normal(0, 0.5, rows)
    )
    return pd.DataFrame(
        {
            "longitude": x.round(2),
            "latitude": y.round(2),
            "housing_median_age": age,
            "total_rooms": rooms,
            "total_bedrooms": np.where(draw.random(rows) < 0.01, np.nan, bedrooms),
            "population": people,
            "households": households,
            "median_income": income.round(4),
            "ocean_proximity": near,
            "median_house_value": np.minimum(np.exp(price).round(-2), 500_001),
        }
    )
