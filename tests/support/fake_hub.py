"""A small Hub on loopback: as much of its HTTP API as `huggingface_hub` needs to publish and read a repository.

Commits are whole trees (path -> file), as git has them; pull requests are branches `refs/pr/N`; large files go through
the LFS batch API, basic or in parts. No Xet: clients set HF_HUB_DISABLE_XET=1. `fault` breaks requests on purpose.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

OWNER, READER = "hf_owner", "hf_reader"  # tokens: one may write everywhere, the other nowhere
NAMES = {OWNER: "owner", READER: "reader"}
DATE = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class File:
    data: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self) -> str:
        """What git calls it; of a large file, git holds a pointer."""
        data = f"oid sha256:{self.sha256} size {len(self.data)}\n".encode() if self.large else self.data
        return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


@dataclass
class Repo:
    name: str
    kind: str = "dataset"
    private: bool = False
    gated: Any = False
    refs: dict[str, str] = field(default_factory=dict)  # main, refs/pr/1, ...
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    titles: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    discussions: list[dict[str, Any]] = field(default_factory=list)

    def commit(self, ref: str, tree: dict[str, File], title: str) -> str:
        number = f"{self.name} {len(self.commits)} {title}".encode()
        sha = hashlib.sha1(number).hexdigest()
        self.commits[sha], self.refs[ref] = tree, sha
        self.titles.append(title)
        return sha

    def at(self, revision: str) -> str:
        """Commit of a branch, tag, pull request or commit."""
        sha = self.refs.get(revision) or self.tags.get(revision) or revision
        if sha not in self.commits:
            raise Refused(404, f"no revision {revision}", "RevisionNotFound")
        return sha

    def tree(self, revision: str = "main") -> dict[str, File]:
        return self.commits[self.at(revision)]


class Refused(Exception):
    def __init__(self, status: int, message: str, code: str = "", body: Any = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


class FakeHub:
    """The server; `with FakeHub() as hub`.

    Attributes:
        fault: called with kind and number of a request (counted per kind from 0); answers None, an HTTP status,
            "ratelimit", "cut" (the connection ends before the request is done) or "lost" (done, but no answer).
        seen: kinds of all requests, in order.
        before_merge: called while a merge is asked for, before it is done.
    """

    def __init__(self, page: int = 7, part: int | None = None) -> None:
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.received = 0  # bytes of large files
        self.fault: Callable[[str, int], int | str | None] = lambda kind, number: None
        self.before_merge: Callable[[Repo], None] = lambda repo: None
        self.seen: list[str] = []
        self.page, self.part, self.lock = page, part, threading.RLock()

    def __enter__(self) -> "FakeHub":
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(self, name: str, files: dict[str, bytes] | None = None, **about: Any) -> Repo:
        """A repository with some files."""
        repo = self.repos[name] = Repo(name, **about)
        repo.commit("main", {path: File(data, False) for path, data in (files or {}).items()}, "initial commit")
        return repo

    def next_fault(self, kind: str) -> int | str | None:
        with self.lock:
            number = self.seen.count(kind)
            self.seen.append(kind)
        return self.fault(kind, number)


class Handler(BaseHTTPRequestHandler):
    """Routes: method, pattern -> function of this class with that name."""

    hub: FakeHub
    protocol_version = "HTTP/1.1"
    D = r"/api/(?:datasets|models)/(?P<repo>[^/]+/[^/]+)"
    ROUTES = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("PUT", rf"{D}/settings", "settings"),
        ("GET", rf"{D}/auth-check(?P<write>/write)?", "auth_check"),
        ("POST", rf"{D}/preupload/(?P<rev>[^/]+)", "preupload"),
        ("POST", r"/(?:datasets/)?(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/(?P<oid>[0-9a-f]+)", "lfs_upload"),
        ("PUT", r"/lfs/(?P<oid>[0-9a-f]+)/(?P<part>\d+)", "lfs_part"),
        ("POST", r"/lfs/(?P<oid>[0-9a-f]+)/complete", "lfs_complete"),
        ("POST", r"/lfs/verify", "lfs_verify"),
        ("POST", rf"{D}/commit/(?P<rev>[^/]+)", "commit"),
        ("GET", rf"{D}/tree/(?P<rev>[^/]+)(?P<path>/.*)?", "tree"),
        ("POST", rf"{D}/paths-info/(?P<rev>[^/]+)", "paths_info"),
        ("GET", rf"{D}/refs", "refs"),
        ("POST", rf"{D}/tag/(?P<rev>[^/]+)", "tag"),
        ("GET", rf"{D}/discussions", "discussions"),
        ("POST", rf"{D}/discussions", "discuss"),
        ("GET", rf"{D}/discussions/(?P<num>\d+)", "discussion"),
        ("POST", rf"{D}/discussions/(?P<num>\d+)/status", "status"),
        ("POST", rf"{D}/discussions/(?P<num>\d+)/merge", "merge"),
        ("GET", rf"{D}(?:/revision/(?P<rev>[^/]+))?", "info"),
        ("GET", r"/(?:datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve"),
    )

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(url.query).items()}
        found = ((re.fullmatch(pattern, url.path), name) for verb, pattern, name in self.ROUTES if verb == method)
        match, kind = next(((match, name) for match, name in found if match), (None, "unknown"))
        fault = self.hub.next_fault(kind)
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "cut":
            self.rfile.read(length // 2)
            self.close_connection = True
            return self.connection.close()
        self.body = self.rfile.read(length)
        if fault == "ratelimit":
            return self._answer(429, {"error": "too many"}, {"RateLimit": '"api";r=0;t=3'})
        if isinstance(fault, int):
            return self._answer(fault, {"error": "on purpose"}, {"Retry-After": "2"} if fault == 429 else {})
        try:
            if not match:
                raise Refused(404, f"no route {method} {self.path}")
            parts = {key: unquote(value) for key, value in match.groupdict().items() if value is not None}
            with self.hub.lock:
                status, answer, headers = getattr(self, kind)(**parts)
        except Refused as error:
            status, answer, headers = error.status, error.body or {"error": error.message}, {}
            headers = {"X-Error-Message": error.message} | ({"X-Error-Code": error.code} if error.code else {})
        if fault == "lost":
            self.close_connection = True
            return self.connection.close()
        return self._answer(status, answer, headers)

    def _answer(self, status: int, answer: Any, headers: dict[str, str]) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    # Who asks, and for what

    @property
    def token(self) -> str | None:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None

    def _json(self) -> Any:
        return json.loads(self.body)

    def _repo(self, name: str, write: bool = False, content: bool = False) -> Repo:
        repo = self.hub.repos.get(name)
        if self.token not in (None, *NAMES):
            raise Refused(401, "Invalid credentials in Authorization header")
        asked = "dataset" if "datasets" in self.path.split("/")[1:3] else "model"
        if not repo or repo.kind != asked or (repo.private and self.token != OWNER):
            raise Refused(404 if self.token else 401, "Repository not found", "RepoNotFound")
        if write and self.token != OWNER:
            raise Refused(403, "you have no write access")
        if content and repo.gated and self.token != OWNER:
            raise Refused(403, "ask for access first", "GatedRepo")
        return repo

    # Account and repository

    def whoami(self) -> Any:
        if self.token not in NAMES:
            raise Refused(401, "Invalid credentials in Authorization header")
        return 200, {"name": NAMES[self.token], "type": "user", "orgs": []}, {}

    def create(self) -> Any:
        told = self._json()
        name = f"{told['organization']}/{told['name']}"
        if self.token != OWNER:
            raise Refused(403, "you may not create repositories there")
        kind = told.get("type") or "model"
        body = {"url": f"{self.hub.endpoint}/{'datasets/' if kind == 'dataset' else ''}{name}"}
        if name in self.hub.repos:
            raise Refused(409, f"You already created this {kind} repo", body=body)
        private = told.get("visibility") == "private"
        self.hub.add(name, {".gitattributes": b"*.parquet filter=lfs\n"}, kind=kind, private=private)
        return 200, body, {}

    def validate(self) -> Any:
        return 200, {"errors": [], "warnings": []}, {}

    def settings(self, repo: str) -> Any:
        told, there = self._json(), self._repo(repo, write=True)
        there.gated = told.get("gated", there.gated)
        there.private = told.get("visibility", "private" if there.private else "public") == "private"
        return 200, {}, {}

    def auth_check(self, repo: str, write: str = "") -> Any:
        self._repo(repo, write=bool(write), content=True)
        return 200, {}, {}

    def info(self, repo: str, rev: str = "main") -> Any:
        there = self._repo(repo)
        tree, sha = there.tree(rev), there.at(rev)
        about = {"id": repo, "author": repo.split("/")[0], "sha": sha, "private": there.private, "gated": there.gated}
        siblings = [{"rfilename": path} for path in sorted(tree)]
        return 200, about | {"siblings": siblings, "tags": [], "downloads": 0, "likes": 0, "lastModified": DATE}, {}

    # Writing

    def preupload(self, repo: str, rev: str) -> Any:
        tree, answer = self._repo(repo, write=not rev.startswith("refs/pr/")).tree(rev), []
        for file in self._json()["files"]:
            there = tree.get(file["path"])
            large = file["path"].endswith((".parquet", ".safetensors")) or file["size"] > 10 << 20
            oid = None if there is None else there.sha256 if there.large else there.oid
            mode = "lfs" if large else "regular"
            answer.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return 200, {"files": answer}, {}

    def lfs_batch(self, repo: str) -> Any:
        told = self._json()
        self._repo(repo, write=not told.get("ref", {}).get("name", "main").startswith("refs/pr/"))
        answer = []
        for wanted in told["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            entry: dict[str, Any] = {"oid": oid, "size": size}
            if oid not in self.hub.large:
                place, part = f"{self.hub.endpoint}/lfs/{oid}", self.hub.part
                upload: dict[str, Any] = {"href": place}
                if part and size > part:
                    numbers = range(1, -(-size // part) + 1)
                    header = {"chunk_size": str(part)} | {str(n): f"{place}/{n}" for n in numbers}
                    upload = {"href": f"{place}/complete", "header": header}
                entry["actions"] = {"upload": upload, "verify": {"href": f"{self.hub.endpoint}/lfs/verify"}}
            answer.append(entry)
        return 200, {"transfer": "basic", "objects": answer}, {}

    def lfs_upload(self, oid: str) -> Any:
        self._keep(oid, self.body)
        self.hub.received += len(self.body)
        return 200, {}, {}

    def lfs_part(self, oid: str, part: str) -> Any:
        self.hub.parts[oid, int(part)] = self.body
        self.hub.received += len(self.body)
        return 200, {}, {"ETag": hashlib.md5(self.body).hexdigest()}

    def lfs_complete(self, oid: str) -> Any:
        self._keep(oid, b"".join(self.hub.parts[oid, part["partNumber"]] for part in self._json()["parts"]))
        return 200, {}, {}

    def _keep(self, oid: str, data: bytes) -> None:
        if hashlib.sha256(data).hexdigest() != oid:
            raise Refused(400, "the bytes have another sha256")
        self.hub.large[oid] = data

    def lfs_verify(self) -> Any:
        told = self._json()
        if len(self.hub.large.get(told["oid"], b"")) != told["size"]:
            raise Refused(404, "not there")
        return 200, {}, {}

    def commit(self, repo: str, rev: str) -> Any:
        there = self._repo(repo, write=not rev.startswith("refs/pr/"))
        tree, lines = dict(there.tree(rev)), [json.loads(line) for line in self.body.splitlines()]
        head = next(line["value"] for line in lines if line["key"] == "header")
        if head.get("parentCommit") not in (None, there.at(rev)):
            raise Refused(412, "A commit has happened since")
        for key, value in ((line["key"], line["value"]) for line in lines):
            if key == "file":
                tree[value["path"]] = File(base64.b64decode(value["content"]), False)
            elif key == "lfsFile":
                if value["oid"] not in self.hub.large:
                    raise Refused(400, f"large file {value['oid']} was never uploaded")
                tree[value["path"]] = File(self.hub.large[value["oid"]], True)
            elif key == "deletedFile" and tree.pop(value["path"], None) is None:
                raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
        sha = there.commit(rev, tree, head["summary"])
        return 200, {"success": True, "commitOid": sha, "commitUrl": f"{self.hub.endpoint}/{repo}/commit/{sha}"}, {}

    def tag(self, repo: str, rev: str) -> Any:
        there, name = self._repo(repo, write=True), self._json()["tag"]
        if name in there.tags:
            raise Refused(409, f"Tag reference exists already: {name}")
        there.tags[name] = there.at(rev)
        return 200, {}, {}

    # Pull requests

    def discussions(self, repo: str) -> Any:
        every, page = self._repo(repo).discussions, int(self.query.get("p", 0))
        shown = every[2 * page : 2 * page + 2]
        return 200, {"count": len(every), "start": 2 * page, "discussions": shown}, {}

    def discuss(self, repo: str) -> Any:
        there, told = self._repo(repo), self._json()
        num = len(there.discussions) + 1
        base = there.refs[f"refs/pr/{num}"] = there.refs["main"]
        there.discussions.append(
            {"num": num, "title": told["title"], "author": {"name": NAMES[self.token or READER]}, "createdAt": DATE}
            | {"status": "draft", "isPullRequest": told["pullRequest"], "repo": {"name": repo, "type": there.kind}}
            | {"events": [], "filesWithConflicts": [], "changes": {"base": "refs/heads/main"}, "from": base}
        )
        return 200, {"num": num}, {}

    def discussion(self, repo: str, num: str) -> Any:
        return 200, self._repo(repo).discussions[int(num) - 1], {}

    def status(self, repo: str, num: str) -> Any:
        new, request = self._json()["status"], self._repo(repo).discussions[int(num) - 1]
        self._repo(repo, write=request["author"]["name"] != NAMES.get(self.token or ""))
        request["status"] = new
        event = {"id": "1", "type": "status-change", "createdAt": DATE, "author": {"name": "owner"}}
        return 200, {"newStatus": event | {"data": {"status": new}}}, {}

    def merge(self, repo: str, num: str) -> Any:
        """As git merges: what only one side changed is taken, what both changed is a conflict."""
        there = self._repo(repo, write=True)
        request = there.discussions[int(num) - 1]
        if request["status"] != "open":
            raise Refused(400, f"the pull request is {request['status']}")
        self.hub.before_merge(there)
        base, ours, theirs = (there.tree(ref) for ref in (request["from"], "main", f"refs/pr/{num}"))
        tree = dict(ours)
        for path in {*base, *theirs}:
            if theirs.get(path) == base.get(path):
                continue
            if ours.get(path) not in (base.get(path), theirs.get(path)):
                raise Refused(409, f"conflict in {path}")
            if path in theirs:
                tree[path] = theirs[path]
            else:
                tree.pop(path, None)
        request["status"] = "merged"
        request["changes"]["mergeCommitId"] = there.commit("main", tree, f"merge {request['title']}")
        return 200, {}, {}

    # Reading

    def _entry(self, path: str, file: File) -> dict[str, Any]:
        entry = {"type": "file", "path": path, "size": len(file.data), "oid": file.oid}
        return entry | ({"lfs": {"oid": file.sha256, "size": len(file.data), "pointerSize": 130}} if file.large else {})

    def _listed(self, repo: str, rev: str) -> dict[str, dict[str, Any]]:
        """Files and folders by path."""
        listed: dict[str, dict[str, Any]] = {}
        for path, file in sorted(self._repo(repo).tree(rev).items()):
            for cut in (n for n, letter in enumerate(path) if letter == "/"):
                folder = path[:cut]
                oid = hashlib.sha1(folder.encode()).hexdigest()
                listed.setdefault(folder, {"type": "directory", "path": folder, "size": 0, "oid": oid})
            listed[path] = self._entry(path, file)
        return listed

    def tree(self, repo: str, rev: str, path: str = "") -> Any:
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        listed = [entry for name, entry in sorted(self._listed(repo, rev).items()) if name.startswith(prefix)]
        if self.query.get("recursive", "").lower() != "true":
            listed = [entry for entry in listed if "/" not in entry["path"][len(prefix) :]]
        if prefix and not listed:
            raise Refused(404, f"no folder {path}", "EntryNotFound")
        start = int(self.query.get("cursor", 0))
        shown, end = listed[start : start + self.hub.page], start + self.hub.page
        recursive = f"&recursive={self.query['recursive']}" if "recursive" in self.query else ""
        here = f"{self.hub.endpoint}{quote(urlsplit(self.path).path, safe='/%')}?cursor={end}{recursive}"
        return 200, shown, {"Link": f'<{here}>; rel="next"'} if end < len(listed) else {}

    def paths_info(self, repo: str, rev: str) -> Any:
        if "json" in (self.headers.get("Content-Type") or ""):
            wanted = self._json()["paths"]
        else:
            wanted = parse_qs(self.body.decode())["paths"]
        listed = self._listed(repo, rev)
        return 200, [listed[path] for path in wanted if path in listed], {}

    def refs(self, repo: str) -> Any:
        there = self._repo(repo)
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": sha} for n, sha in there.tags.items()]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": there.refs["main"]}
        return 200, {"branches": [main], "converts": [], "tags": tags}, {}

    def resolve(self, repo: str, rev: str, path: str) -> Any:
        there = self._repo(repo, content=True)
        file = there.tree(rev).get(path)
        if file is None:
            raise Refused(404, f"no file {path}", "EntryNotFound")
        headers = {"X-Repo-Commit": there.at(rev), "ETag": f'"{file.sha256 if file.large else file.oid}"'}
        headers |= {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not wanted:
            return 200, file.data, headers
        start, size = int(wanted[1]), len(file.data)
        end = min(int(wanted[2] or size - 1), size - 1)
        if start >= size:
            raise Refused(416, "range not satisfiable")
        return 206, file.data[start : end + 1], headers | {"Content-Range": f"bytes {start}-{end}/{size}"}
