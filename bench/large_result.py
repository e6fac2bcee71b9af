"""What a large result costs a runner: 500 MB that no checkpoint holds, into a real S3 server, beside one of 1 MB.

The bound is the result's own memory once, and 200 MB; what is compared is the peak (VmHWM) of the whole process. It is
the integration test with a larger number: RESULT_MEBIBYTES names another one.
"""

import os
import subprocess
import sys
from pathlib import Path

TEST = "tests/integration/test_runner_results.py::test_the_memory_of_a_large_result_is_its_own_and_a_little"


def main() -> int:
    """Run the test with 500 MB, and let it print what it saw."""
    environment = {"RESULT_MEBIBYTES": "500", **os.environ}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", TEST],
        cwd=Path(__file__).parent.parent,
        env=environment,
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
