"""The grammar of a table's SQL: the parts of a SELECT that are allowed, and Spark's keywords.

As with functions (:mod:`provender.specs.sql_functions`), what is not listed is refused. Parts are sqlglot's node types;
a test compares the keywords with Spark's own list, so that a clause of a newer Spark is looked at before it is used.
"""

from __future__ import annotations

from sqlglot import exp

from provender.specs.sql_functions import words

_CLAUSES: tuple[type[exp.Expr], ...] = (
    *(exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Subquery, exp.With, exp.CTE, exp.Values),
    *(exp.From, exp.Join, exp.Lateral, exp.Table, exp.TableAlias, exp.Where, exp.Having, exp.Hint),
    *(exp.Group, exp.GroupingSets, exp.Rollup, exp.Cube, exp.Order, exp.Ordered, exp.Limit, exp.Offset),
    *(exp.Distinct, exp.Star, exp.Window, exp.WindowSpec, exp.Filter, exp.WithinGroup),
    *(exp.IgnoreNulls, exp.RespectNulls, exp.Pivot),
)
_EXPRESSIONS: tuple[type[exp.Expr], ...] = (
    *(
        exp.Alias,
        exp.Aliases,
        exp.Column,
        exp.Identifier,
        exp.Dot,
        exp.Bracket,
        exp.Paren,
        exp.Tuple,
        exp.Var,
    ),
    *(exp.Literal, exp.Boolean, exp.Null, exp.HexString, exp.RawString, exp.Interval, exp.IntervalSpan),
    *(exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam, exp.ColumnDef, exp.Collate, exp.Lambda),
    *(exp.Case, exp.If, exp.And, exp.Or, exp.Not, exp.Neg, exp.Is, exp.In, exp.Between, exp.Exists),
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.DPipe, exp.Concat, exp.All, exp.Any),
    *(exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot),
    *(exp.BitwiseLeftShift, exp.BitwiseRightShift),
    *(exp.Like, exp.ILike, exp.RegexpLike, exp.Escape, exp.AtTimeZone, exp.PropertyEQ),
    *(exp.Extract, exp.Substring, exp.Trim, exp.Overlay, exp.StrPosition, exp.Ceil, exp.Floor),
)
NODES = frozenset((*_CLAUSES, *_EXPRESSIONS))
"""Parts of a SELECT that a table's SQL may be made of. Calls of functions are looked up by name."""

REFUSED_NODES: dict[type[exp.Expr], tuple[str, str]] = {
    exp.QueryTransform: ("TRANSFORM … USING runs a program", "compute it with SQL functions"),
    exp.Parameter: ("variables are not filled in", "write the value itself"),
    exp.SessionParameter: ("variables are not filled in", "write the value itself"),
    exp.Placeholder: ("parameters are not filled in", "write the value itself"),
    exp.Version: ("another version of a table", "read the source as it is"),
    exp.TableSample: ("TABLESAMPLE takes other rows each time", "remove it"),
    exp.Sort: ("SORT BY orders rows as they happen to be spread", "use ORDER BY, or remove it"),
    exp.Cluster: ("CLUSTER BY spreads rows and says nothing about values", "remove it"),
    exp.Distribute: ("DISTRIBUTE BY spreads rows and says nothing about values", "remove it"),
    exp.Into: ("INTO writes a table", "remove it"),
    exp.Lock: ("FOR UPDATE locks rows", "remove it"),
    exp.Qualify: ("QUALIFY is not Spark's", "put the window into a subquery, and WHERE around it"),
    exp.Fetch: ("FETCH is not Spark's", "use ORDER BY … LIMIT"),
    exp.JSONExtract: ("a path into JSON", "use get_json_object(text, '$.name')"),
    exp.JSONExtractScalar: ("a path into JSON", "use get_json_object(text, '$.name')"),
}
"""What is refused in words of its own."""
HINTS = words(
    """
    broadcast broadcastjoin mapjoin merge shuffle_merge mergejoin shuffle_hash shuffle_replicate_nl coalesce
    repartition repartition_by_range rebalance
    """
)
"""Hints that say how a query runs, and not what it gives."""
SPECIAL_TIMES = ("now", "today", "tomorrow", "yesterday")
"""Texts that Spark reads as the current time in ``TIMESTAMP '…'`` and ``DATE '…'``."""
TIME_UNITS = words(
    """
    microsecond millisecond second minute hour day dayofyear week month quarter year nanosecond
    """
)

IN_QUERIES = words(
    """
    ALL AND ANTI ANY ANY_VALUE ARRAY AS ASC AT BETWEEN BIGINT BINARY BOOLEAN BOTH BY BYTE CASE CAST CHAR
    CHARACTER COLLATE CROSS CUBE CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DATE DATEADD
    DATEDIFF DATE_ADD DATE_DIFF DAY DAYOFYEAR DAYS DEC DECIMAL DESC DISTINCT DIV DOUBLE ELSE END ESCAPE EXCEPT
    EXCLUDE EXISTS EXTRACT FALSE FILTER FIRST FLOAT FOLLOWING FOR FROM FULL GROUP GROUPING HAVING HOUR HOURS IF
    IGNORE ILIKE IN INCLUDE INNER INT INTEGER INTERSECT INTERVAL IS JOIN LAST LATERAL LEADING LEFT LIKE LIMIT
    LONG MAP MICROSECOND MICROSECONDS MILLISECOND MILLISECONDS MINUS MINUTE MINUTES MONTH MONTHS NAME NANOSECOND
    NANOSECONDS NATURAL NOT NULL NULLS NUMERIC OF OFFSET ON OR ORDER OUTER OVER OVERLAPS OVERLAY PARTITION PIVOT
    PLACING POSITION PRECEDING QUARTER RANGE REAL RECURSIVE RESPECT RIGHT ROLLUP ROW ROWS SECOND SECONDS SELECT
    SEMI SESSION_USER SET SETS SHORT SMALLINT SOME STRING STRUCT SUBSTR SUBSTRING THEN TIME TIMEDIFF TIMESTAMP
    TIMESTAMPADD TIMESTAMPDIFF TIMESTAMP_LTZ TIMESTAMP_NTZ TINYINT TO TRAILING TRIM TRUE TRY_CAST UNBOUNDED
    UNION UNKNOWN UNPIVOT USER USING VALUES VARCHAR VARIANT VOID WEEK WEEKS WHEN WHERE WINDOW WITH WITHIN
    WITHOUT X YEAR YEARS ZONE
    """
)
"""Spark's keywords that have a place in a query; each stands in a node type or function that is checked."""
REFUSED_KEYWORDS = words(
    """
    CLUSTER DISTRIBUTE FETCH FUNCTION IDENTIFIER INTO MATERIALIZED MAX RECORDREADER RECORDWRITER RECURSION
    REDUCE REPEATABLE SERDE SERDEPROPERTIES SORT STREAM SYSTEM_TIME SYSTEM_VERSION TABLE TABLESAMPLE TRANSFORM
    VERSION WATERMARK DELAY BUCKET OUT PERCENT
    """
)
"""Spark's keywords of queries that read or do something else than rows of the source, or change from run to run."""
OF_OTHER_STATEMENTS = words(
    """
    ADD AFTER AGGREGATE ALTER ALWAYS ANALYZE ARCHIVE ATOMIC AUTHORIZATION BEGIN BINDING BUCKETS CACHE CALL
    CALLED CASCADE CATALOG CATALOGS CHANGE CHECK CLEAR CLUSTERED CODEGEN COLLATION COLLECTION COLUMN COLUMNS
    COMMENT COMMIT COMPACT COMPACTIONS COMPENSATION COMPUTE CONCATENATE CONDITION CONSTRAINT CONTAINS CONTINUE
    COST CREATE DATA DATABASE DATABASES DBPROPERTIES DECLARE DEFAULT DEFINED DEFINER DELETE DELIMITED DESCRIBE
    DETERMINISTIC DFS DIRECTORIES DIRECTORY DO DROP ELSEIF ENFORCED ESCAPED EVOLUTION EXCHANGE EXECUTE EXIT
    EXPLAIN EXPORT EXTEND EXTENDED EXTERNAL FIELDS FILEFORMAT FLOW FOREIGN FORMAT FORMATTED FOUND FUNCTIONS
    GENERATED GEOGRAPHY GEOMETRY GLOBAL GRANT HANDLER IDENTITY IMMEDIATE IMPORT INCREMENT INDEX INDEXES INPATH
    INPUT INPUTFORMAT INSERT INVOKER ITEMS ITERATE JSON KEY KEYS LANGUAGE LAZY LEAVE LEVEL LINES LIST LOAD LOCAL
    LOCATION LOCK LOCKS LOGICAL LOOP MACRO MATCHED MERGE MODIFIES MSCK NAMESPACE NAMESPACES NO NONE NORELY ONLY
    OPTION OPTIONS OUTPUTFORMAT OVERWRITE PARTITIONED PARTITIONS PRIMARY PRINCIPALS PROCEDURE PROCEDURES
    PROPERTIES PURGE QUERY READS RECOVER REFERENCES REFRESH RELY RENAME REPAIR REPEAT REPLACE RESET RESTRICT
    RETURN RETURNS REVOKE ROLE ROLES ROLLBACK SCHEMA SCHEMAS SECURITY SEPARATED SHOW SINGLE SKEWED SORTED SOURCE
    SPECIFIC SQL SQLEXCEPTION SQLSTATE START STATISTICS STORED STRATIFY STREAMING SYNC TABLES TARGET
    TBLPROPERTIES TERMINATED TOUCH TRANSACTION TRANSACTIONS TRUNCATE TYPE UNARCHIVE UNCACHE UNIQUE UNLOCK UNSET
    UNTIL UPDATE USE VALUE VAR VARIABLE VIEW VIEWS WHILE
    """
)
"""Keywords of other statements: a text that starts with one is no SELECT; inside a query they are names."""
