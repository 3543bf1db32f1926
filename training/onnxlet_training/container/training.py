"""The training process of a container, and the reason if it fails."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType


def train(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command, forward SIGTERM to it, and return its exit code and its error."""
    received: list[int] = []
    process: subprocess.Popen[str] | None = None

    def forward(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if process is not None:
            process.send_signal(number)

    # Set before the command starts: SIGTERM has no default action for the first process of a container.
    before = signal.signal(signal.SIGTERM, forward)
    try:
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace")
        if received:
            process.send_signal(signal.SIGTERM)
        reason = _repeat_errors(process)
        code = process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    if code < 0:
        # As a shell reports it. A process that the kernel kills for lack of memory writes nothing itself.
        return 128 - code, f"the training was ended by {signal.Signals(-code).name}; {reason}".rstrip("; ")
    return code, reason


def _repeat_errors(process: "subprocess.Popen[str]") -> str:
    """Repeat a process's error stream and return its error: the last line of `onnxlet`, or else the last line."""
    last, own = "", ""
    assert process.stderr is not None, "the process was started with a pipe"
    with process.stderr:
        for line in process.stderr:
            sys.stderr.write(line)
            last = line.strip() or last
            own = last if last.startswith("onnxlet:") else own
    return own or last
