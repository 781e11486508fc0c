# SPDX-License-Identifier: Apache-2.0
"""The result of `speed.run` as text for a terminal."""

from __future__ import annotations

from typing import Any

STAGES = ("decode", "prepare", "plan", "network", "vectorise", "total")


def text(result: dict[str, Any]) -> str:
    """A table of the networks, one of the stages, and what to make of them."""
    machine, ceilings, ratios = result["machine"], result["ceilings"], result["ratios"]
    lines = [
        f"{machine['processor']}, {machine['threads']} threads",
        f"load {machine['load_before']} -> {machine['load_after']} {machine['note']}".rstrip(),
        f"ceilings: {ceilings['conv_gflops']} GFLOP/s in convolutions, {ceilings['bandwidth_gbs']} GB/s in a copy",
        f"weights: {result['weights']}",
        "",
        f"{'forward, 6 cameras':<36}{'ms':>9}{'p10':>9}{'p90':>9}{'GFLOP/s':>9}{'of floor':>10}",
    ]
    for name, row in result["forward_ms"].items():
        numbers = "".join(f"{row[key]:>9.1f}" for key in ("median", "p10", "p90", "gflops"))
        share = f"{row['share_of_floor']:.0%}" if "share_of_floor" in row else "-"
        lines.append(f"{name:<36}{numbers}{share:>10}")
    lines.append("")
    for name, network in result["networks"].items():
        lines.append(f"{name:<16}{network['parameters_m']:>9.2f} M parameters{network['gflop']:>9.2f} GFLOP a frame")
    for peer, prefix in (("HDMapNet's shape", ""), ("MapKD's student's", "mapkd_")):
        known = [key for key in ("eager", "fastest", "node") if prefix + key in ratios]
        told = ", ".join(f"{key} {ratios[prefix + key]:g}" for key in known)
        lines.append(f"{peer} takes so many times as long as the student: {told}")
    if result["predict_ms"]:
        lines += ["", "1600 x 900 JPEG to vectors, ms (median, p90)"]
        found = {stage: result["predict_ms"][stage] for stage in STAGES if stage in result["predict_ms"]}
        lines += [f"  {stage:<12}{row['median']:>9.2f}{row['p90']:>9.2f}" for stage, row in found.items()]
    return "\n".join(lines)
