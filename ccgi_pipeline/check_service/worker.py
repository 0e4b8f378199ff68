"""The process that judges one upload, with limits of its own, and ends.

Run as a program, it reads a job as one line of JSON from standard input, and writes the result to
standard output: a line with the verdict, then the page or the JSON. It ends at once when standard
input is closed, as it is when the service has ended.

Belongs here: its limits, and calling the verification. Does not belong here: starting and ending it
(``worker_pool``).
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path
from typing import BinaryIO

from ccgi_pipeline.check_service.jobs import FAILED, JSON, NO_MEMORY, Job, Judgement, read_job
from ccgi_pipeline.common.errors import library_errors
from ccgi_pipeline.common.owner_only import restrict_umask
from ccgi_pipeline.profiles import Profiles, profiles_in
from ccgi_pipeline.verification import offline_check, receipts
from ccgi_pipeline.verification.receipt_html import render_check

BACK = "./"
"""The address of the form, as seen from a receipt."""
_LISTED = "“Save the findings as JSON” on the page before"


def judge(job: Job) -> Judgement:
    """Judges the files of a job as ``ccgi check`` does; changes the current folder."""
    # Names without a folder: a receipt tells nothing of this machine.
    os.chdir(job.folder)
    profiles = profiles_in(Path(job.profiles)) if job.profiles else Profiles()
    dictionary = profiles.receipts.dictionary_url
    checked = offline_check.check(
        [Path(name) for name in job.names],
        date.fromisoformat(job.on),
        job.family,
        profiles=profiles,
        show_values=job.show_values,
        sender=job.sender,
    )
    if job.form == JSON:
        answer = receipts.describe_check(checked.verdict, checked.files, dictionary)
        content = json.dumps(answer, indent=2)
    else:
        content = render_check(
            checked.verdict,
            checked.files,
            values_shown=job.show_values,
            dictionary=dictionary,
            back=BACK,
            complete_list=_LISTED,
        )
    return Judgement(str(checked.verdict), content.encode(errors="replace"))


def main() -> None:
    """Judges one job."""
    restrict_umask()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold students' data
    output = _take_output()
    line = sys.stdin.buffer.readline()
    if not line:
        return
    threading.Thread(target=_end_with_the_service, daemon=True).start()
    job = read_job(line)
    tempfile.tempdir = os.environ["TMPDIR"] = job.folder
    before = _mapped_bytes()
    _limit(job, before)
    status = 0
    try:
        judged = judge(job)
        output.write(json.dumps({"verdict": judged.verdict}).encode() + b"\n")
        output.write(judged.content)
        output.flush()
    except MemoryError:
        status = NO_MEMORY
    except library_errors():
        # Without its message, which may quote a cell. Libraries say in many ways that they got no
        # memory, so what was used tells it.
        short = _mapped_bytes("VmPeak") - before > job.memory * _MUCH
        status = NO_MEMORY if short else FAILED
    os._exit(status)


def _take_output() -> BinaryIO:
    """Returns standard output for the result alone: what libraries print goes nowhere."""
    output = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return output


def _end_with_the_service() -> None:
    while os.read(0, 1):
        pass
    os._exit(FAILED)


def _limit(job: Job, used: int) -> None:
    """Limits memory and processor time; what is used already does not count."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = used + job.memory
    resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))
    cores = os.cpu_count() or 1
    processor = math.ceil(time.process_time() + job.seconds * cores) + 1
    # The first ends it with a signal of its own, the second whatever it does.
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # nothing is written but the result


_MUCH = 0.5


def _mapped_bytes(which: str = "VmSize") -> int:
    """Returns how many bytes this process has, or had at most; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    sizes = [line.split()[1] for line in lines if line.startswith(f"{which}:")]
    return int(sizes[0]) * 1024 if sizes else 0


if __name__ == "__main__":
    main()
