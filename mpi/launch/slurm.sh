#!/usr/bin/env bash
# A Slurm job: sbatch mpi/launch/slurm.sh. A process for each GPU; each takes the GPU of its number on its machine.
# A process that dies ends the job step; the loop starts it again, from the last checkpoint.
#SBATCH --job-name=wgrad
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --output=%x-%j.out
set -uo pipefail

program=${PROGRAM:-target/release/examples/distributed}
folder=${SLURM_SUBMIT_DIR:-$PWD}/checkpoints # on a file system that all nodes see

for attempt in 1 2 3; do
    srun --mpi=pmix --kill-on-bad-exit=1 "$program" --checkpoints "$folder" --json run.json && exit 0
    echo "attempt $attempt ended early; going on from the last checkpoint" >&2
done
exit 1
