# SPDX-License-Identifier: MIT
"""HTTP: `web.py ADDRESS PORT PATH...`. Answer: {"pages": [{"path", "status", "type", "bytes", "text"}],
"error"}.
"""

from __future__ import annotations

import http.client
import json
import sys

LIMIT_S = 5.0


def main(address: str, port: int, paths: list[str]) -> None:
    pages: list[dict[str, object]] = []
    error = ""
    for path in paths:
        connection = http.client.HTTPConnection(address, port, timeout=LIMIT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            error = f"{path}: {problem}"
            break
        finally:
            connection.close()
        kind, text = answer.getheader("Content-Type"), body.decode(errors="replace")
        pages.append({"path": path, "status": answer.status, "type": kind, "bytes": len(body), "text": text})
    json.dump({"pages": pages, "error": error}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
