"""What a driver did lately."""

from datetime import timedelta

from feast import FeatureView
from views.entities import driver

import provender

driver_statistics = FeatureView(
    name="driver_statistics",
    entities=[driver],
    ttl=timedelta(days=2),
    schema=provender.schema("driver_statistics"),
    source=provender.source("driver_statistics"),
)
