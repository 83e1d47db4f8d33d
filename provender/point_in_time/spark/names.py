"""Column names of the frames inside the join, which no column of a user reaches.

A key column is ``k0``, ``k1``, …; an output column ``o0``, ``o1``, …; all times are whole microseconds since the epoch.
Features travel in *slots*, named by their type and a number: views share them, so a row is as wide as the widest view.
"""

from __future__ import annotations

ROW = "row"
"""Number of the entity row, from 0; null in a version."""
AT = "at"
"""When the row takes effect: an entity row's t; when a version can first be the answer."""
MOMENT = "moment"
"""``at`` and the row's place among rows of that time in one number: ``at * PLACES + place``."""
PLACES = 32
"""Times to the year 9999 leave room for so many; the last place is the entity rows'."""
CREATED = "created"
RECORDED = "recorded"
EVENT = "event"
"""Event timestamp; null: nothing is there (from then on)."""
DELETED = "deleted"
PIECE = "piece"
"""Which stretch of its time a row of a hot key is in; 0 for the other keys."""
BOUNDS = "bounds"
