"""A hub on 127.0.0.1 that speaks Hugging Face's protocol as far as a download needs it, with a second port that plays the
content network, and with every fault that a test may want. Standard library only.
"""
import hashlib
import http.server
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse


def blob_sha1(data):
    """git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repo:
    """files: {path: bytes}. What is larger than `lfs_from` bytes is kept apart from git, as LFS does."""

    def __init__(self, files, lfs_from=1000, revisions=("main",)):
        self.files, self.lfs_from, self.revisions = dict(files), lfs_from, revisions
        self.renew()

    def renew(self):
        """A new commit of what the files are now."""
        self.commit = hashlib.sha1(repr(sorted((p, blob_sha1(d)) for p, d in self.files.items())).encode()).hexdigest()

    def is_lfs(self, path):
        return len(self.files[path]) > self.lfs_from

    def entry(self, path):
        data = self.files[path]
        e = {"type": "file", "oid": blob_sha1(data), "size": len(data), "path": path}
        if self.is_lfs(path):
            e["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            e["oid"] = "0" * 40     # of the pointer
        return e

    def tree(self):
        folders = sorted({p.rsplit("/", 1)[0] for p in self.files if "/" in p})
        return [{"type": "directory", "oid": "1" * 40, "size": 0, "path": f} for f in folders] + \
            [self.entry(p) for p in sorted(self.files)]


class Fault:
    """What happens to one answer; the rest of it is as ever. after: bytes of the body before the connection is cut.
    hold: bytes of the body before it stands still until the hub's `gate` opens."""

    def __init__(self, status=None, headers=(), body=None, after=None, no_range=False, etag=None, length=None, endless=False,
                 rate=None, silent=False, hold=None):
        self.status, self.headers, self.body, self.after, self.no_range = status, dict(headers), body, after, no_range
        self.etag, self.length, self.endless, self.rate, self.silent = etag, length, endless, rate, silent
        self.hold = hold


NONE = Fault()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        hub, where = self.server.hub, self.server.where
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        hub.seen.append((where, self.path, dict(self.headers)))
        fault = hub.take(where + path)
        if fault.silent:
            hub.stop.wait(60)
            self.close_connection = True
        elif fault.status is not None or fault.body is not None:
            self.send(fault.status or 200, fault.body or b"", fault.headers)
        elif fault.endless:
            self.pour(b"[" + b" " * 65535)
        elif where == "hub":
            self.answer(path, url.query, fault)
        else:
            self.blob(hub.blobs[path], fault)

    def send(self, status, body, headers=()):
        self.send_response(status)
        for k, v in dict(headers).items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, code, text):
        self.send(status, b"no", {"X-Error-Code": code, "X-Error-Message": text})

    def pour(self, piece):
        """Without an end."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            while not self.server.hub.stop.is_set():
                self.wfile.write(piece)
        except OSError:
            pass

    def answer(self, path, query, fault):
        hub = self.server.hub
        if hub.token and self.headers.get("Authorization") != "Bearer " + hub.token:
            sent = "Authorization" in self.headers
            return self.refuse(403 if sent else 401, "GatedRepo" if sent else "RepoNotFound", "Access is restricted")
        m = re.fullmatch(hub.prefix + r"/api/models/([^/]+/[^/]+)/(revision|tree)/(.+)", path)
        if m:
            repo = hub.repos.get(m[1])
            if repo is None:
                return self.refuse(404, "RepoNotFound", "Repository not found")
            if m[3] not in repo.revisions and m[3] != repo.commit:
                return self.refuse(404, "RevisionNotFound", "Invalid rev id: " + m[3])
            if m[2] == "revision":
                return self.send(200, json.dumps({"id": m[1], "sha": repo.commit}).encode())
            return self.page(repo, path, query)
        m = re.fullmatch(hub.prefix + r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        repo = hub.repos.get(m[1]) if m else None
        if repo is None or m[2] != repo.commit or m[3] not in repo.files:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        data, entry = repo.files[m[3]], repo.entry(m[3])
        if not repo.is_lfs(m[3]):
            return self.blob(data, fault, {"X-Repo-Commit": repo.commit})
        sha = entry["lfs"]["oid"]
        hub.blobs["/blob/" + sha] = data
        self.send(302, b"moved", {"Location": f"{hub.cdn_url}/blob/{sha}?signature=secret", "X-Repo-Commit": repo.commit,
                                  "X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(len(data)), "ETag": '"of-the-redirect"'})

    def page(self, repo, path, query):
        hub = self.server.hub
        q = dict(urllib.parse.parse_qsl(query))
        at = int(q.get("cursor", 0))
        entries = hub.entries if hub.entries is not None else repo.tree()
        headers = {}
        if at + hub.page < len(entries):    # another host's name, as a mirror passes it on
            headers["Link"] = f'<https://elsewhere.invalid{path}?recursive=true&cursor={at + hub.page}>; rel="next"'
        self.send(200, json.dumps(entries[at:at + hub.page]).encode(), headers)

    def blob(self, data, fault, headers=()):
        etag = fault.etag or '"%s"' % hashlib.sha256(data).hexdigest()[:16]
        begin, status = 0, 200
        m = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if m and not fault.no_range and self.headers.get("If-Range", etag) == etag:
            begin, status = int(m[1]), 206
            if begin >= len(data):
                return self.send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        body = data[begin:]
        self.send_response(status)
        for k, v in {**dict(headers), "ETag": etag, "Accept-Ranges": "bytes"}.items():
            self.send_header(k, v)
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(body) if fault.length is None else fault.length))
        self.end_headers()
        self.pay_out(body, fault)

    def pay_out(self, body, fault):
        try:
            if fault.rate:
                for i in range(0, len(body), fault.rate // 50):
                    self.wfile.write(body[i:i + fault.rate // 50])
                    if self.server.hub.stop.wait(0.02):
                        return
            elif fault.hold is not None:
                self.wfile.write(body[:fault.hold])
                self.server.hub.gate.wait(60)
                self.wfile.write(body[fault.hold:])
            else:
                self.wfile.write(body if fault.after is None else body[:fault.after])
        except OSError:
            self.close_connection = True
        if fault.after is not None or fault.length is not None:
            self.wfile.flush()
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_):
        pass    # a client that left


class Hub:
    """with Hub({"owner/name": Repo(...)}) as hub: ... hub.url"""

    def __init__(self, repos, prefix="", tls=None):
        self.repos, self.prefix, self.tls = repos, prefix, tls
        self.token, self.page, self.entries = None, 1000, None
        self.seen, self.blobs, self.faults = [], {}, {}
        self.stop, self.gate = threading.Event(), threading.Event()

    def __enter__(self):
        self.servers = []
        for where in ("hub", "cdn"):
            server = Server(("127.0.0.1", 0), Handler)
            server.hub, server.where = self, where
            if self.tls and where == "hub":
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.tls)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            self.servers.append(server)
        hub, cdn = (s.server_address[1] for s in self.servers)
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{hub}{self.prefix}"
        self.cdn_url = f"http://127.0.0.1:{cdn}"
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.gate.set()
        for s in self.servers:
            s.shutdown()
            s.server_close()

    def fail(self, where, *faults):
        """The next answers to addresses that match `where`, "hub" or "cdn" and a regular expression of the path."""
        self.faults[where] = list(faults)

    def take(self, address):
        for where, faults in self.faults.items():
            if faults and re.search(where, address):
                return faults.pop(0)
        return NONE

    def asked(self, pattern):
        """Requests whose "hub/path" or "cdn/path" matches."""
        return [(path, headers) for where, path, headers in self.seen if re.search(pattern, where + path)]

    def wait_for(self, pattern, limit=60):
        end = time.monotonic() + limit
        while not self.asked(pattern):
            if time.monotonic() > end:
                raise AssertionError(f"{pattern} was not asked for")
            time.sleep(0.01)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
