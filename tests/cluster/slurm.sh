#!/usr/bin/env bash
# A real SLURM cluster on this one machine, for tests: every file of it is in one directory, every process ends with it.
#   tests/cluster/slurm.sh install      slurm-wlm and munge from Debian (as root)
#   tests/cluster/slurm.sh start DIR    munged, slurmctld and slurmd, until the node is idle; then: export SLURM_CONF=DIR/slurm.conf
#   tests/cluster/slurm.sh stop DIR     cancel the jobs, end the three daemons, remove DIR
set -euo pipefail
PATH=$PATH:/usr/sbin

free_ports() {
    python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in sockets))'
}

configure() {
    local dir=$1 user controller node
    user=$(id -un)
    read -r controller node < <(free_ports)
    cat >"$dir/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$controller
SlurmdPort=$node
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,batch_sched_delay=0,requeue_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
JobRequeue=1
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
END
}

start() {
    local dir=$1
    mkdir -p "$dir/state" "$dir/spool"
    chmod 755 "$dir"
    configure "$dir"
    (umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
    munged --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
        --log-file="$dir/munged.log" --seed-file="$dir/munge.seed"
    export SLURM_CONF=$dir/slurm.conf
    slurmctld
    slurmd
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ] && return
        sleep 0.5
    done
    tail -n 20 "$dir"/*.log >&2
    echo "the cluster in $dir has no idle node after 30 s" >&2
    stop "$dir"
    exit 1
}

stop() {
    local dir=$1 name pid
    export SLURM_CONF=$dir/slurm.conf
    timeout 10 scancel --quiet --user="$(id -un)" || true
    for _ in $(seq 30); do
        [ -z "$(timeout 5 squeue --noheader 2>/dev/null)" ] && break
        sleep 0.5
    done
    for name in slurmd slurmctld munged; do
        pid=$(cat "$dir/$name.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || continue
        timeout 20 tail --pid="$pid" -f /dev/null || kill -KILL "$pid"
    done
    rm -rf "$dir"
}

case ${1-} in
install) apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge ;;
start | stop) "$1" "$(realpath -m "$2")" ;;
*) sed -n 2,5p "$0" >&2 && exit 2 ;;
esac
