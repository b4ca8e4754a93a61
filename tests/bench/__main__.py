"""`make bench`: runs every measurement of the table and prints one JSON object."""

from __future__ import annotations

import json
import platform
import sys

from tests.bench import (
    deck,
    decoding_rate,
    detection,
    doctor,
    kube,
    many_runs,
    output_rate,
    startup,
    volume,
    webhook,
)

MEASUREMENTS = {
    "startup": startup.measure,
    "detection": detection.measure,
    "kubectl_latency": kube.latency,
    "view_events": kube.events,
    "fleet": kube.fleet,
    "hook_output": output_rate.measure,
    "decoding": decoding_rate.measure,
    "deck": deck.measure,
    "doctor": doctor.measure,
    "webhook": webhook.measure,
    "volume": volume.measure,
    "many_runs": many_runs.measure,
}


def main(names: list[str]) -> None:
    unknown = set(names) - set(MEASUREMENTS)
    if unknown:
        sys.exit(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    figures: dict[str, object] = {"python": platform.python_version(), "machine": platform.machine()}
    for name in names or MEASUREMENTS:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        figures[name] = MEASUREMENTS[name]()
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
