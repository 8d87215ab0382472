"""A program whose processes train cases of `parts_of_batches` together: the folder for what they leave, the tasks.

Rank 0 writes what a training leaves behind; the others refuse to have anything else. They are forked, so that torch is
imported once.
"""

import json
import sys
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import distributed

from gan_exp.runtime.ranks import Ranks
from parts_of_batches import ALL_CASES, configured, train

Tasks = dict[int, list[tuple[int, int | None]]]  # number of ranks -> cases, each with the size of micro-batches


def run_rank(rank: int, folder: Path, tasks: Tasks) -> None:
    torch.set_num_threads(1)
    for count in (count for count in tasks if rank < count):
        distributed.init_process_group("gloo", init_method=f"file://{folder}/meet{count}", rank=rank, world_size=count)
        for number, size in tasks[count]:
            found = train(ALL_CASES[number], size, Ranks(rank, count))
            if rank == 0:
                torch.save(found, folder / f"{count}-{number}-{size}.pt")
            first = [found]
            distributed.broadcast_object_list(first)
            assert all(torch.equal(value, first[0][name]) for name, value in found.items()), f"rank {rank}, {number}"
        distributed.destroy_process_group()


def main(folder: Path, tasks: Tasks) -> int:
    for words in ALL_CASES:
        configured(words)  # once for all
    forking = get_context("fork")
    ranks = [forking.Process(target=run_rank, args=(rank, folder, tasks), daemon=True) for rank in range(max(tasks))]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    return max(abs(process.exitcode or 0) for process in ranks)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), {int(count): of_count for count, of_count in json.loads(sys.argv[2]).items()}))
