"""What the tests of the callback channel send."""

from telefonist.channels.callback import CallbackChannel
from telefonist.channels.signing import generate_secret
from telefonist.types import DeliveryAttempt, Outgoing, new_id

SECRET = generate_secret()
BODY = '{"generated_response": "Маяк", "final": true}'.encode()


def outgoing(url: str, body: bytes = BODY) -> Outgoing:
    return Outgoing(message_id=new_id(), callback_url=url, body=body)


async def send(channel: CallbackChannel, url: str, body: bytes = BODY) -> DeliveryAttempt:
    return await channel.send(outgoing(url, body), [SECRET], 1)
