"""Building a training set on a disk that is full at one step after the other."""

from __future__ import annotations

import shutil

from provender.storage import storage_at
from provender.training_sets.folder import TrainingSet, training_sets
from provender.training_sets.verify import verify
from tests.feast.conftest import version
from tests.small_disk import SmallDisk, walked
from tests.training_sets.conftest import Builder


def test_a_training_set_is_whole_or_not_there_wherever_the_disk_was_full(
    builder: Builder, small_disk: SmallDisk
) -> None:
    builder.shop.ingest(*[version(driver, driver, 10) for driver in range(200)], recorded=500)
    storage = builder.shop.root / "state/storage"
    shutil.copytree(storage, small_disk.folder, dirs_exist_ok=True)
    shutil.rmtree(storage)
    storage.symlink_to(small_disk.folder)
    rows = tuple((driver, 20, driver % 2) for driver in range(200))

    def run() -> TrainingSet:
        # Only the receipt of its attempt may be missing.
        for there in training_sets(storage_at(builder.settings.storage_root)):
            assert verify(builder.settings, there).agrees
        return builder.build(*rows)

    errors, built = walked(small_disk, run, 8)
    assert len({error.where for error in errors}) >= 2
    assert verify(builder.settings, built).agrees
    assert [path for path in small_disk.folder.rglob("*") if path.name.startswith(".tmp-")] == []
