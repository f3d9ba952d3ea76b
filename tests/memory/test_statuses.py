"""Dialog status: remembered for a while, and only as a hint."""

from telefonist.memory.base import Memory
from telefonist.memory.local import LocalStatuses
from telefonist.types import Owner, new_id
from tests.memory.conftest import Clock
from tests.waiting import until


async def test_everybody_sees_who_answers_until_it_changes(pair: tuple[Memory, Memory]) -> None:
    one, two = pair
    conversation, other = new_id(), new_id()
    assert await two.statuses.get(conversation) is None
    for owner in Owner:
        await one.statuses.set(conversation, owner, 60)
        assert await two.statuses.get(conversation) is owner
    assert await two.statuses.get(other) is None


async def test_a_forgotten_status_is_asked_of_storage(pair: tuple[Memory, Memory]) -> None:
    one, two = pair
    conversation, other = new_id(), new_id()
    await one.statuses.set(conversation, Owner.OPERATOR, 60)
    await one.statuses.set(other, Owner.BOT, 60)
    await two.statuses.forget(conversation)
    await two.statuses.forget(new_id())
    assert await one.statuses.get(conversation) is None
    assert await one.statuses.get(other) is Owner.BOT


async def test_a_status_is_remembered_for_its_time_to_live_only(pair: tuple[Memory, Memory]) -> None:
    one, two = pair
    conversation, lasting = new_id(), new_id()
    await one.statuses.set(lasting, Owner.WAITING, 0.01)
    await one.statuses.set(lasting, Owner.OPERATOR, 60)
    await one.statuses.set(conversation, Owner.OPERATOR, 0.05)

    async def expired() -> bool:
        return await two.statuses.get(conversation) is None

    await until(expired)
    assert await two.statuses.get(lasting) is Owner.OPERATOR


async def test_alone_memory_is_bounded_and_what_was_set_first_is_forgotten_first(clock: Clock) -> None:
    statuses = LocalStatuses(max_entries=3, clock=clock.seconds)
    conversations = [new_id() for _ in range(4)]
    for conversation in conversations[:3]:
        await statuses.set(conversation, Owner.BOT, 60)
    await statuses.set(conversations[0], Owner.OPERATOR, 60)
    await statuses.set(conversations[3], Owner.BOT, 60)
    assert len(statuses) == 3
    assert await statuses.get(conversations[0]) is Owner.OPERATOR
    assert await statuses.get(conversations[1]) is None
    clock.now += 60
    assert await statuses.get(conversations[0]) is None
