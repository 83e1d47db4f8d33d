"""The point-in-time join on Spark: an as-of join by union, sort and forward fill.

One shuffle and one sort for each set of join keys, whatever the number of views:

- ``inputs``: entity rows staged as a file, and the versions of each log that can matter;
- ``tracks``: what a log says over time, as rows that take effect at a moment (``segment_tree`` for rows that are
  withdrawn some time, where a later row may be gone again);
- ``time_slices``: skew: keys with too many rows for one task are sorted in slices of time;
- ``plan``: the union of entity rows and tracks, sorted by key and time, each entity row taking the state that was last
  seen; all of it as one frame;
- ``run``: entity rows staged, the frame run, the answer read.

An example. The log of one view (``rides`` by ``city``; days for times) and three entity rows, ``k0`` being the city::

    city  event  created  rides            row  k0    at
    Oslo      1        2     10             0   Oslo   3
    Oslo      2        3     12             1   Oslo   1
    Oslo      1        4     11             2   Rome   3

``tracks`` makes a version take effect ``at`` its event; ``plan`` puts both together, sorted by ``k0``, ``at`` (at equal
times versions come before entity rows), ``created``, and fills ``s0`` forward::

    k0    at  created  row  event  rides    s0 (event, rides)
    Oslo   1        2           1     10    1, 10
    Oslo   1        4           1     11    1, 11      the correction is the newer version of day 1
    Oslo   1             1                  1, 11  ->  row 1: 11
    Oslo   2        3           2     12    2, 12
    Oslo   3             0                  2, 12  ->  row 0: 12, unless ttl is less than a day
    Rome   3             2                  null   ->  row 2: null

With ``filter_by_created_timestamp`` a version takes effect at the later of its event and its creation, and the state is
the greatest event so far: row 1 (at 1) finds nothing, since day 1 was first known at 2; row 0 (at 3) finds 12.
"""
