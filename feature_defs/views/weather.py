"""The latest weather at an airport."""

from datetime import timedelta

from feast import FeatureView
from views.entities import origin

import provender

airport_weather = FeatureView(
    name="airport_weather",
    entities=[origin],
    # Files come once a day, an hour after its end: what is known then is up to 26 hours old.
    ttl=timedelta(hours=30),
    schema=provender.schema("weather"),
    source=provender.source("weather"),
)
