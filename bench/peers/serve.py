"""The loop of a peer's process: a line of JSON for each line read.

First {"ready": …}, once the step is compiled and has run. Then each line "SECONDS" on stdin asks for
steps for that long (three at least) and is answered with {"times": […]}; at the end of stdin
{"peak_bytes": …, "start_bytes": …, "loss": …}. What fails is said as {"error": …}.
"""
import json
import resource
import sys
import time


def say(**values):
    print(json.dumps(values), flush=True)


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def serve(build):
    """build() → step, a function of no arguments that takes one step, waits, and returns the loss."""
    start = resident_bytes()
    try:
        step = build()
        for _ in range(2):
            loss = step()
        say(ready=True)
        for line in sys.stdin:
            seconds, times = float(line), []
            while len(times) < 3 or sum(times) < seconds:
                begun = time.perf_counter()
                loss = step()
                times.append(time.perf_counter() - begun)
            say(times=times)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        say(peak_bytes=peak, start_bytes=start, loss=loss)
    except Exception as error:  # out of memory comes as many types
        say(error=f"{type(error).__name__}: {str(error)[:300]}")
        sys.exit(1)
