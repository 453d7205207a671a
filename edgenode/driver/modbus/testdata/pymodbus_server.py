"""A Modbus server that is not ours, for the tests of the driver.

Usage: pymodbus_server.py PORT {socket|rtu} [line]   (pymodbus 3.11)

It serves the values that the tests expect on 127.0.0.1, prints "ready" once it
listens, and ends with its standard input. hr:105 is an illegal address. With
"line" it also opens a pseudo terminal, prints its name behind "ready", and
carries bytes between it and the server, as a serial line would.
"""

import asyncio
import os
import pty
import sys
import tty

from pymodbus.datastore import (
    ModbusDeviceContext,
    ModbusSequentialDataBlock,
    ModbusServerContext,
    ModbusSparseDataBlock,
)
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer

# The library counts from 1 what the wire counts from 0.
FIRST = 1


def registers(values, missing=()):
    table = dict.fromkeys(range(FIRST, FIRST + 300), 0)
    for start, words in values.items():
        for i, word in enumerate(words):
            table[FIRST + start + i] = word
    for address in missing:
        del table[FIRST + address]
    return ModbusSparseDataBlock(table)


def bits(values):
    table = [False] * 300
    for start, flags in values.items():
        table[start : start + len(flags)] = flags
    return ModbusSequentialDataBlock(FIRST, table)


async def open_line(port):
    """Open a pseudo terminal in front of the server and give its name."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asyncio.get_running_loop().add_reader(master, lambda: writer.write(os.read(master, 256)))

    async def back():
        while data := await reader.read(256):
            os.write(master, data)

    return os.ttyname(slave), asyncio.create_task(back())


async def main(port, framer, *line):
    device = ModbusDeviceContext(
        hr=registers(
            {
                100: [0x4048, 0xF5C3, 0xFFFE, 0x0005],
                110: [0x5075, 0x6D70, 0x2031, 0x0000],
            },
            missing=[105],
        ),
        ir=registers({7: [0x1234, 0x5678]}),
        co=bits({20: [True, False, True]}),
        di=bits({3: [True]}),
    )
    server = ModbusTcpServer(
        ModbusServerContext(devices={1: device}, single=False),
        framer=FramerType(framer),
        address=("127.0.0.1", port),
    )
    await server.serve_forever(background=True)
    name, _task = await open_line(port) if line else ("", None)
    print(f"ready {name}".strip(), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
