"""KServe's V2 protocol (Open Inference Protocol): tensors in, tensors out.

Each join key, request column, given feature and ``event_timestamp`` is one input tensor of shape [n] or [n, 1].
The output is one FP64 tensor of shape [n] named like the signature's output. With the request parameter
``return_features`` there is one more, ``features``: BYTES of shape [n], each a JSON object as in V1.
"""

from __future__ import annotations

import uuid
from typing import Any

import orjson
from kserve import InferOutput, InferRequest, InferResponse

from provender.model_registry.artifact import Signature
from provender.specs.source import ColumnType
from provender_serving.answers import features_of
from provender_serving.batches import Answer
from provender_serving.instances import EVENT_TIMESTAMP
from provender_serving.problems import BadRequestError, Problem

DATATYPES = {
    ColumnType.INT32: "INT32",
    ColumnType.INT64: "INT64",
    ColumnType.FLOAT: "FP32",
    ColumnType.DOUBLE: "FP64",
    ColumnType.STRING: "BYTES",
    ColumnType.BOOL: "BOOL",
    ColumnType.BYTES: "BYTES",
    ColumnType.TIMESTAMP: "BYTES",
}
"""A timestamp is an ISO 8601 string."""


def input_tensors(signature: Signature) -> list[dict[str, Any]]:
    """What ``GET /v2/models/<model>`` says of the inputs. Features are optional, so they are not listed."""
    columns = {column.name: column.type for column in (*signature.entities, *signature.request)}
    return [
        {"name": name, "datatype": DATATYPES[ColumnType(kind)], "shape": [-1]}
        for name, kind in columns.items()
    ]


def output_tensors(signature: Signature) -> list[dict[str, Any]]:
    """What it says of the outputs."""
    return [{"name": output.name, "datatype": "FP64", "shape": [-1]} for output in signature.output]


def instances_of(request: InferRequest, kinds: dict[str, str]) -> list[dict[str, Any]]:
    """Tensors as V1 instances. Raises :class:`BadRequestError` naming the tensor."""
    columns: dict[str, list[Any]] = {}
    problems = []
    for tensor in request.inputs:
        rows = tensor.shape[0] if tensor.shape else 0
        data = _values(tensor, as_text=kinds.get(tensor.name) != ColumnType.BYTES)
        if len(tensor.shape) not in (1, 2) or tensor.shape[1:] not in ([], [1]):
            problems.append(Problem(tensor.name, f"has shape {tensor.shape}; expected [n] or [n, 1]"))
        elif len(data) != rows:
            problems.append(Problem(tensor.name, f"has {len(data)} values for shape {tensor.shape}"))
        columns[tensor.name] = data
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        problems.append(Problem("inputs", f"the tensors differ in length: {lengths}"))
    if problems:
        raise BadRequestError(problems)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def wants_features(request: InferRequest) -> bool:
    """Whether the request's parameters ask for the features."""
    return bool((request.parameters or {}).get("return_features", False))


def response_of(request: InferRequest, name: str, output: str, answer: Answer) -> InferResponse:
    """The answer as tensors."""
    count = len(answer.predictions)
    outputs = [InferOutput(output, [count], "FP64", answer.predictions)]
    if wants_features(request):
        texts = [orjson.dumps(features).decode() for features in features_of(answer)]
        outputs.append(InferOutput("features", [count], "BYTES", texts))
    return InferResponse(
        response_id=request.id or str(uuid.uuid4()),
        model_name=name,
        model_version=answer.version,
        infer_outputs=outputs,
    )


def kinds_of(signature: Signature) -> dict[str, str]:
    """Column type of every name an instance may have."""
    columns = {column.name: column.type for column in (*signature.entities, *signature.request)}
    return columns | {f.name: f.type for f in signature.features} | {EVENT_TIMESTAMP: ColumnType.TIMESTAMP}


def _values(tensor: Any, as_text: bool) -> list[Any]:
    """A tensor's values, one per row; BYTES as text unless the column is of bytes."""
    data: list[Any] = tensor.data if tensor.data is not None else tensor.as_numpy().reshape(-1).tolist()
    if data and all(isinstance(value, list) and len(value) == 1 for value in data):
        data = [value[0] for value in data]
    if not as_text:
        return [value.encode() if isinstance(value, str) else value for value in data]
    try:
        return [value.decode() if isinstance(value, bytes) else value for value in data]
    except UnicodeDecodeError as error:
        raise BadRequestError([Problem(tensor.name, f"is not UTF-8: {error}")]) from error
