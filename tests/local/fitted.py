"""Fits small models in the serving environment and says what they predict: run there, not imported.

    serving/.venv/bin/python tests/local/fitted.py FOLDER COLUMNS < rows.json

Writes ``FOLDER/<seed>.skops`` for seeds 0 to 2, models of so many columns, and prints their predictions for the rows.
"""

import json
import sys
from pathlib import Path

import numpy as np
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

folder, columns = Path(sys.argv[1]), int(sys.argv[2])
rows = np.array(json.load(sys.stdin), dtype=object)
predictions = {}
for seed in range(3):
    chance = np.random.default_rng(seed)
    table = chance.normal(10, 10, (200, columns))
    label = (table.sum(axis=1) + chance.normal(0, 5, 200) > 10 * columns).astype(int)
    model = Pipeline([("model", HistGradientBoostingClassifier(max_iter=5, random_state=seed))]).fit(
        table, label
    )
    (folder / f"{seed}.skops").write_bytes(skops.io.dumps(model))
    if rows.size:
        predictions[seed] = model.predict_proba(rows)[:, 1].tolist()
print(json.dumps(predictions))
