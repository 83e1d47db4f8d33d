"""The point-in-time join on Spark: one shuffle and one sort for each set of join keys, whatever the number of views.

``entities`` (staged rows) → ``versions`` (the log's rows that can matter) → ``tracks`` (what they say over time;
``withdrawn`` for rows that come and go) → ``sample``, ``skew`` (hot keys in pieces) → ``passing`` (entity rows among
them, and one pass) → ``plan`` (all of it as one frame) → ``run``.
"""
