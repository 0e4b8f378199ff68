"""The benchmark of whole nights: seconds and memory by stage, each beside its floor.

Belongs here: ``ccgi bench night``. A night's time is our own work (the steps, and what the checks
ask) and the rest: the start of the program and Dagster's bookkeeping. Does not belong here: the
floors (floors), the page (page).
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
from ccgi_pipeline.bench.command_timing import Watched, watched
from ccgi_pipeline.bench.floors import floors, size
from ccgi_pipeline.common.progress import ProgressCounter, report_progress
from ccgi_pipeline.encryption.keys import KEY, generate_key
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.intake.inbox import is_cd_code
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import prepare_dagster_home
from ccgi_pipeline.synthetic import generate

_SEED = 1
_GIBIBYTE = 1 << 30
_CHANGED = 100
"""One district in so many sends anew."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a night: a step, or both steps of a family.

    ``seconds`` in all, ``work_s`` of them our own; ``peak_mib``: the most memory that the process
    had meanwhile; ``floor_s``: the least that the stage could take, 0 where nothing is measured.
    """

    name: str
    seconds: float
    work_s: float
    peak_mib: float
    floor_s: float


@dataclass(frozen=True, slots=True)
class NightFigures:
    """Seconds, mebibytes and ratios of one benchmark run.

    ``start_s``: until the first of our functions ran. ``orchestration_s``: all that was not our own
    work, the start included. ``again_s``: the same night once more. ``next_day_s``: the next day's,
    for which nothing came; ``changed_s``: the day's after it, for which one district in a hundred
    sent everything anew.
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
    start_s: float
    orchestration_s: float
    peak_mib: float
    floor_s: float
    ratio: float
    again_s: float
    next_day_s: float
    changed_s: float
    stages: tuple[Stage, ...]


def bench_night(
    folder: Path, districts: int, students: int, on: date, *, encrypted: bool = False
) -> NightFigures:
    """Generates a state in ``folder`` (replaced), runs a night over it, and the floor.

    ``encrypted``: the night has an encrypted warehouse, by a key that is then forgotten. Each night
    runs in a process of its own, so that imports are counted and memory is its own.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folders = PipelinePaths(folder / "inbox", folder / "outbox", folder / "warehouse")
    _generate(folders.inbox, districts, students, on)
    with _key(generate_key() if encrypted else None):
        night, stages = _night(folders, on)
        works = sum(stage.work_s for stage in stages)
        again, _ = _night(folders, on)
        step = ProgressCounter("measuring the floors", 1)
        least = floors(folders, folder / "floor", on)
        step.advance()
        shutil.rmtree(folder / "floor")
        received, written = _counted(folders.inbox), _counted(folders.outbox)
        next_day, _ = _night(folders, on + timedelta(days=1))
        later = on + timedelta(days=2)
        _some_send_anew(folder, districts, students, later)
        changed, _ = _night(folders, later)
    floor = sum(least.values())
    return NightFigures(
        measured=date.today().isoformat(),  # noqa: DTZ011 - the day on this machine's clock
        cores=os.cpu_count() or 0,
        memory_gib=_memory() / _GIBIBYTE,
        districts=districts,
        students=students,
        received_files=received[0],
        received_mib=received[1],
        written_files=written[0],
        written_mib=written[1],
        night_s=night.seconds,
        start_s=stages[0].seconds,
        orchestration_s=night.seconds - works,
        peak_mib=night.peak(night.began, night.began + night.seconds),
        floor_s=floor,
        ratio=night.seconds / floor,
        again_s=again.seconds,
        next_day_s=next_day.seconds,
        changed_s=changed.seconds,
        stages=_with_floors(stages, least),
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


def _some_send_anew(folder: Path, districts: int, students: int, on: date) -> None:
    """Puts the files of another day into the inbox, of one district in a hundred."""
    another = folder / "another day"
    _generate(another, districts, students, on, only=-(-districts // _CHANGED))
    for sender in [path for path in another.iterdir() if is_cd_code(path.name)]:
        shutil.rmtree(folder / "inbox" / sender.name)
        shutil.move(sender, folder / "inbox" / sender.name)
    shutil.rmtree(another)


@contextmanager
def _key(key: str | None) -> Iterator[None]:
    """Has this process and its children use an encryption key, if there is one."""
    if key is None:
        yield
        return
    os.environ[KEY] = key
    try:
        yield
    finally:
        del os.environ[KEY]


def _night(folders: PipelinePaths, on: date) -> tuple[Watched, list[Stage]]:
    """A night in a process of its own, and its stages; ``start`` and ``the rest`` are two."""
    times = folders.warehouse.with_name("times.json")

    def heard(line: str) -> None:
        told, *words = line.split("\t")
        if told == timed_night.TOLD:
            step, done, total = words
            report_progress(f"{on:%d %B}: {step}", int(done), int(total))

    run = watched(
        timed_night.__name__,
        *(folders.inbox, folders.outbox, folders.warehouse, on.isoformat(), times),
        heard=heard,
    )
    noted = [(begins, ends) for _, begins, ends in json.loads(times.read_text())]
    times.unlink()
    steps = _steps(folders) if len(noted) > 1 else []
    first = noted[0][0]
    stages = [Stage("start", first - run.began, 0.0, run.peak(run.began, first), 0.0)]
    for name, begins, ends in steps:
        works = _within(noted, begins, ends)
        stages.append(Stage(name, ends - begins, works, run.peak(begins, ends), 0.0))
    rest = run.seconds - sum(stage.seconds for stage in stages)
    works = _within(noted, 0.0, float("inf")) - sum(stage.work_s for stage in stages)
    return run, [*stages, Stage("between the steps", rest, works, 0.0, 0.0)]


def _within(noted: Sequence[tuple[float, float]], since: float, until: float) -> float:
    return sum(max(0.0, min(ends, until) - max(begins, since)) for begins, ends in noted)


def _steps(folders: PipelinePaths) -> list[tuple[str, float, float]]:
    """Name, begin and end of each step of the newest run, as Dagster recorded them."""
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


def _with_floors(stages: Sequence[Stage], least: Mapping[str, float]) -> tuple[Stage, ...]:
    """The stages with their floors, the two steps of a family as one; small ones together."""
    joined: dict[str, list[Stage]] = {}
    for stage in stages:
        joined.setdefault(_stage_of(stage.name), []).append(stage)
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


def _stage_of(step: str) -> str:
    return next(
        (family for family in FAMILIES if step in {f"verified_{family}", f"load_{family}"}), step
    )


def _counted(folder: Path) -> tuple[int, float]:
    return sum(path.is_file() for path in folder.rglob("*")), size(folder)


def _memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def as_text(figures: NightFigures) -> str:
    """The figures for a person."""
    stages = "\n".join(
        f"    {stage.name:<26}{stage.seconds:9.1f}{stage.work_s:9.1f}{stage.floor_s:9.1f}"
        f"{stage.peak_mib:9,.0f}"
        for stage in figures.stages
        if stage.seconds >= _SHOWN or stage.floor_s >= _SHOWN
    )
    share = figures.orchestration_s / figures.night_s
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
        f"  the same night again          {figures.again_s:8.1f} s\n"
        f"  the next day, nothing came    {figures.next_day_s:8.1f} s\n"
        f"  one district in {_CHANGED} anew     {figures.changed_s:8.1f} s"
    )


_SHOWN = 0.05
"""Seconds under which a stage is not worth a line."""
