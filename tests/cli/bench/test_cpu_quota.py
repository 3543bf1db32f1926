import subprocess
import sys
import time

import pytest

from onnxlet_cli.bench.cpu_quota import limited
from onnxlet_publishing.errors import MachineError

SPIN = "import time\nend = time.perf_counter() + 0.6\nwhile time.perf_counter() < end: pass\nprint(time.process_time())"


def test_a_quota_bounds_the_cpu_time_of_a_process_and_ends_with_its_context() -> None:
    source = f"input()\nstart = __import__('time').process_time()\n{SPIN}"
    with subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            with limited(process.pid, 0.2):
                started_s = time.perf_counter()
                cpu_s = float(process.communicate(b"\n")[0])
        except MachineError as error:
            process.kill()
            pytest.skip(str(error))
    assert cpu_s < 0.5 * (time.perf_counter() - started_s)
