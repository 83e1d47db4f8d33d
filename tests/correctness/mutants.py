"""The rules, broken one at a time: the boundary moved, an order reversed, one of the three times ignored.

Each is a piece of the code that occurs once, and what it becomes. The oracle is not mutated: it says what is right.
"""

from __future__ import annotations

from dataclasses import dataclass

DUCKDB = "provender/point_in_time/duckdb_join.py"
LOG = "provender/tables/feature_log.py"
SPARK = "provender/point_in_time/spark/"
DIFFERENCE = "provender/ingestion/version_diff.py"
FEATURES = "provender/materialization/spark_rows.py"
ROWS = "provender/materialization/duckdb_rows.py"
SCRIPT = "provender/online/script.py"

RULE = "tests/correctness/test_rule.py::test_the_join_finds_what_the_rule_finds"
NOW, THEN = "as known now", "as known then"
IN_DUCKDB = (f"{RULE}[duckdb-{NOW}]", f"{RULE}[duckdb-{THEN}]")
FILES_READ = ("tests/point_in_time/test_log.py",)
SORTED_NOW, SORTED_THEN = (f"{RULE}[spark_sorted-{NOW}]",), (f"{RULE}[spark_sorted-{THEN}]",)
SLICES_NOW = (f"{RULE}[spark_slices-{NOW}]",)
BROADCAST = (f"{RULE}[spark-{NOW}]",)
APPENDED = ("tests/correctness/test_difference.py::test_a_log_lacks_what_the_oracle_appends",)
SENT = ("tests/correctness/test_difference.py::test_a_materialisation_brings_what_is_online_up_to_date",)
SENT_FROM_HERE = tuple(
    f"{SENT[0]}[duckdb-{since}-{deletions}]"
    for since in ("rebuilt", "continued")
    for deletions in ("nothing withdrawn", "some withdrawn")
)
WINS = (
    "tests/correctness/test_newest_wins.py",
    "tests/online/test_writer.py::test_of_equals_the_later_write_wins",
)


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    """Of which one must fail."""

    @property
    def where(self) -> str:
        return self.file.removeprefix("provender/").removesuffix(".py")

    @property
    def needs_spark(self) -> bool:
        return "spark/" in self.file or self.tests == SENT_FROM_HERE


MUTANTS = [
    # The join in DuckDB.
    Mutant("<= becomes < at t", DUCKDB, "e.{_MOMENT} >= a.event", "e.{_MOMENT} > a.event", IN_DUCKDB),
    Mutant(
        "<= becomes < at t, as known", DUCKDB, "e.{_MOMENT} >= s.since", "e.{_MOMENT} > s.since", IN_DUCKDB
    ),
    Mutant(
        "<= becomes < at created, as known",
        DUCKDB,
        "e.{_MOMENT} >= v.created",
        "e.{_MOMENT} > v.created",
        IN_DUCKDB,
    ),
    Mutant(
        "withdrawn rows: <= becomes <", DUCKDB, "v.since <= e.{_MOMENT}", "v.since < e.{_MOMENT}", IN_DUCKDB
    ),
    Mutant(
        "withdrawn rows: a superseded version stays an instant longer",
        DUCKDB,
        "e.{_MOMENT} < v.superseded",
        "e.{_MOMENT} <= v.superseded",
        IN_DUCKDB,
    ),
    Mutant(
        ">= becomes > at the ttl",
        DUCKDB,
        "{event} >= e.{_MOMENT} - {self.ttl}",
        "{event} > e.{_MOMENT} - {self.ttl}",
        IN_DUCKDB,
    ),
    Mutant("ttl a microsecond longer", DUCKDB, '- {self.ttl}" if', '- {self.ttl + 1}" if', IN_DUCKDB),
    Mutant("ttl a microsecond shorter", DUCKDB, '- {self.ttl}" if', '- {self.ttl - 1}" if', IN_DUCKDB),
    Mutant("ttl dropped", DUCKDB, 'if self.ttl else "true"', 'if False else "true"', IN_DUCKDB),
    Mutant(
        "ttl 0 means nothing instead of no limit",
        DUCKDB,
        'if self.ttl else "true"',
        'if True else "true"',
        IN_DUCKDB,
    ),
    Mutant(
        "ties by created reversed",
        DUCKDB,
        'PARTITION BY {group} ORDER BY created DESC, recorded DESC) = 1"',
        'PARTITION BY {group} ORDER BY created, recorded DESC) = 1"',
        IN_DUCKDB,
    ),
    Mutant(
        "ties by recorded reversed",
        DUCKDB,
        'PARTITION BY {group} ORDER BY created DESC, recorded DESC) = 1"',
        'PARTITION BY {group} ORDER BY created DESC, recorded) = 1"',
        IN_DUCKDB,
    ),
    Mutant(
        "created timestamp ignored",
        DUCKDB,
        'PARTITION BY {group} ORDER BY created DESC, recorded DESC) = 1"',
        'PARTITION BY {group} ORDER BY recorded DESC) = 1"',
        IN_DUCKDB,
    ),
    Mutant(
        "recorded timestamp ignored",
        DUCKDB,
        'PARTITION BY {group} ORDER BY created DESC, recorded DESC) = 1"',
        'PARTITION BY {group} ORDER BY created DESC) = 1"',
        IN_DUCKDB,
    ),
    Mutant(
        "recorded bound dropped", DUCKDB, '        (RECORDED, "<=", bounds.recorded_to),\n', "", IN_DUCKDB
    ),
    Mutant(
        "recorded bound exclusive", DUCKDB, '(RECORDED, "<=", bounds', '(RECORDED, "<", bounds', IN_DUCKDB
    ),
    Mutant("deleted versions kept", DUCKDB, ") WHERE NOT deleted\n", ")\n", IN_DUCKDB),
    Mutant("deleted versions kept, as known", DUCKDB, "v.shaky AND NOT v.deleted", "v.shaky", IN_DUCKDB),
    Mutant(
        "deleted versions left out before the newest is chosen",
        DUCKDB,
        "FROM log WHERE {_within(self.bounds)})",
        "FROM log WHERE {_within(self.bounds)} AND NOT deleted)",
        IN_DUCKDB,
    ),
    Mutant(
        "as-known filter dropped",
        DUCKDB,
        "sql.as_known_then() if filter_by_created_timestamp",
        "sql.as_known_now() if filter_by_created_timestamp",
        IN_DUCKDB,
    ),
    Mutant(
        "an event is known when it is true, not when created",
        DUCKDB,
        "greatest(event, created) AS since",
        "event AS since",
        IN_DUCKDB,
    ),
    Mutant(
        "nanoseconds are rounded up",
        DUCKDB,
        "pc.floor_temporal(column",
        "pc.ceil_temporal(column",
        ("tests/point_in_time/test_engine.py::test_nanoseconds_are_cut_and_naive_times_are_utc",),
    ),
    # The files that the join reads.
    Mutant(
        "files at the ttl's end are skipped",
        LOG,
        "greatest_event + _STATISTICS_CUT < bounds.event_from",
        "greatest_event + _STATISTICS_CUT <= bounds.event_from + _STATISTICS_CUT",
        FILES_READ,
    ),
    Mutant(
        "statistics are taken for exact",
        LOG,
        "greatest_event + _STATISTICS_CUT <",
        "greatest_event <",
        FILES_READ,
    ),
    Mutant(
        "files at t are skipped",
        LOG,
        "least_event > bounds.event_to",
        "least_event >= bounds.event_to",
        FILES_READ,
    ),
    Mutant(
        "files at the recorded bound are skipped",
        LOG,
        "least_recorded > bounds.recorded_to",
        "least_recorded >= bounds.recorded_to",
        FILES_READ,
    ),
    # The script in Redis.
    Mutant("an older event wins", SCRIPT, "newer = event > guard", "newer = event < guard", WINS),
    Mutant("event timestamp ignored", SCRIPT, "newer = event > guard", "newer = false", WINS),
    Mutant(
        "created timestamp ignored",
        SCRIPT,
        "newer = created(old[2], event) > tonumber(ARGV[at + 1])",
        "newer = false",
        WINS,
    ),
    Mutant(
        "of equals the first write wins",
        SCRIPT,
        "created(old[2], event) >",
        "created(old[2], event) >=",
        WINS,
    ),
    Mutant(
        "an older created timestamp wins",
        SCRIPT,
        "created(old[2], event) >",
        "created(old[2], event) <",
        WINS,
    ),
    Mutant("microseconds ignored", SCRIPT, "seconds * 1000000 + nanos / 1000", "seconds * 1000000", WINS),
    Mutant(
        "what Feast wrote inherits a created timestamp",
        SCRIPT,
        "if gap and tonumber(sub(text, gap + 1)) == event then",
        "if gap then",
        WINS,
    ),
    Mutant(
        "what Feast wrote is created after everything", SCRIPT, "return -math.huge", "return math.huge", WINS
    ),
    Mutant(
        "a retraction removes nothing",
        SCRIPT,
        "if redis.call(unpack(remove)) > 0 then deleted = deleted + 1 else skipped = skipped + 1 end\n  else",
        "skipped = skipped + 1\n  else",
        WINS,
    ),
    Mutant(
        "a retraction is not guarded",
        SCRIPT,
        "  if newer then\n",
        "  if newer and ARGV[at + 3] ~= '' then\n",
        WINS,
    ),
    # The join in Spark.
    Mutant(
        "<= becomes < at t",
        SPARK + "plan.py",
        "moment(F.col(AT), MOST_TRACKS)",
        "moment(F.col(AT) - 1, MOST_TRACKS)",
        SORTED_NOW,
    ),
    Mutant(
        "<= becomes < at t, small logs",
        SPARK + "plan.py",
        '(F.col("since") <= F.col(AT))',
        '(F.col("since") < F.col(AT))',
        BROADCAST,
    ),
    Mutant(
        "a state stays an instant longer, small logs",
        SPARK + "plan.py",
        '(F.col(AT) < F.col("until"))',
        '(F.col(AT) <= F.col("until"))',
        BROADCAST,
    ),
    Mutant(
        ">= becomes > at the ttl",
        SPARK + "plan.py",
        "state[EVENT] >= F.col(AT) - ttl",
        "state[EVENT] > F.col(AT) - ttl",
        SORTED_NOW,
    ),
    Mutant(
        "ttl a microsecond longer",
        SPARK + "plan.py",
        "state[EVENT] >= F.col(AT) - ttl",
        "state[EVENT] >= F.col(AT) - ttl - 1",
        SORTED_NOW,
    ),
    Mutant(
        "ttl dropped",
        SPARK + "plan.py",
        "F.col(AT) - ttl if ttl else",
        "F.col(AT) - ttl if False else",
        SORTED_NOW,
    ),
    Mutant(
        "order by recorded dropped",
        SPARK + "plan.py",
        ".orderBy(MOMENT, CREATED, RECORDED)",
        ".orderBy(MOMENT, CREATED, F.desc(RECORDED))",
        SORTED_NOW,
    ),
    Mutant(
        "order by created reversed",
        SPARK + "plan.py",
        ".orderBy(MOMENT, CREATED, RECORDED)",
        ".orderBy(MOMENT, F.desc(CREATED), RECORDED)",
        SORTED_NOW,
    ),
    Mutant(
        "deleted versions kept",
        SPARK + "tracks.py",
        "EVENT: F.when(~F.col(DELETED), F.col(EVENT))",
        "EVENT: F.col(EVENT)",
        SORTED_NOW,
    ),
    Mutant(
        "a deleted version hides nothing",
        SPARK + "tracks.py",
        "F.col(EVENT).isNotNull() & ~F.col(SUPERSEDED)",
        "F.col(EVENT).isNotNull()",
        SORTED_NOW,
    ),
    Mutant(
        "recorded bound dropped",
        SPARK + "inputs.py",
        '        (logs.RECORDED, "<=", bounds.recorded_to),\n',
        "",
        SORTED_NOW,
    ),
    Mutant(
        "as-known filter dropped",
        SPARK + "plan.py",
        "        if self.filter_by_created_timestamp:\n            return as_known_then",
        "        if False:\n            return as_known_then",
        SORTED_THEN,
    ),
    Mutant(
        "an event is known when it is true, not when created",
        SPARK + "tracks.py",
        "F.greatest(EVENT, CREATED)",
        "F.col(EVENT)",
        SORTED_THEN,
    ),
    Mutant(
        "as known: the row created last, not the greatest event",
        SPARK + "tracks.py",
        "F.struct(EVENT, CREATED, RECORDED))",
        "F.struct(CREATED, EVENT, RECORDED))",
        SORTED_THEN,
    ),
    Mutant(
        "withdrawn rows: a superseded version stays forever",
        SPARK + "segment_tree.py",
        "F.lead(CREATED).over(row)",
        'F.lit(None).cast("bigint")',
        SORTED_THEN,
    ),
    Mutant(
        "withdrawn rows are never the answer",
        SPARK + "tracks.py",
        "(best[EVENT] > steady[EVENT])",
        "(best[EVENT] < steady[EVENT])",
        SORTED_THEN,
    ),
    Mutant(
        "hot keys: nothing is carried into a piece",
        SPARK + "time_slices.py",
        "if self.hot is None else rows.unionByName(self._carried(track))",
        "",
        SLICES_NOW,
    ),
    # What an ingest appends.
    Mutant(
        "a correction is not seen",
        DIFFERENCE,
        '~F.col("_is_log") & ~_same(',
        '~F.col("_is_log") & log.isNull() & ~_same(',
        APPENDED,
    ),
    Mutant(
        "unchanged rows are written again",
        DIFFERENCE,
        '~F.col("_is_log") & ~_same(effective, F.col("_state"))',
        '~F.col("_is_log")',
        APPENDED,
    ),
    Mutant(
        "values of a deleted version count",
        DIFFERENCE,
        'F.when(~F.col(DELETED), F.col(quoted(name))).alias(f"v{i}")',
        'F.col(quoted(name)).alias(f"v{i}")',
        APPENDED,
    ),
    Mutant(
        "what was taken back stays",
        DIFFERENCE,
        "& overtaken & stale",
        "& overtaken & stale & ~gone",
        APPENDED,
    ),
    Mutant(
        "withdrawn from the start, not from when it was known",
        DIFFERENCE,
        'F.greatest(F.col("_log.created"), known_at)',
        'F.col("_log.created")',
        APPENDED,
    ),
    Mutant(
        "what was never there has to be withdrawn",
        DIFFERENCE,
        'F.when(recorded.isNull(), desired.getField("gone"))',
        "F.when(recorded.isNull(), F.lit(False))",
        APPENDED,
    ),
    # What a materialization sends.
    Mutant(
        "deleted versions kept", FEATURES, 'F.when(~F.col(DELETED), F.col("order"))', 'F.col("order")', SENT
    ),
    Mutant(
        "recorded timestamp ignored",
        FEATURES,
        "order = F.struct(EVENT_TIMESTAMP, CREATED_TIMESTAMP, RECORDED_TIMESTAMP)",
        "order = F.struct(EVENT_TIMESTAMP, CREATED_TIMESTAMP)",
        SENT,
    ),
    Mutant(
        "created timestamp ignored",
        FEATURES,
        "order = F.struct(EVENT_TIMESTAMP, CREATED_TIMESTAMP, RECORDED_TIMESTAMP)",
        "order = F.struct(EVENT_TIMESTAMP, RECORDED_TIMESTAMP, CREATED_TIMESTAMP)",
        SENT,
    ),
    Mutant(
        "what is not committed is sent",
        FEATURES,
        "known = log.where(recorded <= _moment(up_to))",
        "known = log",
        SENT,
    ),
    Mutant(
        "a retraction is guarded by what is left",
        FEATURES,
        'F.max("order").alias("_guard")',
        'F.max(live).alias("_guard")',
        SENT,
    ),
    Mutant(
        "a change below an older withdrawal is sent",
        FEATURES,
        "deleted = known.where(DELETED)",
        "deleted = changed.where(DELETED)",
        SENT,
    ),
    # The same without Spark.
    Mutant("deleted versions kept", ROWS, " FILTER (NOT deleted)", "", SENT_FROM_HERE),
    Mutant(
        "recorded timestamp ignored",
        ROWS,
        "PARTITION BY {keys}, event ORDER BY created DESC, recorded DESC",
        "PARTITION BY {keys}, event ORDER BY created DESC, recorded",
        SENT_FROM_HERE,
    ),
    Mutant(
        "created timestamp ignored",
        ROWS,
        "PARTITION BY {keys}, event ORDER BY created DESC, recorded DESC",
        "PARTITION BY {keys}, event ORDER BY recorded DESC, created DESC",
        SENT_FROM_HERE,
    ),
    Mutant(
        "created timestamp ignored where nothing is deleted",
        ROWS,
        "ORDER BY event DESC, created DESC, recorded DESC",
        "ORDER BY event DESC, created, recorded DESC",
        SENT_FROM_HERE,
    ),
    Mutant(
        "what is not committed is sent",
        ROWS,
        "due = ds.field(RECORDED) <= pa.scalar(self.up_to, _EPOCH_TYPE)",
        "due = ds.field(RECORDED) <= ds.field(RECORDED)",
        SENT_FROM_HERE,
    ),
    Mutant(
        "a retraction is guarded by what is left",
        ROWS,
        "max(event) AS guard_event",
        "max(event) FILTER (NOT deleted) AS guard_event",
        SENT_FROM_HERE,
    ),
    Mutant(
        "a change below an older withdrawal is sent",
        ROWS,
        "bool_or(deleted) OVER same",
        "bool_or(deleted AND recorded > {since}) OVER same",
        SENT_FROM_HERE,
    ),
    Mutant(
        "the log's rows are taken for others",
        ROWS,
        "here.rows - first",
        "(here.rows - first) * 0",
        SENT_FROM_HERE,
    ),
]
