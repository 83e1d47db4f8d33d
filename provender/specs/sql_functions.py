"""Every function of Spark SQL: allowed, with the type it gives, or refused, with the reason.

A function is allowed where it is known to be safe and repeatable: it gives the same answer for the same rows in
whatever order they are read, on any machine, at any time, and reads and writes nothing else. Whatever is not listed
here is refused, so that a function which a new version of Spark brings is refused until somebody has looked at it;
``tests/specs/test_sql_functions.py`` compares both lists with Spark's own.
"""

from __future__ import annotations

from dataclasses import dataclass


def words(text: str) -> frozenset[str]:
    """The words of ``text``."""
    return frozenset(text.split())


_BY_TYPE = {
    "BOOL": """
        and any array_contains arrays_overlap between bool_and bool_or boolean contains endswith equal_null every
        exists forall ilike in is_valid_utf8 is_variant_null isnan isnotnull isnull like luhn_check map_contains_key
        not or regexp regexp_like rlike some startswith""",
    "INT32": """
        array_size ascii bit_count bit_length cardinality char_length character_length date_diff datediff day
        dayofmonth dayofweek dayofyear dense_rank find_in_set hash hour instr int json_array_length len length
        levenshtein locate minute month ntile octet_length position quarter rank regexp_count regexp_instr
        row_number size unix_date weekday weekofyear year""",
    "INT64": """
        approx_count_distinct array_position bigint bitmap_bit_position bitmap_bucket_number bitmap_count count
        count_if crc32 factorial grouping_id unix_micros unix_millis unix_seconds
        unix_timestamp timediff timestampdiff to_unix_timestamp width_bucket xxhash64""",
    "DOUBLE": """
        acos acosh asin asinh atan atan2 atanh cbrt corr cos cosh cot covar_pop covar_samp csc cume_dist degrees
        double e exp expm1 hypot kurtosis ln log log10 log1p log2 months_between percent_rank pi pow
        power radians regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy rint sec signum sign sin
        sinh skewness sqrt std stddev stddev_pop stddev_samp tan tanh var_pop var_samp variance""",
    "FLOAT": "float",
    "STRING": """
        array_join base64 bin btrim char chr collation concat_ws conv date_format dayname decode
        format_number format_string from_unixtime get_json_object hex initcap lcase lower ltrim
        make_valid_utf8 mask md5 monthname parse_url printf quote regexp_extract regexp_replace regexp_substr
        repeat rtrim schema_of_csv schema_of_json schema_of_variant schema_of_variant_agg sha sha1 sha2 soundex
        space split_part string substring_index to_char to_csv to_json to_varchar translate trim try_parse_url
        try_url_decode try_validate_utf8 typeof ucase upper url_decode url_encode validate_utf8""",
    "BYTES": """
        aes_decrypt binary bitmap_and_agg bitmap_construct_agg bitmap_or_agg count_min_sketch encode st_asbinary
        to_binary try_aes_decrypt try_to_binary unbase64 unhex""",
    "DATE": """
        add_months date date_add date_from_unix_date date_sub last_day make_date next_day to_date trunc
        try_to_date""",
    "TIMESTAMP": """
        date_trunc from_utc_timestamp make_timestamp_ltz timestamp timestamp_micros timestamp_millis
        timestamp_seconds timestampadd to_timestamp_ltz to_utc_timestamp try_make_timestamp_ltz""",
    "INTERVAL": "make_dt_interval make_interval make_ym_interval try_make_interval",
    "ARRAY": """
        array array_append array_compact array_distinct array_except array_insert array_intersect array_prepend
        array_remove array_repeat array_sort array_union arrays_zip filter flatten json_object_keys map_entries
        map_keys map_values regexp_extract_all sentences sequence slice sort_array split transform zip_with""",
    "MAP": """
        map map_concat map_filter map_from_arrays map_from_entries map_zip_with str_to_map transform_keys
        transform_values""",
    "STRUCT": "named_struct struct",
    "VARIANT": "parse_json to_variant_object try_parse_json",
    "?": """
        aggregate array_max array_min assert_true bit_and bit_or bit_xor bit_get bround case cast ceil ceiling collate
        concat convert_timezone dateadd date_part datepart decimal element_at elt explode explode_outer
        extract floor from_csv from_json get getbit grouping inline inline_outer json_tuple left lpad
        make_time make_timestamp make_timestamp_ntz median overlay percentile percentile_cont
        percentile_disc pmod posexplode posexplode_outer raise_error reduce regr_avgx regr_avgy regr_count replace
        reverse right round rpad second shiftleft shiftright shiftrightunsigned smallint st_geogfromwkb
        st_geomfromwkb st_setsrid st_srid stack substr substring time time_diff time_trunc tinyint to_number
        to_time to_timestamp to_timestamp_ntz try_add try_cast try_divide try_element_at try_make_timestamp
        try_make_timestamp_ntz try_mod try_multiply try_subtract try_to_number try_to_time try_to_timestamp
        try_variant_get variant_explode variant_explode_outer variant_get when""",
    "same": """
        abs lag lead max max_by min min_by mod negative nullif nullifzero positive zeroifnull""",
    "common": "coalesce greatest ifnull least nanvl nvl",
    "branches": "if nvl2",
    "sum": "sum try_sum",
    "avg": "avg mean try_avg",
    "ordered": """
        any_value array_agg collect_list collect_set first first_value last last_value listagg mode nth_value
        string_agg""",
}
_ORDERED_ARRAYS = {"array_agg", "collect_list", "collect_set"}
_TEXTS = {"listagg", "string_agg"}


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a function is refused, after its name, and what to write instead."""

    why: str
    remedy: str


_CHANGES = Refused("gives another answer each time", "use the rows' own columns")
_SESSION = Refused("gives another answer in another session", "use the rows' own columns")
_OUTSIDE = Refused(
    "gives another answer each time: it runs code outside of SQL", "compute it before the rows are delivered"
)
_FILES = Refused("may read files that its arguments name", "deliver the fields as columns, or as JSON")
_CATALOG = Refused("reads what is no row of the source", "use the rows' own columns")
_WINDOW = Refused(
    "makes windows over time, and the SQL sees one period's rows",
    "group by date_trunc('hour', …) inside the period; windows over periods come later",
)
_SKETCH = Refused(
    "makes a sketch that depends on the order in which rows happen to be read",
    "use approx_count_distinct(), count(DISTINCT …) or percentile()",
)
_APPROXIMATE = Refused(
    "approximates in the order in which rows happen to be read", "use percentile(), which is exact"
)
_TOP = Refused("approximates in the order in which rows happen to be read", "count the values with GROUP BY")

_BY_REASON = {
    _CHANGES: """
        aes_encrypt curdate current_date current_time current_timestamp getdate input_file_block_length
        input_file_block_start input_file_name localtimestamp monotonically_increasing_id now rand randn random
        randstr shuffle spark_partition_id sysdate uniform uuid""",
    _SESSION: """
        current_catalog current_database current_schema current_timezone current_user session_user user version""",
    _OUTSIDE: "java_method reflect try_reflect",
    _FILES: """
        from_avro from_protobuf from_xml read_files schema_of_avro schema_of_xml to_avro to_protobuf to_xml xpath
        xpath_boolean xpath_double xpath_float xpath_int xpath_long xpath_number xpath_short xpath_string""",
    _CATALOG: "collations python_worker_logs range sql_keywords",
    _WINDOW: "session_window window window_time",
    _SKETCH: """
        hll_sketch_agg hll_sketch_estimate hll_union hll_union_agg kll_sketch_agg_bigint kll_sketch_agg_double
        kll_sketch_agg_float kll_sketch_get_n_bigint kll_sketch_get_n_double kll_sketch_get_n_float
        kll_sketch_get_quantile_bigint kll_sketch_get_quantile_double kll_sketch_get_quantile_float
        kll_sketch_get_rank_bigint kll_sketch_get_rank_double kll_sketch_get_rank_float kll_sketch_merge_bigint
        kll_sketch_merge_double kll_sketch_merge_float kll_sketch_to_string_bigint kll_sketch_to_string_double
        kll_sketch_to_string_float theta_difference theta_intersection theta_intersection_agg theta_sketch_agg
        theta_sketch_estimate theta_union theta_union_agg""",
    _APPROXIMATE: "approx_percentile histogram_numeric percentile_approx",
    _TOP: "approx_top_k approx_top_k_accumulate approx_top_k_combine approx_top_k_estimate",
}
TIME_WINDOWS = frozenset({"window", "session_window", "window_time"})

ALLOWED: dict[str, str] = {
    name: kind for kind, names in _BY_TYPE.items() for name in names.split() if not name.endswith("?")
}
"""Function to what it gives: a column type, or a rule of :mod:`provender.specs.sql_types`."""
REFUSED: dict[str, Refused] = {name: why for why, names in _BY_REASON.items() for name in names.split()}
WITHOUT_PARENTHESES = words(
    """
    current_catalog current_database current_date current_schema current_time current_timestamp current_user
    localtimestamp session_user user
    """
)
"""Functions that may be called without parentheses; a column of that name comes first."""
ORDER_DEPENDENT = frozenset(_BY_TYPE["ordered"].split())
"""Allowed where their order is fixed: see :func:`provender.specs.sql_order.order_complaint`."""
NEED_AN_ORDER = words(
    """
    cume_dist dense_rank lag lead ntile nth_value percent_rank rank row_number
    """
)
"""Window functions that number rows."""
AGGREGATES = words(
    """
    any any_value approx_count_distinct array_agg avg bit_and bit_or bit_xor bitmap_and_agg bitmap_construct_agg
    bitmap_or_agg bool_and bool_or collect_list collect_set corr count count_if count_min_sketch covar_pop
    covar_samp every first first_value grouping grouping_id kurtosis last last_value listagg max max_by mean
    median min min_by mode percentile percentile_cont percentile_disc regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy schema_of_variant_agg skewness some std stddev
    stddev_pop stddev_samp string_agg sum try_avg try_sum var_pop var_samp variance
    """
)
OPERATORS = words(
    """
    ! != % & * + - / < << <= <=> <> = == > >= >> >>> ^ | || ~ div
    """
)
"""Spark lists its operators among the functions; all of them are repeatable."""
TEXT_OPTIONS = frozenset(
    option.lower()
    for option in words(
        """
        mode dateFormat timestampFormat timestampNTZFormat timeZone locale encoding
        columnNameOfCorruptRecord primitivesAsString prefersDecimal allowComments allowSingleQuotes
        allowUnquotedFieldNames allowNumericLeadingZeros allowBackslashEscapingAnyCharacter
        allowNonNumericNumbers allowUnquotedControlChars dropFieldIfAllNull ignoreNullFields pretty sep
        delimiter quote escape charToEscapeQuoteEscaping comment header ignoreLeadingWhiteSpace
        ignoreTrailingWhiteSpace nullValue emptyValue nanValue positiveInf negativeInf
        """
    )
)
"""Options of ``from_json``, ``from_csv`` and their kin that are known to say only how text is read or written."""


def type_rule(name: str) -> str:
    """What the allowed function ``name`` gives; ``?`` where that is not known here."""
    rule = ALLOWED.get(name, "?")
    if rule != "ordered":
        return rule
    return "ARRAY" if name in _ORDERED_ARRAYS else "STRING" if name in _TEXTS else "same"
