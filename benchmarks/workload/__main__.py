"""Write a workload to the standard output."""

from __future__ import annotations

import argparse
import sys

import workload

parser = argparse.ArgumentParser(description=workload.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
workload.add_options(parser)
for line in workload.lines(workload.of(parser.parse_args())):
    sys.stdout.buffer.write(line + b"\n")
