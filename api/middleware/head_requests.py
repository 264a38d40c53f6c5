"""Answers HEAD wherever GET is answered: the same head, and no body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadFromGet:
    """ASGI middleware that has HEAD answered as GET is, and ends the answer after its head."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        ended = False

        async def send_head(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not ended:
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def receive_end() -> Message:
            return {"type": "http.disconnect"} if ended else await receive()  # so that an endless answer ends

        inner = {**scope, "method": "GET"}
        await self._app(inner, receive_end, send_head)
        if "route" in inner:
            scope["route"] = inner["route"]  # what the metrics count by
