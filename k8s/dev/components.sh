# How each program of the dev cluster is started, stopped, and known to be ready; sourced by up, down and component.
# shellcheck shell=bash
COMPONENTS="etcd apiserver containerd minio postgres controller-manager scheduler kubelet kube-proxy coredns kube-router"
ALL_COMPONENTS="$COMPONENTS kwok"

# It writes its number itself: whoever kills us meanwhile leaves none that nobody knows. It keeps nothing open of ours, nor of
# those who called us: a lock (flock) around `up` would be held for as long as the cluster lives.
# shellcheck disable=SC2016
AS_A_DAEMON='echo $$ >"$0.new" && mv "$0.new" "$0"
for fd in /proc/$$/fd/*; do fd=${fd##*/}; case $fd in 0 | 1 | 2 | 255) ;; *) eval "exec $fd>&-" 2>/dev/null ;; esac; done
exec "$@"'

# spawn NAME COMMAND...: in the cluster's network, in a session of its own, with its log in $STATE/log
spawn() {
  local name=$1; shift
  setsid bash -c "$AS_A_DAEMON" "$STATE/run/$name.pid" nsenter --net="/run/netns/$NETNS" "$@" \
    >>"$STATE/log/$name.log" 2>&1 </dev/null &
  echo $! >"$STATE/run/$name.pid.up" && mv "$STATE/run/$name.pid.up" "$STATE/run/$name.pid"
}
pid_of() { cat "$STATE/run/$1.pid" 2>/dev/null || true; }
# A zombie is not running; a number that another program has got is not ours.
is_running() {
  local pid; pid=$(pid_of "$1")
  [ -n "$pid" ] && [ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null && \
    [ "$(readlink "/proc/$pid/ns/net")" = "$(stat -Lc 'net:[%i]' "/run/netns/$NETNS" 2>/dev/null)" ]
}
# wait_for SECONDS WHAT COMMAND...
wait_for() {
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then echo "$what did not become ready; see $STATE/log" >&2; return 1; fi
    sleep 0.1
  done
}
kubectl_ready() { kubectl get --raw /readyz; }
option() { cat "$STATE/options/$1" 2>/dev/null || echo "$2"; }

start_etcd() {
  # Without fsync: this cluster need not survive a power cut, and a killed program loses nothing by it.
  spawn etcd etcd --data-dir "$STATE/etcd" --listen-client-urls "http://127.0.0.1:$ETCD_PORT" \
    --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" --listen-peer-urls http://127.0.0.1:2380 \
    --unsafe-no-fsync --quota-backend-bytes $((4 << 30)) --log-level warn
}
ready_etcd() { wait_for 30 etcd nsenter --net="/run/netns/$NETNS" curl -fsS "http://127.0.0.1:$ETCD_PORT/health"; }

start_apiserver() {
  spawn apiserver kube-apiserver --etcd-servers="http://127.0.0.1:$ETCD_PORT" --secure-port="$API_PORT" \
    --bind-address=0.0.0.0 --advertise-address="$NODE_IP" --tls-cert-file="$STATE/certs/apiserver.crt" \
    --tls-private-key-file="$STATE/certs/apiserver.key" --client-ca-file="$STATE/certs/ca.crt" \
    --service-account-key-file="$STATE/certs/sa.pub" --service-account-signing-key-file="$STATE/certs/sa.key" \
    --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range="$SERVICE_CIDR" \
    --authorization-mode=Node,RBAC --kubelet-client-certificate="$STATE/certs/admin.crt" \
    --kubelet-client-key="$STATE/certs/admin.key" --kubelet-preferred-address-types=InternalIP --allow-privileged \
    --max-requests-inflight=2000 --max-mutating-requests-inflight=1000 --watch-cache=true
}
ready_apiserver() { wait_for 90 "the API server" kubectl_ready; }

start_controller-manager() {
  local qps; qps=$(option qps 200)
  spawn controller-manager kube-controller-manager --kubeconfig="$STATE/admin.conf" --leader-elect=false \
    --service-account-private-key-file="$STATE/certs/sa.key" --root-ca-file="$STATE/certs/ca.crt" \
    --use-service-account-credentials --concurrent-job-syncs=20 --kube-api-qps="$qps" --kube-api-burst=$((qps * 2)) \
    --node-monitor-grace-period="$(option node-grace 40s)" --terminated-pod-gc-threshold=20000
}
start_scheduler() {
  local qps; qps=$(option qps 200)
  spawn scheduler kube-scheduler --kubeconfig="$STATE/admin.conf" --leader-elect=false \
    --kube-api-qps="$qps" --kube-api-burst=$((qps * 2))
}
start_containerd() { spawn containerd containerd --config "$STATE/containerd.toml"; }
ready_containerd() { wait_for 30 containerd ctr version; }
start_kubelet() {
  spawn kubelet kubelet --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/kubelet.conf" --root-dir="$STATE/kubelet" \
    --hostname-override="$NODE" --node-ip="$NODE_IP" --tls-cert-file="$STATE/certs/kubelet.crt" \
    --tls-private-key-file="$STATE/certs/kubelet.key" --v=1
}
ready_kubelet() { wait_for 60 "the node" node_ready; }
node_ready() { [ "$(kubectl get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
start_kube-proxy() { spawn kube-proxy kube-proxy --config="$STATE/kube-proxy.yaml" --hostname-override="$NODE"; }
start_coredns() { spawn coredns coredns -conf "$STATE/Corefile"; }
start_kube-router() {
  spawn kube-router kube-router --kubeconfig="$STATE/admin.conf" --hostname-override="$NODE" --run-router=false \
    --run-service-proxy=false --run-firewall=true --service-cluster-ip-range="$SERVICE_CIDR" --health-port=0 --metrics-port=0
}
start_minio() {
  MINIO_ROOT_USER=$(option s3-access-key "") MINIO_ROOT_PASSWORD=$(option s3-secret-key "") MINIO_UPDATE=off MINIO_BROWSER=off \
    spawn minio minio server --quiet --address "$NODE_IP:$S3_PORT" "$STATE/minio"
}
ready_minio() { wait_for 30 MinIO curl -fsS "http://$NODE_IP:$S3_PORT/minio/health/ready"; }
postgres_bin() { ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1; }
start_postgres() {
  rm -f "$STATE/postgres/postmaster.pid"
  spawn postgres setpriv --reuid postgres --regid postgres --init-groups "$(postgres_bin)/postgres" -D "$STATE/postgres"
}
ready_postgres() { wait_for 30 PostgreSQL "$(postgres_bin)/pg_isready" -q -h "$NODE_IP" -p "$POSTGRES_PORT"; }
start_kwok() {
  spawn kwok kwok --kubeconfig="$STATE/admin.conf" --config="$DEV/simulated.yaml" --manage-all-nodes=false \
    --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake --cidr="10.204.0.0/16" --node-ip="$NODE_IP" \
    --node-lease-duration-seconds=40
}

start() {
  is_running "$1" && return 0
  "start_$1"
  if declare -F "ready_$1" >/dev/null; then "ready_$1"; fi
}
# stop NAME [SIGNAL]: ends it and waits until it is gone (KILL after 20 s)
stop() {
  local pid children="" signal=${2:-TERM} end=$((SECONDS + 20))
  [ "$1" = postgres ] && [ "$signal" = TERM ] && signal=INT  # fast: clients are cut off, not waited for
  is_running "$1" || { rm -f "$STATE/run/$1.pid"; return 0; }
  pid=$(pid_of "$1")
  # a killed postmaster leaves its backends, and they keep the data folder busy
  [ "$1$signal" != postgresKILL ] || children=$(pgrep -P "$pid" || true)
  # shellcheck disable=SC2086
  kill "-$signal" "$pid" $children 2>/dev/null || true
  while is_running "$1"; do
    [ $SECONDS -lt $end ] || kill -KILL "$pid" 2>/dev/null || true
    sleep 0.05
  done
  rm -f "$STATE/run/$1.pid"
}
