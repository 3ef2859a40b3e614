"""Our own network as a child process: what it told, what it logged, what it holds of the machine."""

import json
import os
import subprocess
import threading
import time


class Node:
    def __init__(self, binary, *arguments):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen([binary, *arguments], text=True, **pipes)
        self.seen, self.changed = [], threading.Condition()
        for stream, read in ((self.process.stdout, json.loads), (self.process.stderr, logged)):
            threading.Thread(target=self.listen, args=(stream, read), daemon=True).start()
        ready = self.wait(event="ready")
        self.peer, self.port = ready["peer"], int(ready["address"].rsplit("/", 1)[1])
        self.address = f"{ready['address']}/p2p/{self.peer}"

    def listen(self, stream, read):
        for line in stream:
            with self.changed:
                self.seen.append(read(line))
                self.changed.notify_all()

    def mark(self):
        """A point in what is seen, from which `since` and `wait` look."""
        return len(self.seen)

    def since(self, mark, **fields):
        return [one for one in self.seen[mark:] if fields.items() <= one.items()]

    def wait(self, mark=0, seconds=20, **fields):
        with self.changed:
            if not self.changed.wait_for(lambda: self.since(mark, **fields), seconds):
                raise AssertionError(f"the node did not tell {fields} but {self.seen[mark:][-6:]}")
            return self.since(mark, **fields)[0]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self):
        """MiB resident."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) // 1024

    def settle(self, descriptors, seconds=20):
        """Waits until no more than so many descriptors are open."""
        end = time.monotonic() + seconds
        while self.descriptors() > descriptors:
            assert time.monotonic() < end, f"{self.descriptors()} descriptors are open, not {descriptors}"
            time.sleep(0.1)

    def stop(self):
        self.process.stdin.close()
        ended = self.process.wait(20)
        assert ended == 0, f"the node ended with {ended}: {self.seen[-3:]}"


def logged(line):
    """A line of the log, as an event of its own kind."""
    try:
        line = json.loads(line)
    except ValueError:
        return {"event": "said", "text": line.strip()}
    return {"event": "log", **line.get("fields", {}), **{k: v for k, v in line.items() if isinstance(v, str)}}
