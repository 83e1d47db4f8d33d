"""Yesterday's departures of a carrier and of a route."""

from datetime import timedelta

from feast import FeatureView
from views.entities import carrier, dest, origin

import provender

carrier_day = FeatureView(
    name="carrier_day",
    entities=[carrier],
    ttl=timedelta(days=7),
    schema=provender.schema("flights", "carrier"),
    source=provender.source("flights", "carrier"),
)

route_day = FeatureView(
    name="route_day",
    entities=[origin, dest],
    ttl=timedelta(days=30),
    schema=provender.schema("flights", "route"),
    source=provender.source("flights", "route"),
)
