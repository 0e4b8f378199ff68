"""The benchmark of a whole night: seconds and memory by stage, each beside its floor.

Belongs here: ``ccgi bench night``. The time of a night is the pipeline's own work (the steps and
the queries of the checks) and orchestration: the start of the program and Dagster's bookkeeping.
Does not belong here: the floors (``floors``) and the page (``page``).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from ccgi_pipeline.bench import timed_night
from ccgi_pipeline.bench.command_timing import ProcessRun, run_process
from ccgi_pipeline.bench.floors import measure_floors, measure_mib
from ccgi_pipeline.bench.memory import measure_machine_memory
from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.progress import ProgressCounter, report_progress
from ccgi_pipeline.encryption.keys import KEY, generate_key
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.intake.inbox import is_cd_code
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import prepare_dagster_home
from ccgi_pipeline.synthetic import generate
from ccgi_pipeline.warehouse.storage.connection import open_warehouse

_SEED = 1
_GIBIBYTE = 1 << 30
AGAIN, NEXT_DAY = "again", "next day"
_SHARES = {"1 % anew": 100, "10 % anew": 10}
"""Nights of days on which one district in so many sends new files."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a night: a step, or the two steps of a family.

    ``seconds`` in all, of which ``work_s`` are the pipeline's own work; ``peak_mib``: the most
    memory of the process during the stage; ``floor_s``: its floor, 0 if none is measured.
    """

    name: str
    seconds: float
    work_s: float
    peak_mib: float
    floor_s: float


@dataclass(frozen=True, slots=True)
class OrdinaryNight:
    """A night after the first one: its seconds by stage.

    ``name``: ``again`` (the same night once more), ``next day`` (a later day without news), or the
    share of the districts that sent everything anew, each on a day of its own.
    """

    name: str
    seconds: float
    processor_s: float
    peak_mib: float
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class NightFigures:
    """Seconds, mebibytes and ratios of one benchmark run.

    ``start_s``: until the first function of the pipeline ran. ``orchestration_s``: all that was not
    the pipeline's own work, the start included. ``processor_s``: seconds of processor time.
    """

    measured: str
    cores: int
    memory_gib: float
    districts: int
    students: int
    received_files: int
    received_mib: float
    written_files: int
    written_mib: float
    night_s: float
    processor_s: float
    start_s: float
    orchestration_s: float
    peak_mib: float
    floor_s: float
    ratio: float
    stages: tuple[Stage, ...]
    ordinary: tuple[OrdinaryNight, ...]


def bench_night(
    folder: Path, districts: int, students: int, on: date, *, encrypted: bool = False
) -> NightFigures:
    """Measures nights over a generated state in ``folder`` (replaced), and their floor.

    ``encrypted``: the nights use an encrypted warehouse, whose key is not kept. Each night runs in
    a process of its own, which counts the imports and has its own memory.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folders = PipelinePaths(folder / "inbox", folder / "outbox", folder / "warehouse")
    _generate(folders.inbox, districts, students, on)
    with _encryption_key(generate_key() if encrypted else None):
        night, stages = _run_night(folders, on)
        _require_all_loaded(folders)
        work = sum(stage.work_s for stage in stages)
        ordinary = [_run_ordinary_night(AGAIN, folders, on)]
        step = ProgressCounter("measuring the floors", 1)
        least = measure_floors(folders, folder / "floor", on)
        step.advance()
        shutil.rmtree(folder / "floor")
        received, written = _count_files(folders.inbox), _count_files(folders.outbox)
        # The files have events of the next morning, which are that day's news.
        _run_night(folders, on + timedelta(days=1))
        ordinary.append(_run_ordinary_night(NEXT_DAY, folders, on + timedelta(days=2)))
        for later, (name, one_in) in enumerate(_SHARES.items(), start=3):
            day = on + timedelta(days=later)
            _replace_some_drops(folder, districts, students, day, -(-districts // one_in))
            ordinary.append(_run_ordinary_night(name, folders, day))
    floor = sum(least.values())
    return NightFigures(
        measured=date.today().isoformat(),  # noqa: DTZ011 - the day on this machine's clock
        cores=os.cpu_count() or 0,
        memory_gib=measure_machine_memory() / _GIBIBYTE,
        districts=districts,
        students=students,
        received_files=received[0],
        received_mib=received[1],
        written_files=written[0],
        written_mib=written[1],
        night_s=night.seconds,
        processor_s=night.processor_s,
        start_s=stages[0].seconds,
        orchestration_s=night.seconds - work,
        peak_mib=night.peak(night.began, night.began + night.seconds),
        floor_s=floor,
        ratio=night.seconds / floor,
        stages=_join_stages(stages, least),
        ordinary=tuple(ordinary),
    )


def _generate(
    inbox: Path, districts: int, students: int, on: date, only: int | None = None
) -> None:
    step = ProgressCounter(f"generating {inbox.name}", only or districts)
    generate(
        inbox,
        districts=districts,
        students=students,
        seed=_SEED,
        on=on,
        only=only,
        progress=step.advance,
    )


def _require_all_loaded(folders: PipelinePaths) -> None:
    """Raises PermanentError if a drop was refused: then the night did less than it should."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        refused = connection.execute(
            "SELECT DISTINCT family FROM drops WHERE verdict IN ('rejected', 'held') ORDER BY 1"
        ).fetchall()
    if refused:
        families = ", ".join(family for (family,) in refused)
        msg = f"not all of the generated files were loaded: see the receipts of {families}"
        raise PermanentError(msg)


def _run_ordinary_night(name: str, folders: PipelinePaths, on: date) -> OrdinaryNight:
    run, stages = _run_night(folders, on)
    return OrdinaryNight(
        name=name,
        seconds=run.seconds,
        processor_s=run.processor_s,
        peak_mib=run.peak(run.began, run.began + run.seconds),
        stages=_join_stages(stages, {}),
    )


def _replace_some_drops(folder: Path, districts: int, students: int, on: date, only: int) -> None:
    """Replaces the drops of the first districts (``only``: how many) by those of another day."""
    another = folder / "another day"
    _generate(another, districts, students, on, only=only)
    for sender in [path for path in another.iterdir() if is_cd_code(path.name)]:
        shutil.rmtree(folder / "inbox" / sender.name)
        shutil.move(sender, folder / "inbox" / sender.name)
    shutil.rmtree(another)


@contextmanager
def _encryption_key(key: str | None) -> Iterator[None]:
    """Sets the encryption key of this process and its children, if there is one."""
    if key is None:
        yield
        return
    os.environ[KEY] = key
    try:
        yield
    finally:
        del os.environ[KEY]


def _run_night(folders: PipelinePaths, on: date) -> tuple[ProcessRun, list[Stage]]:
    """Runs a night in a process of its own; returns it and its stages.

    The first stage is ``start``, the last one the time between the steps.
    """
    times = folders.warehouse.with_name("times.json")

    def report_line(line: str) -> None:
        prefix, *words = line.split("\t")
        if prefix == timed_night.PROGRESS_PREFIX:
            step, done, total = words
            report_progress(f"{on:%d %B}: {step}", int(done), int(total))

    run = run_process(
        timed_night.__name__,
        *(folders.inbox, folders.outbox, folders.warehouse, on.isoformat(), times),
        on_line=report_line,
    )
    times_of_calls = [(begins, ends) for _, begins, ends in json.loads(times.read_text())]
    times.unlink()
    steps = [step for step in _read_steps(folders) if step[1] >= run.began]  # none if nothing ran
    first = times_of_calls[0][0]
    stages = [Stage("start", first - run.began, 0.0, run.peak(run.began, first), 0.0)]
    for name, begins, ends in steps:
        work = _sum_within(times_of_calls, begins, ends)
        stages.append(Stage(name, ends - begins, work, run.peak(begins, ends), 0.0))
    rest = run.seconds - sum(stage.seconds for stage in stages)
    work = _sum_within(times_of_calls, 0.0, float("inf")) - sum(stage.work_s for stage in stages)
    return run, [*stages, Stage("between the steps", rest, work, 0.0, 0.0)]


def _sum_within(times_of_calls: Sequence[tuple[float, float]], since: float, until: float) -> float:
    return sum(max(0.0, min(ends, until) - max(begins, since)) for begins, ends in times_of_calls)


def _read_steps(folders: PipelinePaths) -> list[tuple[str, float, float]]:
    """Returns name, begin and end of each step of the newest run, as Dagster recorded them."""
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance:
        (run,) = instance.get_runs(limit=1)
        return sorted(
            (
                (stats.step_key, stats.start_time, stats.end_time)
                for stats in instance.get_run_step_stats(run.run_id)
                if stats.start_time is not None and stats.end_time is not None
            ),
            key=lambda step: step[1],
        )


def _join_stages(stages: Sequence[Stage], least: Mapping[str, float]) -> tuple[Stage, ...]:
    """Returns the stages with their floors; the two steps of a family become one stage."""
    joined: dict[str, list[Stage]] = {}
    for stage in stages:
        joined.setdefault(_name_stage(stage.name), []).append(stage)
    found = [
        Stage(
            name,
            sum(stage.seconds for stage in parts),
            sum(stage.work_s for stage in parts),
            max(stage.peak_mib for stage in parts),
            least.get(name, 0.0),
        )
        for name, parts in joined.items()
    ]
    return tuple(found)


def _name_stage(step: str) -> str:
    return next(
        (family for family in FAMILIES if step in {f"verified_{family}", f"load_{family}"}), step
    )


def _count_files(folder: Path) -> tuple[int, float]:
    return sum(path.is_file() for path in folder.rglob("*")), measure_mib(folder)


def format_figures(figures: NightFigures) -> str:
    """Returns the figures as text."""
    stages = "\n".join(
        f"    {stage.name:<26}{stage.seconds:9.1f}{stage.work_s:9.1f}{stage.floor_s:9.1f}"
        f"{stage.peak_mib:9,.0f}"
        for stage in figures.stages
        if stage.seconds >= _SHOWN or stage.floor_s >= _SHOWN
    )
    share = figures.orchestration_s / figures.night_s
    ordinary = "\n".join(
        f"  {night.name:<30}{night.seconds:8.1f} s ({night.seconds / figures.night_s:.1%}), "
        f"{night.processor_s:.1f} s of processor time"
        for night in figures.ordinary
    )
    return (
        f"{figures.students:,} students in {figures.districts:,} districts: "
        f"{figures.received_files:,} files, {figures.received_mib:,.0f} MiB received; "
        f"{figures.written_files:,} files, {figures.written_mib:,.0f} MiB written\n"
        f"    stage                       seconds  of work    floor  MiB peak\n"
        f"{stages}\n"
        f"  the night                     {figures.night_s:8.1f} s, "
        f"peak {figures.peak_mib:,.0f} MiB\n"
        f"  of it start and orchestration {figures.orchestration_s:8.1f} s ({share:.0%})\n"
        f"  the floor                     {figures.floor_s:8.1f} s\n"
        f"  ratio                         {figures.ratio:8.1f}\n"
        f"  processor time                {figures.processor_s:8.1f} s\n"
        f"{ordinary}"
    )


_SHOWN = 0.05
"""Stages with fewer seconds are not shown."""
