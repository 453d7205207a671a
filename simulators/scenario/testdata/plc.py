"""A Modbus TCP server made with pymodbus that serves a recording:

    python plc.py HOST:PORT FILE.csv

Holding registers from 0 on: Row as UInt32, then each numeric column as Float,
two registers each, high word first. The next row comes once a client has read
the present one whole and comes back. After the last one was read it prints
"done" and ends, so that nobody reads it twice.
"""

import asyncio
import csv
import os
import struct
import sys
import time

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import StartAsyncTcpServer

SKIP = ("datetime", "anomaly", "changepoint")


def load(path):
    with open(path, newline="") as f:
        for row in csv.DictReader(f, delimiter=";"):
            yield [float(v) for k, v in row.items() if k not in SKIP]


class Recording(ModbusSequentialDataBlock):
    def __init__(self, rows):
        self.rows = rows
        self.row = 0
        self.taken = False
        super().__init__(0, [0] * 65536)
        self.paint()

    def paint(self):
        raw = struct.pack(">I", self.row) + b"".join(struct.pack(">f", v) for v in self.rows[self.row])
        self.image = list(struct.unpack(">%dH" % (len(raw) // 2), raw))

    def getValues(self, address, count=1):
        # A real one takes its time. It also keeps two rows from being read
        # within one millisecond, which is all that a history tells apart.
        time.sleep(0.002)
        if self.taken:
            if self.row == len(self.rows) - 1:
                print("done", flush=True)
                os._exit(0)
            self.row += 1
            self.taken = False
            self.paint()
        at = address - OFFSET
        self.taken = at == 0 and count >= len(self.image)
        return (self.image + [0] * 256)[at : at + count]


# pymodbus counts registers from 1.
OFFSET = 1


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    block = Recording(list(load(sys.argv[2])))
    context = ModbusServerContext(devices=ModbusDeviceContext(hr=block), single=True)
    print("ready", flush=True)
    await StartAsyncTcpServer(context, address=(host, int(port)))


asyncio.run(main())
