"""``make demo``: the main job on real data. Running it again is quick and changes nothing."""

from __future__ import annotations

import sys

from provender.cli.up import sign_in
from provender.demo.model import model_report
from provender.demo.narrative import tell
from provender.demo.report import as_text, online_values, partitions_table, training_frame
from provender.demo.run import Demo
from provender.errors import ProvenderError
from provender.logs import logging_to_stderr
from provender.settings import load_settings


def main() -> int:
    with logging_to_stderr():
        return _main()


def _main() -> int:
    try:
        settings = load_settings()
        demo = Demo(settings)
        demo.run()
        settings = demo.settings
        tell("\n== what was done")
        tell("\n".join(as_text(partitions_table(settings))))
        tell(
            "\n== a training frame: what was known two hours before departure (FeatureStore.get_historical_features)"
        )
        tell(training_frame(settings).to_string(index=False))
        tell("\n== online values now (FeatureStore.get_online_features)")
        tell(online_values(settings).to_string(index=False))
        tell("\n== the model that serves, and a request")
        tell("\n".join(model_report(settings)))
        tell(sign_in(settings))
    except ProvenderError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "interrupted; `make demo` goes on where it stopped, `make stop` ends what runs", file=sys.stderr
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
