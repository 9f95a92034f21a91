"""Imported by every Python that starts with this folder on PYTHONPATH: the kernel of a chapter.

Connections to other hosts are refused. Reads of the package's own drawn weights are written down
in the file that `VIZER_OPENED` names: each has a manifest beside it, which Python opens.
"""

import os
import sys

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WEIGHTS = f"{os.sep}weights{os.sep}"


def watch(event, arguments):
    """Refuse what goes to a network; write down what is read of the drawn models."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
        if host not in LOOPBACK:
            raise RuntimeError(f"a chapter wanted to reach {host}: the network is off")
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "", *LOOPBACK):
        raise RuntimeError(f"a chapter wanted to reach {arguments[0]}: the network is off")
    log = os.environ.get("VIZER_OPENED")
    if (
        event == "open"
        and log
        and WEIGHTS in str(arguments[0])
        and "vizer_lab" in str(arguments[0])
    ):
        with open(log, "a", encoding="utf-8") as file:
            file.write(os.path.basename(str(arguments[0])) + "\n")


if "VIZER_OPENED" in os.environ:  # a chapter's kernel, and nobody else
    sys.addaudithook(watch)
