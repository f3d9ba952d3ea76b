"""Webhook tasks: taking them, looking at them, cancelling them and sending their answers again."""

from collections.abc import Sequence
from uuid import UUID

from telefonist.core.admission import Gate
from telefonist.core.catalog import Catalog, prompt_budget
from telefonist.core.conversations import message_tokens
from telefonist.core.funds import Funds
from telefonist.core.mailbox import Worker
from telefonist.errors import (
    AuthenticationRequired,
    Conflict,
    FieldProblem,
    InsufficientCredits,
    InvalidInput,
    NotFound,
    RateLimited,
)
from telefonist.logs import get_logger, message_text
from telefonist.storage.intake import Intake
from telefonist.storage.tasks import Tasks
from telefonist.types import AcceptedTask, Caller, Door, NewTask, Side, TaskView

log = get_logger(__name__)


class WebhookTasks:
    """What the webhook door asks of the core.

    ``worker`` is the one of this process, if there is one: it gets what it has room for in the statement that takes it.
    """

    def __init__(
        self,
        intake: Intake,
        tasks: Tasks,
        catalog: Catalog,
        system_prompt: str,
        worker: Worker | None = None,
        *,
        gate: Gate,
        funds: Funds,
    ) -> None:
        self._intake = intake
        self._gate = gate
        self._funds = funds
        self._tasks = tasks
        self._catalog = catalog
        self._system_tokens = message_tokens(system_prompt) if system_prompt else 0
        self._worker = worker

    def model_name(self, asked: str | None) -> str:
        """Resolve what the client asked for to a model's own name.

        Raises InvalidInput, naming the models there are.
        """
        try:
            model = self._catalog.find(asked)
        except NotFound as error:
            problem = FieldProblem("model_not_found", ("body", "model"), str(error), asked)
            raise InvalidInput([problem]) from None
        if model.kind != "chat":
            text = f"The model {model.name} makes vectors and answers no messages."
            raise InvalidInput([FieldProblem("model_kind_mismatch", ("body", "model"), text, asked)])
        return model.name

    async def accept(self, task: NewTask, caller: Caller) -> AcceptedTask:
        """Take a task; when this returns it is on disk.

        Raises InvalidInput for a message longer than the model's window, InsufficientCredits when nothing is left to
        pay an answer with, AccessDenied and RateLimited by the limits of the caller's key (not for a request that was
        taken before), Conflict for an Idempotency-Key used with another body, and Unavailable.
        """
        tokens = message_tokens(task.message)
        model = self._catalog.find(task.model)
        room = prompt_budget(model) - self._system_tokens
        if tokens > room:
            problem = FieldProblem(
                "message_too_long",
                ("body", "message"),
                f"The message is about {tokens} tokens long and the model {task.model} can read {room}. "
                "Shorten it or choose a model with a larger window.",
                ctx={"tokens": tokens, "limit": room},
            )
            raise InvalidInput([problem])
        if caller.account_id is not None:
            try:
                await self._gate.admit(caller, model, Door.WEBHOOK, tokens=tokens + model.hold_output_default)
                await self._funds.require(caller, model, prompt_tokens=tokens + self._system_tokens)
            except (InsufficientCredits, RateLimited):
                known = await self._intake.known(task, caller.account_id)
                if known is None:
                    raise
                return known
        if self._worker is None:
            receipt = await self._intake.accept(task, caller.account_id, tokens, None, key_id=caller.key_id)
        else:
            with self._worker.place(Side.IN) as process_id:
                receipt = await self._intake.accept(task, caller.account_id, tokens, process_id, key_id=caller.key_id)
                if receipt.lease is not None:
                    self._worker.start(receipt.lease, receipt.turn)
        accepted = receipt.accepted
        log.info(
            "task_accepted", task_id=str(accepted.task_id), repeated=accepted.repeated, text=message_text(task.message)
        )
        return accepted

    async def get(self, task_id: UUID, caller: Caller) -> TaskView:
        """Look at a task; raises NotFound also for a task of somebody else."""
        task = await self._tasks.get(task_id, caller.account_id)
        if task is None:
            raise NotFound("task_not_found", task_id=task_id)
        return task

    async def of_conversation(
        self, caller: Caller, conversation_id: str, before: UUID | None, limit: int
    ) -> Sequence[TaskView]:
        """List a conversation's tasks, newest first; raises AuthenticationRequired for an anonymous caller."""
        if caller.account_id is None:
            raise AuthenticationRequired("account_required")
        return await self._tasks.of_conversation(caller.account_id, conversation_id, before, limit)

    async def cancel(self, task_id: UUID, caller: Caller) -> TaskView:
        """Cancel a task before its answer is delivered.

        A task without an answer is not answered any more and leaves the conversation's history; an answer that still
        waits for its receiver is withdrawn. Raises NotFound, and Conflict when it is too late.
        """
        await self.get(task_id, caller)
        cancelled = await self._tasks.cancel(task_id)
        task = await self.get(task_id, caller)
        if not cancelled:
            raise Conflict("task_already_finished", task_id=task_id, state=task.state.value)
        return task

    async def redeliver(self, task_id: UUID, caller: Caller) -> TaskView:
        """Send a task's callback again, at once; raises NotFound, and Conflict while it has none."""
        task = await self.get(task_id, caller)
        if not await self._tasks.redeliver(task_id):
            raise Conflict("nothing_to_redeliver", task_id=task_id, state=task.state.value)
        return await self.get(task_id, caller)

    async def redeliver_host(self, host: str) -> int:
        """Send everything again that is parked for a host (``name:port``), whoever it belongs to; says how many."""
        return await self._tasks.redeliver_host(host)
