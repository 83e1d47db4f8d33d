"""Requests to a real predictor over a real Redis: values, ages, policies, both protocols, errors, metrics."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from artifacts import SIGNATURE, fit
from servers import NOW, PredictorProcess, RedisServer

AT = NOW.isoformat()


def flight(carrier: str | None = "UA", **more: Any) -> dict[str, Any]:
    return {"carrier": carrier, "origin": "JFK", "hour": 17, "event_timestamp": AT, **more}


def expected(*rows: tuple[Any, ...]) -> list[float]:
    table = np.empty((len(rows), len(SIGNATURE.inputs)), dtype=object)
    table[:] = rows
    return [float(p) for p in fit().predict_proba(table)[:, 1]]


def statuses(predictor: PredictorProcess, *instances: dict[str, Any]) -> list[list[str]]:
    code, answer = predictor.predict(*instances, return_features=True)
    assert code == 200, answer
    return [[feature["status"] for feature in row.values()] for row in answer["features"]]


WIND = float(np.float32(3.1))


def test_a_prediction_is_the_pipelines_on_the_online_values(predictor: PredictorProcess) -> None:
    code, answer = predictor.predict(flight(), flight("AA", origin="LGA", hour=3), flight("??"))
    assert code == 200
    assert answer["predictions"] == pytest.approx(
        expected(("UA", 17, 12.5, 30, WIND), ("AA", 3, None, 10, 8.0), ("??", 17, None, None, WIND)),
        abs=1e-12,
    )
    assert set(answer) == {"predictions", "model_version"}


def test_the_features_come_with_status_and_times_if_asked_for(predictor: PredictorProcess) -> None:
    _, answer = predictor.predict(flight(), return_features=True)
    hour_before = (NOW - timedelta(hours=1)).isoformat()
    times = {"event_timestamp": hour_before, "created_timestamp": hour_before}
    assert answer["features"] == [
        {
            "carrier_day__mean_delay": {"value": 12.5, "status": "present", **times},
            "carrier_day__flights": {"value": 30, "status": "present", **times},
            "weather__wind": {"value": WIND, "status": "present", **times},
        }
    ]


def test_each_instance_has_its_own_time(predictor: PredictorProcess) -> None:
    before = (NOW - timedelta(hours=1, microseconds=1)).isoformat()
    exactly = (NOW - timedelta(hours=1)).isoformat()
    found = statuses(predictor, flight(event_timestamp=before), flight(event_timestamp=exactly))
    assert found == [["stale"] * 3, ["present"] * 3]


def test_without_a_time_it_is_now(predictor: PredictorProcess) -> None:
    old = flight()
    del old["event_timestamp"]
    assert datetime.now(UTC) - NOW > timedelta(days=1)
    assert statuses(predictor, old)[0][2] == "present"  # weather has no age limit


@pytest.mark.parametrize(
    ("carrier", "found"),
    [
        ("UA", ["present", "present"]),
        ("AA", ["missing", "present"]),  # a null
        ("OLD", ["stale", "stale"]),
        ("EDGE", ["present", "present"]),  # exactly as old as allowed: the join's bracket is closed
        ("LATE", ["stale", "stale"]),  # true in time, known an hour too late
        ("??", ["unknown_entity", "unknown_entity"]),
        (None, ["unknown_entity", "unknown_entity"]),
    ],
)
def test_status(predictor: PredictorProcess, carrier: str | None, found: list[str]) -> None:
    assert statuses(predictor, flight(carrier))[0][:2] == found


def test_a_stale_value_is_not_used_but_its_time_is_shown(predictor: PredictorProcess) -> None:
    _, answer = predictor.predict(flight("OLD"), return_features=True)
    feature = answer["features"][0]["carrier_day__mean_delay"]
    assert feature["value"] is None
    assert feature["event_timestamp"] is not None
    assert answer["predictions"] == pytest.approx(expected(("OLD", 17, None, None, WIND)), abs=1e-12)


def test_a_given_feature_overrides_the_online_one(predictor: PredictorProcess) -> None:
    _, answer = predictor.predict(flight(carrier_day__mean_delay=40.0), flight(), return_features=True)
    assert answer["predictions"] == pytest.approx(
        expected(("UA", 17, 40.0, 30, WIND), ("UA", 17, 12.5, 30, WIND)), abs=1e-12
    )
    given = answer["features"][0]["carrier_day__mean_delay"]
    assert given == {"value": 40.0, "status": "given", "event_timestamp": None, "created_timestamp": None}


def test_with_all_features_given_no_entity_is_needed(predictor: PredictorProcess) -> None:
    row = {
        "carrier": "UA",
        "hour": 5,
        "carrier_day__mean_delay": None,
        "carrier_day__flights": 3,
        "weather__wind": 1,
    }
    code, answer = predictor.predict(row)
    assert code == 200
    assert answer["predictions"] == pytest.approx(expected(("UA", 5, None, 3, 1.0)), abs=1e-12)


def test_a_float_is_rounded_as_in_the_training_set(predictor: PredictorProcess) -> None:
    _, answer = predictor.predict(flight(weather__wind=0.1), return_features=True)
    assert answer["features"][0]["weather__wind"]["value"] == float(np.float32(0.1))


def test_no_instances_are_no_predictions(predictor: PredictorProcess) -> None:
    assert predictor.predict()[1]["predictions"] == []


def test_many_entities_are_one_round_trip(predictor: PredictorProcess, redis: RedisServer) -> None:
    predictor.predict(flight())
    client = redis.client()
    client.config_resetstat()
    code, _ = predictor.predict(*[flight(f"C{n}", origin=f"O{n}") for n in range(100)])
    assert code == 200
    assert client.info("commandstats")["cmdstat_hmget"]["calls"] == 200
    # Redis may see one write of the client's as two reads; a round trip per entity would be a hundred.
    assert client.info("stats")["total_reads_processed"] < 12


@pytest.mark.parametrize(
    ("instance", "field", "problem"),
    [
        (flight(hour="7"), "hour", "expected an INT32, not '7'"),
        (flight(hour=7.5), "hour", "expected an INT32, not 7.5"),
        (flight(hour=True), "hour", "expected an INT32, not True"),
        (flight(hour=2**31), "hour", "does not fit into INT32"),
        (flight(origin=5), "origin", "expected a string, not 5"),
        (flight(weather__wind="calm"), "weather__wind", "expected a number, not 'calm'"),
        (flight(event_timestamp="yesterday"), "event_timestamp", "expected an ISO 8601 timestamp"),
        (flight(event_timestamp=5), "event_timestamp", "expected an ISO 8601 timestamp"),
        (flight(weather_wind=3), "weather_wind", "did you mean 'weather__wind'?"),
        ({"carrier": "UA", "origin": "JFK"}, "hour", "is missing"),
        ({"carrier": "UA", "hour": 5}, "origin", "is missing"),
    ],
)
def test_bad_input_is_400_with_field_and_instance(
    predictor: PredictorProcess, instance: dict[str, Any], field: str, problem: str
) -> None:
    code, answer = predictor.predict(flight(), instance)
    assert code == 400
    (found,) = answer["problems"]
    assert (found["instance"], found["field"]) == (1, field)
    assert problem in found["problem"]
    assert f"instance 1, field '{field}'" in answer["error"]


def test_everything_wrong_is_said_at_once(predictor: PredictorProcess) -> None:
    code, answer = predictor.predict({"carrier": 1}, flight(hour=None), flight(hour="x"), "row")
    assert code == 400
    assert [(p["instance"], p["field"]) for p in answer["problems"]] == [
        (0, "carrier"), (0, "hour"), (0, "origin"), (2, "hour"), (3, "instances"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON|Unrecognized request format"),
        (b"[]", "expected a JSON object|list"),
        (b'{"instance": []}', "'instances'"),
        (b'{"instances": {}}', "instances"),
        (b'{"instances": [], "return_feature": true}', "'return_feature': is not known"),
        (b'{"instances": [], "return_features": 1}', "'return_features': expected true or false"),
    ],
)
def test_a_malformed_body_is_400(predictor: PredictorProcess, body: bytes, message: str) -> None:
    import re

    code, answer = predictor.post("/v1/models/late:predict", body)
    assert code == 400, answer
    assert re.search(message, answer["error"]), answer


def test_curls_default_content_type_works(predictor: PredictorProcess) -> None:
    body = json.dumps({"instances": [flight()]}).encode()
    code, answer = predictor.post("/v1/models/late:predict", body, "application/x-www-form-urlencoded")
    assert code == 200
    assert len(answer["predictions"]) == 1


def tensor(name: str, datatype: str, *data: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": list(data)}


def test_v2_gives_what_v1_gives(predictor: PredictorProcess) -> None:
    inputs = [
        tensor("carrier", "BYTES", "UA", "AA"),
        tensor("origin", "BYTES", "JFK", "LGA"),
        tensor("hour", "INT32", 17, 3),
        tensor("event_timestamp", "BYTES", AT, AT),
    ]
    body = {"id": "42", "inputs": inputs, "parameters": {"return_features": True}}
    code, answer = predictor.post("/v2/models/late/infer", body)
    _, v1 = predictor.predict(flight(), flight("AA", origin="LGA", hour=3), return_features=True)
    assert code == 200, answer
    assert (answer["id"], answer["model_name"], answer["model_version"]) == (
        "42",
        "late",
        v1["model_version"],
    )
    probability, features = answer["outputs"]
    assert (probability["name"], probability["datatype"], probability["shape"]) == (
        "probability",
        "FP64",
        [2],
    )
    assert probability["data"] == v1["predictions"]
    assert [json.loads(row) for row in features["data"]] == v1["features"]


@pytest.mark.parametrize(
    ("inputs", "field", "problem"),
    [
        ([tensor("carrier", "BYTES", "UA"), tensor("hour", "INT32", 1, 2)], "inputs", "differ in length"),
        ([{**tensor("carrier", "BYTES", "UA", "AA"), "shape": [1, 2]}], "carrier", "shape [1, 2]"),
        ([{**tensor("carrier", "BYTES", "UA"), "shape": [3]}], "carrier", "1 values for shape [3]"),
        ([tensor("carrier", "BYTES", "UA"), tensor("origin", "BYTES", "JFK")], "hour", "is missing"),
        (
            [{"name": "carrier", "shape": "x", "datatype": "BYTES", "data": []}],
            "inputs.0.shape",
            "valid list",
        ),
    ],
)
def test_bad_tensors_are_400_with_their_names(
    predictor: PredictorProcess, inputs: list[Any], field: str, problem: str
) -> None:
    code, answer = predictor.post("/v2/models/late/infer", {"inputs": inputs})
    assert code == 400, answer
    assert answer["problems"][0]["field"] == field
    assert problem in answer["problems"][0]["problem"]


def test_v2_metadata_names_inputs_and_outputs(predictor: PredictorProcess) -> None:
    _, found = predictor.get("/v2/models/late")
    assert [(i["name"], i["datatype"]) for i in found["inputs"]] == [
        ("carrier", "BYTES"), ("origin", "BYTES"), ("hour", "INT32"),
    ]  # fmt: skip
    assert found["outputs"] == [{"name": "probability", "datatype": "FP64", "shape": [-1]}]


def test_a_model_that_is_not_there_is_404(predictor: PredictorProcess) -> None:
    assert predictor.predict(flight(), name="lat")[0] == 404


def test_metrics_count_requests_values_and_ages(predictor: PredictorProcess) -> None:
    before = predictor.metrics()
    predictor.predict(flight(), flight("AA"), flight("??", weather__wind=1))
    predictor.predict({"carrier": 5})
    after = predictor.metrics()

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    def values(feature: str, status: str) -> float:
        return grown(f'provender_feature_values_total{{feature="{feature}",model="late",status="{status}"}}')

    assert grown('provender_requests_total{code="200",model="late",protocol="v1"}') == 1
    assert grown('provender_requests_total{code="400",model="late",protocol="v1"}') == 1
    assert grown('provender_request_seconds_count{model="late",protocol="v1"}') == 2
    assert grown('provender_instances_total{model="late"}') == 3
    assert values("carrier_day__mean_delay", "present") == 1
    assert values("carrier_day__mean_delay", "missing") == 1
    assert values("carrier_day__mean_delay", "unknown_entity") == 1
    assert values("weather__wind", "given") == 1
    assert grown('provender_feature_age_seconds_count{model="late",view="carrier_day"}') == 2
    assert grown('provender_feature_age_seconds_sum{model="late",view="carrier_day"}') == 7200
    assert 0 < after['provender_feature_missing_share{feature="carrier_day__mean_delay",model="late"}'] < 1
