"""NVSentinel's own checks: which codes each reports, and what an observer sees of it by default.

From the health monitors' sources (v1). Sites can add checks with free names, so an unknown name is no fault by itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DCGM = r"DCGM_\w+|NVLINK_\w+|NVSWITCH_\w+|SXID_ERROR|POWER_UNREADABLE"
_XID = r"\d+|GPU_RESET_FAILURE"


class Check(NamedTuple):
    """`codes` is a pattern of its error codes; `shown` what a fault leaves: a condition, an event only, or nothing."""

    codes: str
    shown: str = "condition"

    def carries(self, codes: Iterable[str]) -> bool:
        return any(re.fullmatch(self.codes, code) for code in codes)


_MONITORED = "Pcie Mem Power Inforom Nvlink NvswitchFatal Sm Mcu Pmu Driver All"

CHECKS: Mapping[str, Check] = {
    **{f"Gpu{name}Watch": Check(_DCGM) for name in _MONITORED.split()},
    "GpuThermalWatch": Check(_DCGM, "event"),
    "GpuNvswitchNonfatalWatch": Check(_DCGM, "event"),
    "GpuThermalMarginWatch": Check(_DCGM, "nothing"),
    "GpuDcgmUnresponsive": Check(_DCGM, "nothing"),
    "GpuDcgmConnectivityFailure": Check(_DCGM),
    "SysLogsXIDError": Check(_XID),
    "SysLogsSXIDError": Check(r"\d+"),
    "SysLogsGPUFallenOff": Check("GPU_FALLEN_OFF_BUS"),
    "SysLogsNICDriverError": Check(r"\w+"),
    "InfiniBandStateCheck": Check(r"\w+"),
    "InfiniBandDegradationCheck": Check(r"\w+"),
    "InfiniBandCharDeviceCheck": Check(r"\w+"),
    "EthernetStateCheck": Check(r"\w+"),
    "EthernetDegradationCheck": Check(r"\w+"),
    "CSPMaintenance": Check(r"\w+"),
    "MultipleRemediations": Check(r"\w+"),
    "RepeatedXIDErrorOnSameGPU": Check(r"\w+"),
}

ACTIONS = (
    "NONE",
    "COMPONENT_RESET",
    "CONTACT_SUPPORT",
    "RUN_FIELDDIAG",
    "RESTART_VM",
    "RESTART_BM",
    "REPLACE_VM",
    "RUN_DCGMEUD",
    "CUSTOM",
    "UNKNOWN",
)


def misspelt(name: str, known: Iterable[str]) -> str:
    """The known name that is meant by one that differs in a letter or two only; "" for a name of its own."""
    from nvsx.nearest import nearest

    listed = tuple(known)
    if name in listed:
        return ""
    near = nearest(name, listed)
    return near if near and abs(len(near) - len(name)) <= 2 and _distance(name.lower(), near.lower()) <= 2 else ""


def _distance(one: str, other: str) -> int:
    """How many letters must be put in, taken out or changed."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        row, above = [i], row
        for j, right in enumerate(other, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (left != right)))
    return row[-1]
