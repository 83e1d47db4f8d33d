"""The peer: what one would write oneself for one model. KServe, redis-py, and no questions asked.

No checks of the input, no ages, no policies, no metrics of its own, no swap: keys and fields are put together by
hand, all entities' HMGETs go in one pipeline, doubles are taken out of the bytes, and the same pipeline of the same
artifact predicts. ``python -m bench.by_hand PORT ARTIFACT REDIS PROJECT``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import logging
import struct
import sys
import warnings
from typing import Any

import numpy as np
import redis  # noqa: TID251 it is the peer
import skops.io
from fastapi.exceptions import FastAPIDeprecationWarning
from kserve import Model, ModelServer

from provender.model_registry.artifact import read_artifact
from provender.model_registry.skops_allowlist import TRUSTED
from provender.online.layout import field_name

_DOUBLE = struct.Struct("<xd").unpack


class ByHand(Model):
    """The benchmark's model."""

    def __init__(self, artifact_uri: str, address: str, project: str) -> None:
        super().__init__("bench")
        artifact = read_artifact(artifact_uri)
        self._signature = artifact.signature
        self._pipeline = skops.io.loads(artifact.read("model.skops"), trusted=list(TRUSTED))
        self._redis = redis.Redis.from_url(f"redis://{address}")
        self._project = project.encode()
        groups: dict[tuple[str, ...], list[str]] = {}
        for feature in self._signature.features:
            groups.setdefault(tuple(sorted(feature.join_keys)), []).append(feature.name)
        by_name = {feature.name: feature for feature in self._signature.features}
        self._groups = [
            (keys, names, [field_name(by_name[n].view, by_name[n].feature) for n in names])
            for keys, names in groups.items()
        ]
        self.ready = True

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """One number per instance."""
        instances = payload["instances"]
        pipeline = self._redis.pipeline(transaction=False)
        for keys, _, fields in self._groups:
            for instance in instances:
                pipeline.hmget(self._key(keys, instance), fields)
        answers = iter(pipeline.execute())
        rows = [dict(instance) for instance in instances]
        for _, names, _ in self._groups:
            for row in rows:
                for name, data in zip(names, next(answers), strict=True):
                    row[name] = _DOUBLE(data)[0] if data else None
        matrix = np.array([[row[name] for name in self._signature.inputs] for row in rows], dtype=object)
        return {"predictions": self._pipeline.predict_proba(matrix)[:, 1].tolist()}

    def _key(self, keys: tuple[str, ...], instance: dict[str, str]) -> bytes:
        parts = [struct.pack("<I", len(keys))]
        for text in (*keys, *(instance[key] for key in keys)):
            encoded = text.encode()
            parts.append(struct.pack("<II", 2, len(encoded)) + encoded)
        return b"".join(parts) + self._project


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)
    server = ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, enable_latency_logging=False)
    for quiet in ("uvicorn.access", "kserve.trace"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
    server.start([ByHand(*sys.argv[2:5])])
