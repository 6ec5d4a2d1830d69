# bench/peers/pyws_ws_echo.py - the ws_echo figure with Python's websockets.
# usage: python3 pyws_ws_echo.py PORT
import asyncio
import sys

import websockets


async def echo(ws, path=None):
    async for message in ws:
        await ws.send(message)


async def main():
    async with websockets.serve(echo, "127.0.0.1", int(sys.argv[1]),
                                compression=None):
        await asyncio.Future()

asyncio.run(main())
