#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# The endpoint for Prometheus: what it says after real work, read strictly; that counters grow;
# what is refused; that nobody who dawdles or floods keeps others from it; and that the
# dashboard asks for nothing that is not there.
set -u
. "$(dirname "$0")/../e2e/lib.sh"
pid=
trap '[ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; e2e_end' EXIT

start() {
    "$bin/vgpu-mediator" --socket "$work/m.sock" --control-socket "$work/control.sock" \
        --config /dev/null --set "state_dir=$work/state" --set prestart=0 --backend soft "$@" \
        2>"$work/log" || { cat "$work/log"; return 1; }
    pid=$(sed -n 's/.*started pid=\([0-9]*\).*/\1/p' "$work/log")
}
stop() {
    kill -TERM "$pid"
    for _ in $(seq 500); do kill -0 "$pid" 2>/dev/null || break; sleep 0.02; done
    pid=
}
# ask PATH FILE REQUEST: sends it raw and keeps the answer.
cat >"$work/ask.py" <<'END'
import socket, sys
where, request = sys.argv[1], sys.argv[2].encode().decode("unicode_escape").encode("latin-1")
if where.startswith("/"):
    s = socket.socket(socket.AF_UNIX)
    s.connect(where)
else:
    s = socket.create_connection(("127.0.0.1", int(where)))
s.settimeout(60)
try:
    s.sendall(request)
except (BrokenPipeError, ConnectionResetError):
    pass
answer = b""
try:
    while True:
        piece = s.recv(65536)
        if not piece:
            break
        answer += piece
except ConnectionResetError:
    pass
head, _, body = answer.partition(b"\r\n\r\n")
if "--body" in sys.argv:
    length = [h for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")][0]
    assert int(length.split(b":")[1]) == len(body), "Content-Length is wrong"
    sys.stdout.buffer.write(body)
else:
    sys.stdout.buffer.write(head + b"\n")
END
ask() { python3 "$work/ask.py" "$@"; }
door=$work/metrics.sock
scrape() { ask "$door" 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n' --body; }

# ---- settings ----

for bad in 0.0.0.0:9400 9400 127.0.0.1 127.0.0.1:0 127.0.0.1:99999 localhost:9400 '[::]:9400' unix 10.1.1.1:80; do
    wants "setting: not $bad" 1 "metrics_listen: \"?.*none of unix:PATH" \
        "$bin/vgpu-mediator" --foreground --socket "$work/m.sock" --control-socket "$work/c.sock" \
        --config /dev/null --set "state_dir=$work/state" --backend soft --set "metrics_listen=$bad"
done

# ---- what it says ----

start --set "metrics_listen=unix:$door" || exit 1
wants 'not for everybody' 0 '^660$' stat -c %a "$door"
scrape >"$work/empty"
wants 'of an idle daemon' 0 '^good: ' python3 "$top/tests/mediator/promcheck.py" "$work/empty"
"$bin/vgpu-admin" "--socket=$work/control.sock" register-vm web1 --pool=B --weight=80 --rate=0 \
    --memory=2G >/dev/null
program=$build/demo/reduce
if [ -x "$program" ] && [ -e "$build/lib/libvgpu-softcuda.so" ]; then
    run() { VGPU_SOCKET=$work/m.sock "$bin/vgpu-run" --vm "$1" -- "$program" >/dev/null 2>&1; }
    run web1
    scrape >"$work/first"
    run web1
    run web2
    "$bin/vgpu-admin" "--socket=$work/control.sock" register-vm web3 --rate=200 --burst=1 >/dev/null
    run web3
    # One that holds memory when its executor is killed.
    touch "$work/go"
    VGPU_SOCKET=$work/m.sock "$bin/vgpu-run" --vm web4 -- "$build/client/storm" launch "$work/go" \
        >"$work/storm" 2>&1 &
    storm=$!
    for _ in $(seq 600); do grep -q storm "$work/storm" && break; sleep 0.05; done
    scrape >"$work/holds"
    kill -KILL "$("$bin/vgpu-admin" "--socket=$work/control.sock" show-vm web4 --json |
        sed -n 's/^ *"pid": *\([0-9]*\).*/\1/p')"
    wait $storm
fi
scrape >"$work/second"
wants 'after work' 0 '^good: ' \
    python3 "$top/tests/mediator/promcheck.py" "$work/second" "$work/empty"
wants 'the policy' 0 '^vgpu_vm_weight\{vm="web1"\} 80$' cat "$work/second"
wants 'the memory limit' 0 '^vgpu_vm_memory_limit_bytes\{vm="web1"\} 2147483648$' cat "$work/second"
wants 'pool and priority' 0 '^vgpu_vm_info\{vm="web1",pool="B",priority="medium",registered="yes"\} 1$' \
    cat "$work/second"
if [ -e "$work/first" ]; then
    wants 'counters only grow' 0 '^good: ' \
        python3 "$top/tests/mediator/promcheck.py" "$work/second" "$work/first"
    wants 'calls by class' 0 '^vgpu_vm_calls_total\{vm="web1",class="LAUNCH"\} [1-9]' cat "$work/second"
    wants 'bytes' 0 '^vgpu_vm_received_bytes_total\{vm="web1"\} [1-9]' cat "$work/second"
    wants 'how long calls took' 0 '^vgpu_vm_call_seconds_count\{vm="web1",class="SYNC"\} [1-9]' \
        cat "$work/second"
    wants 'sizes of copies' 0 '^vgpu_vm_copy_bytes_count\{vm="web1"\} [1-9]' cat "$work/second"
    wants 'GPU time' 0 '^vgpu_vm_gpu_seconds_total\{vm="web1"\} 0?\.?[0-9.e-]*[1-9]' cat "$work/second"
    wants 'GPU time of stretches' 0 '^vgpu_vm_gpu_stretch_seconds_count\{vm="web1"\} [1-9]' cat "$work/second"
    wants 'BUSY' 0 '^vgpu_vm_busy_total\{vm="web3"\} [1-9]' cat "$work/second"
    wants 'how long it was' 0 '^vgpu_vm_busy_wait_seconds_count\{vm="web3"\} [1-9]' cat "$work/second"
    wants 'memory in use' 0 '^vgpu_vm_memory_bytes\{vm="web4"\} [1-9]' cat "$work/holds"
    wants 'what ended by a fault' 0 '^vgpu_vm_faults_total\{vm="web4",reason="crashed"\} 1$' cat "$work/second"
    wants 'and is held no more' 0 '^vgpu_vm_memory_bytes\{vm="web4"\} 0$' cat "$work/second"
    wants 'the other VM' 0 '^vgpu_vm_executors_started_total\{vm="web2"\} 1$' cat "$work/second"
    "$bin/vgpu-admin" "--socket=$work/control.sock" show-metrics web1 --json >"$work/json"
    wants 'the same by JSON' 0 '^True True$' python3 -c '
import json, sys
vm = json.load(open(sys.argv[1]))["vms"][0]
sync = vm["histograms"]["latency_ns"]["SYNC"]
text = open(sys.argv[2]).read()
print("vgpu_vm_launches_total{vm=\"web1\"} %d\n" % vm["launches"] in text,
      0 < sync["p50"] <= sync["p90"] <= sync["p99"] and sync["count"] > 0)' "$work/json" "$work/second"
fi

# ---- the dashboard ----

wants 'dashboard' 0 '^all [0-9]+ names are known' python3 -c '
import json, re, sys
text = open(sys.argv[2]).read()
known = set(re.findall(r"^# TYPE (\S+)", text, re.M))
for name in re.findall(r"^# TYPE (\S+) histogram", text, re.M):
    known |= {name + "_bucket", name + "_sum", name + "_count"}
board = json.load(open(sys.argv[1]))
exprs = [t["expr"] for p in board["panels"] for t in p.get("targets", [])]
exprs += [v["query"] if isinstance(v["query"], str) else v["query"]["query"]
          for v in board["templating"]["list"] if v["type"] == "query"]
names = set(re.findall(r"\bvgpu_\w+", " ".join(exprs)))
assert names and exprs, "it asks for nothing"
assert names <= known, names - known
ids = [p["id"] for p in board["panels"]]
assert len(ids) == len(set(ids)), "ids"
print("all", len(names), "names are known")' "$top/mediator/grafana/vgpu.json" "$work/second"

# ---- what it refuses ----

cat >"$work/refusals.py" <<'END'
import socket, sys
cases = [
    ("HEAD", 200, b"HEAD /metrics HTTP/1.0\r\n\r\n"),
    ("with a query", 200, b"GET /metrics?x=1 HTTP/1.1\r\n\r\n"),
    ("another path", 404, b"GET / HTTP/1.1\r\n\r\n"),
    ("a longer path", 404, b"GET /metricsx HTTP/1.1\r\n\r\n"),
    ("a way up", 404, b"GET /metrics/../etc/passwd HTTP/1.1\r\n\r\n"),
    ("POST", 405, b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
    ("another version", 505, b"GET /metrics HTTP/2.0\r\n\r\n"),
    ("no version", 400, b"GET /metrics\r\n\r\n"),
    ("four words", 400, b"GET /metrics HTTP/1.1 x\r\n\r\n"),
    ("a zero byte", 400, b"GET /met\0rics HTTP/1.1\r\n\r\n"),
    ("nothing", 400, b"\r\n\r\n"),
    ("headers without end", 431, b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 4096),
]
for text, want, request in cases:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(sys.argv[1])
    s.sendall(request[:4096])
    line = s.makefile("rb").readline().decode()
    assert line.startswith(f"HTTP/1.1 {want} "), f"{text}: not {want}: {line}"
print(len(cases), "requests")
END
wants 'what it refuses' 0 '^12 requests' python3 "$work/refusals.py" "$door"

# ---- nobody keeps others from it for long ----

python3 - "$door" <<'END' &
import socket, sys, time
held = []
for _ in range(40):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(sys.argv[1])
        s.send(b"GET /metr")
    except OSError:
        pass
    held.append(s)
time.sleep(60)
END
holder=$!
served=no
for _ in $(seq 300); do
    scrape >"$work/third" 2>/dev/null && [ -s "$work/third" ] && { served=yes; break; }
    sleep 0.1
done
wants 'served in spite of 40 who dawdle' 0 yes echo $served
wants 'and the daemon answers' 0 'web1' "$bin/vgpu-admin" "--socket=$work/control.sock" list
kill $holder
wait $holder 2>/dev/null
stop
wants 'the socket is gone' 1 '' test -e "$door"

# ---- over TCP ----

for port in 19400 29411 39423; do
    start --set metrics_listen=127.0.0.1:$port 2>/dev/null >&2 && break
done
door=$port
scrape >"$work/tcp"
wants 'over TCP' 0 '^good: ' python3 "$top/tests/mediator/promcheck.py" "$work/tcp"
stop
[ $failures = 0 ]
