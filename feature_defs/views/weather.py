"""The latest weather at an airport."""

from datetime import timedelta

from feast import FeatureView
from views.entities import origin

import provender

airport_weather = FeatureView(
    name="airport_weather",
    entities=[origin],
    ttl=timedelta(hours=6),
    schema=provender.schema("weather"),
    source=provender.source("weather"),
)
