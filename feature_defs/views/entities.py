"""The things that features are about, shared by the views."""

from feast import Entity, ValueType

carrier = Entity(name="carrier", join_keys=["carrier"], value_type=ValueType.STRING)
origin = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING, description="Airport")
dest = Entity(name="dest", join_keys=["dest"], value_type=ValueType.STRING, description="Airport")
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
