"""The table of commands: `--help` imports this alone; a command's module is imported when that command is asked for."""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str, str]] = {
    # name: (module, summary, heading in the overview); the order is the order of display
    "setup": ("nvsx.commands.setup", "first-run wizard: look at the cluster, write fitting runbooks", "Begin"),
    "doctor": ("nvsx.commands.doctor", "is everything in place: machine, cluster, NVSentinel, runbooks", "Begin"),
    "shell": ("nvsx.commands.shell", "a prompt for all of these (so does `nvsx` on a terminal)", "Begin"),
    "run": ("nvsx.commands.run", "run a runbook against a node", "Run"),
    "status": ("nvsx.commands.status", "what NVSentinel does on this cluster now", "Run"),
    "runs": ("nvsx.commands.runs", "the runs on record, the newest first", "Run"),
    "attach": ("nvsx.commands.attach", "watch a run of another process, or see again how one went", "Run"),
    "cancel": ("nvsx.commands.cancel", "end a run of another process; its postmortem still runs", "Run"),
    "serve": ("nvsx.commands.serve", "daemon: webhooks, health events or cron start runbooks", "Serve"),
    "silence": ("nvsx.commands.silence", "keep runs from being started for a while", "Serve"),
    "manifest": ("nvsx.commands.manifest", "files that keep nvsx running: cron, systemd, Kubernetes", "Serve"),
    "report": ("nvsx.commands.report", "what happened: one run's post-mortem, or MTTR over all", "Look back"),
    "explain": (
        "nvsx.commands.explain",
        "why a run was started, or not; which runbook a message would start",
        "Look back",
    ),
    "demo": ("nvsx.commands.demo", "watch the flagship runbook on a simulated cluster", "Rehearse"),
    "drill": (
        "nvsx.commands.drill",
        "rehearse a runbook on a simulated incident; nothing leaves the machine",
        "Rehearse",
    ),
    "test": ("nvsx.commands.test", "hold runbooks to what their tests expect; CI for runbooks", "Rehearse"),
    "list": ("nvsx.commands.list", "table of the runbooks at hand", "Runbooks"),
    "show": ("nvsx.commands.show", "a runbook's stages, watches and hooks", "Runbooks"),
    "lint": ("nvsx.commands.lint", "everything about runbooks that can be known without a cluster", "Runbooks"),
    "init": ("nvsx.commands.init", "a new runbook with three hooks, for a fault or for none yet", "Runbooks"),
    "convert": (
        "nvsx.commands.convert",
        "turn a page of instructions into a runbook, with Claude or by rules",
        "Runbooks",
    ),
    "completion": ("nvsx.commands.completion", "completion script for bash, zsh or fish", "nvsx itself"),
    "help": ("nvsx.commands.help", "this overview, or one topic or command", "nvsx itself"),
    "version": ("nvsx.commands.version", "which nvsx this is", "nvsx itself"),
}
"""A module has `add_arguments(parser)` and `run(args, settings) -> int`."""
