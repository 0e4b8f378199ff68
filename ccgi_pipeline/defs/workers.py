"""Several workers in one night: how many, by which executor, and how shares become steps.

Belongs here: the settings of the environment, the executors, and what makes of an asset one whose
work is spread over shares. Without ``CCGI_WORKERS`` nothing of it is used: a night is one process.
Does not belong here: what a share is (intake.shares), what a step does with it (night).
"""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.dependency import (
    DynamicCollectDependencyDefinition,
    IDependencyDefinition,
)
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._serdes import serialize_value
from dagster_shared.error import SerializableErrorInfo

from ccgi_pipeline.common.environment import WAREHOUSE, read_variable
from ccgi_pipeline.common.errors import PermanentError, TransientError
from ccgi_pipeline.defs.resources import build_resources
from ccgi_pipeline.intake.shares import Share
from ccgi_pipeline.warehouse.storage import worker_locks
from ccgi_pipeline.warehouse.storage.location import CATALOG_AT
from ccgi_pipeline.worker import BROKER, RESULTS, app_settings

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan

WORKERS, EXECUTOR = "CCGI_WORKERS", "CCGI_EXECUTOR"
"""Environment variables: into how many shares a family's drops are cut, and who takes them."""
MULTIPROCESS, CELERY, K8S = "multiprocess", "celery", "k8s"


class WorkersError(PermanentError):
    """The settings of several workers do not fit together; the message says which."""


class WorkerLostError(TransientError):
    """A worker ended in the middle of a step: it was killed, or had no memory left."""


@dataclass(frozen=True, slots=True)
class Workers:
    """How a night is spread. ``count`` 1: it is not.

    The addresses of broker and results may hold passwords; each is given itself, or as ``_FILE``.
    """

    count: int = 1
    executor: str = MULTIPROCESS
    broker: str | None = field(default=None, repr=False)
    results: str | None = field(default=None, repr=False)

    @property
    def several(self) -> bool:
        """Whether the night is spread at all."""
        return self.count > 1


def workers(environment: Mapping[str, str] = os.environ) -> Workers:
    """What the environment says. Raises WorkersError."""
    said = environment.get(WORKERS) or "1"
    if not said.isdecimal() or not int(said):
        msg = f"{WORKERS} is a number, from 1 on"
        raise WorkersError(msg)
    if int(said) == 1:
        return Workers()
    if not environment.get(CATALOG_AT):
        msg = (
            f"{WORKERS} is {said}, and the catalog lies in the warehouse's folder, where one "
            f"process writes at a time: have it in PostgreSQL ({CATALOG_AT}), or unset {WORKERS}"
        )
        raise WorkersError(msg)
    executor = environment.get(EXECUTOR) or MULTIPROCESS
    if executor not in {MULTIPROCESS, CELERY, K8S}:
        msg = f"{EXECUTOR} is one of {MULTIPROCESS}, {CELERY}, {K8S}"
        raise WorkersError(msg)
    package = _PACKAGES.get(executor)
    if package is not None and find_spec(package) is None:
        msg = f"{EXECUTOR} is {executor}: install ccgi-pipeline[workers], which has {package}"
        raise WorkersError(msg)
    broker, results = (_address(environment, name) for name in (BROKER, RESULTS))
    if executor == CELERY and broker is None:
        msg = f"{EXECUTOR} is {CELERY}: name its broker in {BROKER}, or {BROKER}_FILE"
        raise WorkersError(msg)
    return Workers(int(said), executor, broker, results)


_PACKAGES = {CELERY: "dagster_celery", K8S: "dagster_k8s"}


def _address(environment: Mapping[str, str], name: str) -> str | None:
    found = read_variable(environment, name, WorkersError)
    return found.strip() if found else None


# --- executors ------------------------------------------------------------------------------------


def executor_of(settings: Workers) -> dg.ExecutorDefinition:
    """The executor of all jobs: one process for everything, or one that spreads steps."""
    if not settings.several:
        return dg.in_process_executor
    if settings.executor == CELERY:
        return _celery(settings)
    if settings.executor == K8S:
        from dagster_k8s import k8s_job_executor  # noqa: PLC0415 - an extra

        return _leading(k8s_job_executor).configured({"max_concurrent": settings.count})
    return _leading(dg.multiprocess_executor).configured({"max_concurrent": settings.count})


def _leading(executor: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    """The same executor, leading a night while it spreads the steps."""
    make = executor.executor_creation_fn

    def made(context: dg.InitExecutorContext) -> dg.Executor:
        if make is None:
            msg = "an executor that cannot be made"
            raise TypeError(msg)
        return _Leading(make(context))

    return dg.ExecutorDefinition(
        name=executor.name,
        config_schema=executor.config_schema.as_field(),
        requirements=dg.multiple_process_executor_requirements(),
        executor_creation_fn=made,
    )


class _Leading(dg.Executor):
    """An executor that leads the night while it works."""

    def __init__(self, executor: dg.Executor) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what another class has
        return getattr(self._executor, name)

    @property
    def retries(self) -> RetryMode:
        return self._executor.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        return self._executor.step_dependency_config

    def execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        with worker_locks.leader_lock(Path(os.environ[WAREHOUSE])):
            yield from self._spread(plan_context, execution_plan)

    def _spread(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        return self._executor.execute(plan_context, execution_plan)


class _LeadingCelery(_Leading):
    """The same of Celery. A step whose worker was lost has failed, and the others go on."""

    def _spread(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        from dagster_celery.core_execution_loop import (  # noqa: PLC0415 - an extra
            core_celery_execution_loop,
        )
        from dagster_celery.executor import _submit_task  # noqa: PLC0415 - its only way

        def submit(
            app: Any,  # noqa: ANN401
            context: "PlanOrchestrationContext",
            step: Any,  # noqa: ANN401
            queue: str,
            priority: int,
            known_state: Any,  # noqa: ANN401
        ) -> _Submitted:
            task = _submit_task(app, context, step, queue, priority, known_state)  # type: ignore[no-untyped-call]
            return _Submitted(task, context, step)

        spread: Iterator[dg.DagsterEvent] = core_celery_execution_loop(  # type: ignore[no-untyped-call]
            plan_context, execution_plan, step_execution_fn=submit
        )
        return spread


class _Submitted:
    """A step that a worker was given, as the loop asks for it.

    Left to itself the loop waits for ever once a worker was lost.
    """

    def __init__(self, task: Any, context: "PlanOrchestrationContext", step: Any) -> None:  # noqa: ANN401
        self._task, self._context, self._step = task, context, step

    def ready(self) -> bool:
        """Whether it has ended, or its worker."""
        return bool(self._task.ready())

    def revoke(self) -> None:
        """Takes it back, if nobody has begun it."""
        self._task.revoke()

    def get(self) -> Sequence[str]:
        """Its events; of a lost worker that the step has failed."""
        from celery.exceptions import TaskRevokedError  # noqa: PLC0415 - an extra

        try:
            events: Sequence[str] = self._task.get()
        except TaskRevokedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever Celery says, there is no end of it
            return [serialize_value(self._failure(type(error).__name__))]
        return events

    def _failure(self, kind: str) -> dg.DagsterEvent:
        name = WorkerLostError.__name__
        told = (
            f"{name}: its worker was lost ({kind}): killed, or out of memory. What was committed "
            "stays; run the night again"
        )
        error = SerializableErrorInfo(told, stack=[], cls_name=name)
        failure = StepFailureData(error, user_failure_data=None)  # type: ignore[no-untyped-call]
        return dg.DagsterEvent.step_failure_event(self._context.for_step(self._step), failure)


def _celery(settings: Workers) -> dg.ExecutorDefinition:
    """Dagster's Celery executor; its addresses come from the environment, and into no record."""
    from dagster_celery.executor import CeleryExecutor  # noqa: PLC0415 - an extra

    # It names its one task anew for each step, which Celery remarks upon each time.
    warnings.filterwarnings("ignore", message="Task name 'execute_plan' is already registered")

    def made(_context: dg.InitExecutorContext) -> dg.Executor:
        given_ = app_settings(settings.broker or "", settings.results)
        return _LeadingCelery(CeleryExecutor(RetryMode.DISABLED, **given_))  # type: ignore[no-untyped-call]

    return dg.ExecutorDefinition(
        name=CELERY,
        requirements=dg.multiple_process_executor_requirements(),
        executor_creation_fn=made,
    )


# --- shares as steps ------------------------------------------------------------------------------


def in_shares(
    asset: dg.AssetsDefinition,
    cut: Callable[[dg.OpExecutionContext], Sequence[Share]],
    take: Callable[[dg.OpExecutionContext, Share], Mapping[str, int]],
) -> dg.AssetsDefinition:
    """``asset`` with steps before it, which take its shares.

    ``cut`` says which shares there are; ``take`` takes one, and says in counts what that came to.
    Keys, checks and dependencies are the asset's own; its own step sums up when all shares are
    taken. Nothing is handed on but the shares' names.
    """
    inner = asset.node_def
    name = inner.name
    waits = {each: dg.In(dg.Nothing) for each in asset.keys_by_input_name}

    @dg.op(
        name=f"shares_of_{name}",
        ins=waits,
        out={"shares": dg.DynamicOut(dg.Nothing)},
        required_resource_keys={"warehouse", "night"},
    )
    def cut_up(context: dg.OpExecutionContext) -> Iterator[dg.DynamicOutput[None]]:
        for share in cut(context):
            yield dg.DynamicOutput(None, output_name="shares", mapping_key=share.name)

    @dg.op(
        name=f"share_of_{name}",
        ins={"share": dg.In(dg.Nothing)},
        out={"taken": dg.Out(dg.Nothing)},
        required_resource_keys={"warehouse_of_share", "night"},
    )
    def take_one(context: dg.OpExecutionContext) -> dg.Output[None]:
        share = Share.named(context.get_mapping_key() or "")
        return dg.Output(None, output_name="taken", metadata=take(context, share))

    of_shares: dict[str, dict[str, IDependencyDefinition]] = {
        take_one.name: {"share": dg.DependencyDefinition(cut_up.name, "shares")},
        name: {each: DynamicCollectDependencyDefinition(take_one.name, "taken") for each in waits},
    }
    graph = dg.GraphDefinition(
        name=f"{name}_in_shares",
        description=asset.node_def.description,
        node_defs=[cut_up, take_one, inner],
        dependencies=of_shares,
        input_mappings=[
            dg.InputMapping(
                graph_input_name=each, mapped_node_name=cut_up.name, mapped_node_input_name=each
            )
            for each in waits
        ],
        output_mappings=[
            dg.OutputMapping(
                graph_output_name=output.name,
                mapped_node_name=name,
                mapped_node_output_name=output.name,
            )
            for output in inner.output_defs
        ],
    )
    return dg.AssetsDefinition(
        node_def=graph,
        keys_by_input_name=asset.keys_by_input_name,
        keys_by_output_name=asset.keys_by_output_name,
        specs=list(asset.specs),
        check_specs_by_output_name=asset.check_specs_by_output_name,
    )


@dg.definitions
def surroundings() -> dg.Definitions:
    """The resources, and the executor that opens them: in one process, or in each step's."""
    settings = workers()
    return dg.Definitions(
        resources=build_resources(several=settings.several), executor=executor_of(settings)
    )
