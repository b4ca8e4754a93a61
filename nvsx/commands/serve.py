"""`nvsx serve`: the daemon that listens to webhooks, polls for health events, or sweeps once for cron."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from nvsx.app.daemon.service import Request
    from nvsx.settings import Settings

PORTS = range(65536)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mode", choices=("webhook", "poll", "both"), default="webhook",
        help="what starts runs (default webhook, which only listens: standstills, the circuit breaker and blindness are"
        " seen with poll and both)",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8080, metavar="PORT", help="port to listen at (8080)")
    parser.add_argument(
        "--token-file", action="append", default=[], metavar="FILE", help="a bearer token for /webhook; repeatable"
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain, PEM")
    parser.add_argument("--tls-key", metavar="FILE", help="its key, PEM")
    parser.add_argument(
        "--poll-interval", type=_interval, default=10.0, metavar="TIME", help="seconds, or a duration such as 1m (10)"
    )
    parser.add_argument(
        "--events", choices=("auto", "nodes", "mongo"), default="auto", help="where health events are read (auto: both)"
    )
    parser.add_argument("--adopt", action="store_true", help="at the first start, run for what is quarantined already")
    parser.add_argument("--once", action="store_true", help="for cron: one sweep, run what it finds, end")
    parser.add_argument("--grace", type=_grace, default=30.0, metavar="TIME", help="wait for hooks at the end (30s)")
    parser.add_argument(
        "--max-hooks",
        type=_count,
        default=0,
        metavar="N",
        help="hooks and actions at once (as in nvsx.yaml, or 16)",
    )
    parser.add_argument(
        "--keep", type=_keep, default=90 * 86400.0, metavar="TIME", help="keep ended runs so long (90d)"
    )
    parser.add_argument("--bundled", action="store_true", help="serve the bundled example runbooks")
    parser.add_argument("--metrics-file", metavar="FILE", help="metrics for node_exporter's textfile collector, *.prom")
    parser.add_argument("--output", choices=("text", "jsonl"), default="text", help="form of the log on stdout (text)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    import asyncio

    from nvsx import assets
    from nvsx.app.daemon.service import Service
    from nvsx.app.daemon.serving import serve, sweep
    from nvsx.app.live import shown_commands
    from nvsx.clock import RealClock
    from nvsx.sinks.choose import Look, choose

    assets.preload()  # the file may be replaced while the daemon lives
    request = _request(args)
    look = Look(
        color=settings.color,
        deep_color=settings.deep_color,
        few_colors=settings.few_colors,
        verbose=settings.verbose,
        table=False,
    )
    sink = choose(args.output, look)
    try:
        with shown_commands(verbose=settings.verbose):
            service = Service(request, settings, RealClock(), sink)
            return asyncio.run(sweep(service) if request.once else serve(service))
    finally:
        sink.close()


def _request(args: argparse.Namespace) -> Request:
    from pathlib import Path

    from nvsx.app.daemon.service import Request
    from nvsx.errors import UsageError

    if bool(args.tls_cert) != bool(args.tls_key):
        raise UsageError("--tls-cert and --tls-key go together", hint="nvsx serve --help")
    return Request(
        mode=args.mode,
        host=args.host,
        port=args.port,
        poll_s=args.poll_interval,
        events=args.events,
        adopt=args.adopt,
        once=args.once,
        bundled=args.bundled,
        grace_s=args.grace,
        max_hooks=args.max_hooks,
        keep_s=args.keep,
        tokens=tuple(Path(file).absolute() for file in args.token_file),
        metrics_file=Path(args.metrics_file).absolute() if args.metrics_file else None,
        tls=(Path(args.tls_cert).absolute(), Path(args.tls_key).absolute()) if args.tls_cert else None,
    )


def _refusing(read: Callable[[str], float], text: str, what: str) -> float:
    from argparse import ArgumentTypeError

    try:
        return read(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not {what}") from None


def _seconds(text: str) -> float:
    from nvsx.durations import parse_duration

    return float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text)


def _above_zero(text: str) -> float:
    seconds = _seconds(text)
    if not 0 < seconds <= 86400:
        raise ValueError(text)
    return seconds


def _interval(text: str) -> float:
    return _refusing(_above_zero, text, "an interval; give seconds above 0, or a duration such as 30s")


def _grace(text: str) -> float:
    return _refusing(_seconds, text, "a time; give seconds, or a duration such as 30s")


def _keep(text: str) -> float:
    from nvsx.durations import parse_duration

    return max(86400.0, _refusing(parse_duration, text, "a time; give one such as 90d"))


def _port(text: str) -> int:
    port = _refusing(int, text, "a port")
    _refusing(lambda _: PORTS.index(int(port)), text, "a port; give a number up to 65535")
    return int(port)


def _count(text: str) -> int:
    return int(
        _refusing(lambda word: int(word) if 1 <= int(word) <= 1000 else int(""), text, "a number from 1 to 1000")
    )
