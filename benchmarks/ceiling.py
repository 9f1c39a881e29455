"""What the stub can do: the same requests as a run makes, on plain sockets, and nothing done with what comes.

python -m benchmarks.ceiling URL ROWS
"""

import json
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

BATCH = 1000
READERS = 3


def main(base_url: str, rows: int) -> None:
    """Add and read `rows` runs; prints rows a second and the bytes read as JSON."""
    address = urlsplit(base_url)
    where = (address.hostname or "", address.port or 80)
    batches = iter(range(0, rows, BATCH))
    read: list[int] = []
    began = time.perf_counter()
    threads = [threading.Thread(target=lambda: read.append(_work(where, batches))) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"rows_s": rows / (time.perf_counter() - began), "bytes": sum(read)}))


def _work(where: tuple[str, int], batches: "iter[int]") -> int:  # type: ignore[valid-type]
    total = 0
    for start in batches:
        inputs = [
            {
                "processor": "lite",
                "input": {"company_name": f"Company {n}", "website": f"{n}.example", "country": "France"},
                "metadata": {"enrich_task": f"{n:032x}", "enrich_input": f"{n:032x}", "enrich_gen": "0"},
            }
            for n in range(start, start + BATCH)
        ]
        group = json.loads(_exchange(where, "POST", "/v1/tasks/groups", b"{}")[1])["taskgroup_id"]
        body = json.dumps({"inputs": inputs, "default_task_spec": {}}).encode()
        _exchange(where, "POST", f"/v1/tasks/groups/{group}/runs", body)
        total += _exchange(where, "GET", f"/v1/tasks/groups/{group}/runs?include_output=true", keep=False)[0]
    return total


def _exchange(
    where: tuple[str, int], method: str, path: str, body: bytes = b"", *, keep: bool = True
) -> tuple[int, bytes]:
    """One request on a connection of its own: the size of the answer, and its body if it is kept."""
    head = f"{method} {path} HTTP/1.1\r\nhost: stub\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    size, tail, parts = 0, b"", []
    with socket.create_connection(where) as connection:
        connection.sendall(head + body)
        while True:
            data = connection.recv(1 << 18)
            size += len(data)
            if keep:
                parts.append(data)
                answer = b"".join(parts)
                head_end = answer.find(b"\r\n\r\n")
                length = (
                    int(answer[:head_end].lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    if head_end > 0
                    else 0
                )
                if head_end > 0 and len(answer) >= head_end + 4 + length:
                    return size, answer[head_end + 4 :]
            tail = (tail + data)[-5:]
            if tail == b"0\r\n\r\n" or not data:
                return size, b""


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
