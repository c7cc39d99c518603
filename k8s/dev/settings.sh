# Where things of the dev cluster are; read by all its commands (source it, don't run it).
# RECAST_DEV_INSTANCE (0 to 9, default 0): several clusters on one machine, each in a network namespace of its own.
# RECAST_DEV_CACHE: built programs and images, kept. RECAST_DEV_STATE: the cluster's own data, gone after `down`.
# shellcheck shell=bash disable=SC2034
DEV=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY=$(cd "$DEV/../.." && pwd)
INSTANCE=${RECAST_DEV_INSTANCE:-0}
CACHE=${RECAST_DEV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/reana-lite-dev}
# Not below $HOME: PostgreSQL runs as its own user, who may not enter root's home.
STATE=${RECAST_DEV_STATE:-/var/lib/reana-lite-dev/$INSTANCE}
BIN=$CACHE/bin
PATH=$BIN:$PATH
export PATH

NETNS=recast-dev-$INSTANCE
NODE=node1
NODE_IP=10.202.$INSTANCE.1      # the node, and all servers of this cluster: API, S3, PostgreSQL
HOST_IP=10.202.$INSTANCE.2      # this machine as pods see it
POD_CIDR=10.201.$INSTANCE.0/24
SERVICE_CIDR=10.203.$INSTANCE.0/24
API_SERVICE_IP=10.203.$INSTANCE.1
DNS_IP=10.203.$INSTANCE.10
API_PORT=6443 ETCD_PORT=2379 S3_PORT=9000 POSTGRES_PORT=5432
CONTAINERD=$STATE/run/containerd.sock
export KUBECONFIG=$STATE/admin.conf
ctr() { command ctr -a "$CONTAINERD" -n k8s.io "$@"; }
