"""A process with an embedded server: it tells its state, and again with each line it reads.

python child.py FOLDER
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from portico.redis.embedded.server import EmbeddedRedis


async def main(folder: Path) -> None:
    async with EmbeddedRedis(folder, start_seconds=10) as embedded:
        while True:
            state = {"pid": embedded.pid, "owner": embedded.owner, "url": embedded.url}
            sys.stdout.write(json.dumps(state) + "\n")
            sys.stdout.flush()
            if not await asyncio.to_thread(sys.stdin.readline):
                return


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
