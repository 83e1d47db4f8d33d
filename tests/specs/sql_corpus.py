"""Queries over the columns of ``tests.specs.conftest.SPEC``, and what is to be said of each."""

from __future__ import annotations

HOSTILE = [
    ("SELECT TRANSFORM(city) USING 'touch x' AS (city) FROM trips", "USING 'touch x' runs a program"),
    ("SELECT * FROM (SELECT TRANSFORM(city) USING 'touch x' FROM trips)", "runs a program"),
    ("SELECT REDUCE(city) USING 'cat' FROM trips", "not SQL"),
    ("SELECT '${env:HOME}' AS a FROM trips", "${…} would be filled in"),
    ("SELECT ${spark:x} FROM trips", "${…} would be filled in"),
    ("SELECT TIMESTAMP 'now' FROM trips", "'now' is the time at which it runs"),
    ("SELECT DATE ' Tomorrow UTC' FROM trips", "'tomorrow utc' is the time"),
    ("SELECT localtimestamp FROM trips", "localtimestamp gives another answer each time"),
    ("SELECT collect_list(fare)[0] FROM trips", "collect_list() depends on the order"),
    ("SELECT array_agg(fare) FROM trips", "array_agg() depends on the order"),
    ("SELECT array_sort(collect_list(fare), (a, b) -> 0) FROM trips", "collect_list() depends on the order"),
    ("SELECT transform(collect_list(fare), (x, i) -> i) FROM trips", "collect_list() depends on the order"),
    ("SELECT listagg(city) FROM trips", "listagg() depends on the order"),
    ("SELECT listagg(city) WITHIN GROUP (ORDER BY at) FROM trips", "listagg() depends on the order"),
    ("SELECT string_agg(city, ',') FROM trips", "string_agg() depends on the order"),
    ("SELECT mode(city) FROM trips", "mode() depends on the order"),
    ("SELECT last_value(fare) OVER (PARTITION BY city) FROM trips", "last_value() depends on the order"),
    (
        "SELECT row_number() OVER (PARTITION BY city) FROM trips",
        "row_number() numbers rows that have no order",
    ),
    ("SELECT sum(fare) OVER (ROWS 1 PRECEDING) FROM trips", "a ROWS frame counts rows that have no order"),
    ("SELECT city FROM trips LIMIT 1", "LIMIT without ORDER BY takes whichever rows come first"),
    ("SELECT city FROM trips SORT BY city", "SORT BY orders rows as they happen to be spread"),
    ("SELECT approx_percentile(fare, 0.5) FROM trips", "approximates in the order in which rows"),
    ("SELECT hll_sketch_agg(driver) FROM trips", "a sketch that depends on the order"),
    ("WITH a AS (TABLE trips) SELECT * FROM a", "TABLE trips reads a table"),
    ("SELECT reflect('java.lang.System', 'getenv', 'HOME') FROM trips", "reflect() gives another answer"),
    (
        "SELECT spark_catalog.default.f(city) FROM trips",
        "spark_catalog.default.f() is no function of Spark's own",
    ),
    ("SELECT `rand`() FROM trips", "rand() gives another answer each time"),
    ("SELECT input_file_name() FROM trips", "input_file_name() gives another answer each time"),
    ("SELECT xpath(city, 'a') FROM trips", "xpath() may read files"),
    ("SELECT from_avro(city, '{}') FROM trips", "from_avro() may read files"),
    ("SELECT from_json(city, 'x int', map('path', '/etc')) FROM trips", "the option path is not known"),
    ("SELECT avgg(fare) FROM trips", "avgg() is no function that is known"),
    ("SELECT IDENTIFIER('rand')() FROM trips", "not SQL"),
    ("SELECT /*+ EVIL(trips) */ city FROM trips", "the hint EVIL is not known"),
    ("SELECT * FROM trips VERSION AS OF 1", "another version of a table"),
    ("SELECT * FROM trips@v1", "variables are not filled in"),
    ("SELECT :city FROM trips", "parameters are not filled in"),
    ("SELECT * FROM read_files('/etc') JOIN trips ON true", "reads the table function read_files()"),
    ("SELECT city -> 'x' FROM trips", "a path into JSON"),
    ("EXECUTE IMMEDIATE 'SELECT 1'", "is not a SELECT"),
    (f"SELECT {'(' * 3000}1{')' * 3000} AS a FROM trips", "nested too deeply"),
    (f"SELECT {'NOT ' * 5000} true AS a FROM trips", "nested too deeply"),
    (f"SELECT {'+'.join(['1'] * 20_000)} AS a FROM trips", "more than 20,000 words"),
    ("SELECT city FROM trips |> LIMIT 1", "not SQL"),
]
REPEATABLE = [
    "SELECT sort_array(collect_list(fare))[0] AS a, size(collect_set(city)) AS b FROM trips",
    "SELECT array_join(sort_array(array_distinct(collect_list(city))), ',') AS a FROM trips",
    "SELECT listagg(city, ',') WITHIN GROUP (ORDER BY city DESC) AS a FROM trips",
    "SELECT mode() WITHIN GROUP (ORDER BY city) AS a, mode(fare, true) AS b FROM trips",
    "SELECT first_value(fare) OVER w AS a, lag(fare) OVER w AS b FROM trips WINDOW w AS (ORDER BY at, driver)",
    "SELECT city FROM trips ORDER BY city LIMIT 3",
    "SELECT from_json(city, 'x int', map('mode', 'FAILFAST')).x AS a, max_by(fare, at) AS b FROM trips GROUP BY ALL",
    "SELECT transform(array(1, 2), x -> x + 1) AS a, filter(array(1), x -> x > 0) AS b FROM trips",
    "SELECT /*+ BROADCAST(u) */ t.city FROM trips t JOIN trips u ON t.driver = u.driver",
    "SELECT timestampdiff(HOUR, at, made) AS h, dateadd(DAY, 1, at) AS d, date_trunc('hour', at) AS t FROM trips",
    "SELECT any(fare > 1) AS a, some(fare > 1) AS b, every(fare > 1) AS c FROM trips",
    "SELECT city, x FROM trips LATERAL VIEW explode(array(1, 2)) e AS x",
    "SELECT '\\'; rand()' AS a, \"b\" AS b, r'\\d' AS c FROM trips -- rand()",
]
"""Legal, and Spark takes what is written out of them."""

WRONG = [
    (
        "SELECT city,\n avg(fair) AS trips FROM trips GROUP BY city",
        2,
        "there is no column 'fair'; did you mean 'fare'?",
    ),
    (
        "SELECT city, count(*) AS trips FROM trips",
        1,
        "city is neither grouped nor aggregated; write GROUP BY city",
    ),
    (
        "SELECT city, driver, at, count(*) AS trips FROM trips GROUP BY city",
        1,
        "driver, at are neither grouped nor aggregated",
    ),
    ("SELECT city, count(*) AS trips FROM trips WHERE count(*) > 1 GROUP BY city", 1, "count() in WHERE"),
    ("SELECT t.city, 1 AS trips FROM trips t JOIN trips u ON t.city = u.town", 1, "u has no column 'town'"),
    (
        "SELECT city, 1 AS trips FROM trips t JOIN trips u ON t.driver = u.driver",
        1,
        "'city' is in several of the",
    ),
    ("WITH a AS (SELECT city, fare AS f FROM trips) SELECT city, g AS trips FROM a", 1, "no column 'g'"),
    ("SELECT city, 1 AS trips FROM trips UNION ALL SELECT city FROM trips", 1, "UNION of 2 and 1 columns"),
    ("SELECT city, 1 AS trips FROM trips WHERE driver IN (SELECT drivr FROM trips)", 1, "no column 'drivr'"),
    ("SELECT city, fare * 2 AS trips FROM trips WHERE trips > 1", 1, "there is no column 'trips'"),
    ("SELECT city, x.y AS trips FROM trips", 1, "there is no table or column 'x'"),
]
"""What Spark's analyzer refuses: the query, the line and the words of the only problem."""

UNFIT = [
    ("SELECT city FROM trips GROUP BY city", "the query does not return column 'trips'"),
    ("SELECT city, count(*) AS n FROM trips GROUP BY city", "the SQL gives 'n', and 'trips' is declared"),
    ("SELECT city, count(*) FROM trips GROUP BY city", "count(*) has no name; write count(*) AS trips"),
    (
        "SELECT city, count(*) AS trips, max(fare) AS top FROM trips GROUP BY city",
        "the SQL gives 'top', which is not declared",
    ),
    (
        "SELECT City, count(*) AS trips FROM trips GROUP BY City",
        "the SQL gives 'City', and 'city' is declared",
    ),
    ("SELECT city, max(city) AS trips FROM trips GROUP BY city", "'trips' is STRING, and INT64 is declared"),
    ("SELECT city, sort_array(collect_set(driver)) AS trips FROM trips GROUP BY city", "'trips' is ARRAY"),
    ("SELECT city, 1 AS trips, 2 AS trips FROM trips", "the SQL gives 'trips' twice"),
]
"""What the table of the spec (key ``city`` STRING, feature ``trips`` INT64) cannot take: the only problem."""

FITTING = [
    "SELECT *, 1 AS trips FROM trips",
    "SELECT city, count(*) AS trips FROM trips t JOIN trips u USING (city) GROUP BY city",
    "SELECT city, max(x) AS trips FROM trips LATERAL VIEW explode(array(1, 2)) e AS x GROUP BY city",
    "SELECT city, timestampdiff(HOUR, min(at), max(at)) AS trips FROM trips GROUP BY city",
    "SELECT city, (SELECT count(*) FROM trips u WHERE u.city = t.city) AS trips FROM trips t",
    "SELECT city, sum(n) OVER (PARTITION BY city) AS trips "
    "FROM (SELECT city, hour(at) AS h, count(*) AS n FROM trips GROUP BY city, h)",
    "SELECT upper(city) AS city, count(*) AS trips FROM trips GROUP BY upper(city) HAVING trips > 3 ORDER BY trips",
    "SELECT city, rank() OVER (ORDER BY count(*) DESC, city) AS trips FROM trips GROUP BY city",
    "SELECT city, CAST(n + 1 AS BIGINT) AS trips FROM (SELECT city, count(*) AS n, n * 2 AS m FROM trips GROUP BY 1)",
    "WITH a (c, n) AS (SELECT city, count(*) FROM trips GROUP BY city) SELECT c AS city, n AS trips FROM a",
    "SELECT city, count(*) AS trips FROM trips GROUP BY city WITH ROLLUP",
    "SELECT city, int(max(fare)) AS trips FROM trips GROUP BY ALL",
    "FROM trips SELECT city, 1 AS trips",
    "SELECT city, count(*) FILTER (WHERE driver > 3) AS trips FROM trips GROUP BY city",
    "SELECT city, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY fare)) AS trips FROM trips GROUP BY city",
    "SELECT city, size(collect_set(driver) FILTER (WHERE fare > 1)) AS trips FROM trips GROUP BY city",
    "SELECT city, size(filter(collect_set(driver), x -> x > 3)) AS trips FROM trips GROUP BY city",
    "SELECT t.city, count(*) AS trips FROM trips AS t LEFT ANTI JOIN trips u ON t.driver = u.driver GROUP BY t.city",
]
"""Nothing to say."""

TYPES = """
fare / 2; driver / driver; driver + 1; driver * fare; 1.0; 0.25; 10.5 * 2; 1e3; 12345678901; avg(fare); avg(driver);
avg(CASE WHEN fare > 1 THEN 1.0 ELSE 0.0 END); avg(CASE WHEN fare > 1 THEN 1.0 ELSE 0 END); avg(1.5 * driver);
sum(driver); sum(fare); sum(1.5); count(*); count_if(fare > 1) / count(*); max(city); min(at); max_by(fare, at);
sum(1.0) / count(*); 1.5 / 3; 2.5 + 1; 7 % 2.5; coalesce(driver, 1); coalesce(1.5, driver); if(true, 1, 2.5);
nullif(fare, 0); greatest(1, driver); upper(city); length(city); city || 'x'; concat_ws('-', city); substring(city, 1);
year(at); hour(at); unix_timestamp(at); date_trunc('hour', at); to_date(at); CAST(fare AS INT);
CAST(1 AS DECIMAL(5, 2)); round(fare);
round(driver); ceil(fare); floor(fare); abs(driver); fare > 1; city LIKE 'x%'; city IN ('a'); NOT true;
at - INTERVAL 1 HOUR; stddev(fare); percentile(fare, 0.5); median(fare); approx_count_distinct(city); sequence(1, 2);
map('a', 1); struct(1); sort_array(collect_list(fare)); bool_or(fare > 1); md5(city); xxhash64(city); hash(city);
datediff(at, made); months_between(at, made); date_format(at, 'yyyy'); split(city, ','); element_at(array(1), 1);
regexp_extract(city, 'a', 0); position('a' IN city); row_number() OVER (ORDER BY at); lag(fare) OVER (ORDER BY at);
sum(fare) OVER (ORDER BY at); cume_dist() OVER (ORDER BY at); ntile(3) OVER (ORDER BY at); driver DIV 2; -fare;
sqrt(driver); pow(driver, 2); sign(fare); bigint(fare); timestampdiff(HOUR, at, made); factorial(5); trim(city);
try_divide(fare, 2); date_add(at, 1); add_months(at, 1); weekofyear(at); crc32(city); bit_count(driver); corr(fare, 1D);
"""
"""Expressions over the columns, each with a type that Spark says too, or none."""
