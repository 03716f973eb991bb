#!/usr/bin/env bash
# cluster.sh DIR: a Slurm cluster of one node, on 127.0.0.1 alone, for tests; root's. DIR/slurm.conf is its SLURM_CONF.
# cluster.sh --stop DIR ends it, by the ids in its files.
set -euo pipefail
if [ "$1" = --stop ]; then
  for file in slurmd.pid slurmctld.pid munge/pid; do kill "$(cat "$2/$file")" || true; done
  exit 0
fi
D=$(realpath "$1") H=$(hostname -s) base=$((17000 + $$ % 250 * 60))
mkdir -p "$D"/{munge,state,spool,log}
chmod 700 "$D/munge"
head -c 128 /dev/urandom >"$D/munge/key"
chmod 600 "$D/munge/key"
cat >"$D/slurm.conf" <<CONF
ClusterName=entktest
SlurmctldHost=$H(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$D/munge/socket
CredType=cred/munge
SlurmctldPort=$base
SlurmdPort=$((base + 1))
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SrunPortRange=$((base + 2))-$((base + 59))
StateSaveLocation=$D/state
SlurmdSpoolDir=$D/spool
SlurmctldPidFile=$D/slurmctld.pid
SlurmdPidFile=$D/slurmd.pid
SlurmctldLogFile=$D/log/slurmctld.log
SlurmdLogFile=$D/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=pmix
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0
ReturnToService=2
MaxArraySize=10001
KillWait=10
SlurmctldTimeout=30
SlurmdTimeout=30
NodeName=$H NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=test Nodes=$H Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
munged --force --key-file="$D/munge/key" --socket="$D/munge/socket" --pid-file="$D/munge/pid" \
  --seed-file="$D/munge/seed" --log-file="$D/log/munged.log" --num-threads=1
export SLURM_CONF="$D/slurm.conf"
slurmctld -c -f "$D/slurm.conf"
slurmd -f "$D/slurm.conf"
for _ in $(seq 200); do
  if sinfo -h -o %t 2>/dev/null | grep -q idle; then exit 0; fi
  sleep 0.1
done
echo "no node became idle" >&2
exit 1
