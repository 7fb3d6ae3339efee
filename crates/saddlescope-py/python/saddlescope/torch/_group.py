"""A risk whose data are spread over the processes of a torch.distributed group.

Every process makes the same calls. The first one runs the solver; the others answer its questions with what comes from their own
data, until it is done and sends the result round. Sums are made in the order of the ranks, so that they are the same each time.
"""

import torch.distributed as dist


class _Failure:
    def __init__(self, error):
        self.error = error


class Group:
    """The processes that share a risk."""

    def __init__(self, group):
        self.group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        self.first = dist.get_global_rank(group, 0) if group is not dist.group.WORLD else 0
        self._leading = False

    def all_gather(self, value):
        """The values of all processes, by rank."""
        values = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def _send(self, message=None):
        box = [message]
        dist.broadcast_object_list(box, src=self.first, group=self.group)
        return box[0]

    def check_same(self, **hashes):
        """Refuses processes whose models differ; every process raises the same.

        Parameters
        ----------
        hashes : str
            By name: what must be the same everywhere.
        """
        everywhere = self.all_gather(hashes)
        for rank, other in enumerate(everywhere):
            for name, value in other.items():
                if value != everywhere[0][name]:
                    raise ValueError(f"process {rank} of the group has other {name.replace('_', ' ')} than process 0: load the same state dict in "
                                     "every process before the risk is made")

    def _answers(self, risk, command, arguments, values):
        try:
            mine = getattr(risk if values is None else risk._with_buffers(values), command)(*arguments)
        except Exception as error:  # It belongs to the process that leads.
            mine = _Failure(error)
        answers = [None] * self.size if self.rank == 0 else None
        dist.gather_object(mine, answers, dst=self.first, group=self.group)
        return answers

    def call(self, risk, command, arguments):
        """What every process finds, by rank; only the first process may ask."""
        values = risk._other_values()
        self._send((command, arguments, values))
        answers = self._answers(risk, command, arguments, None)
        for answer in answers:
            if isinstance(answer, _Failure):
                raise answer.error
        return answers

    def lead(self, risk, work):
        """The result of `work`, which the first process does, in every process."""
        if self._leading:
            return work()
        if self.rank != 0:
            while True:
                command, arguments, values = self._send()
                if command == "done":
                    if isinstance(arguments, _Failure):
                        raise arguments.error
                    return arguments
                self._answers(risk, command, arguments, values)
        self._leading, result = True, None
        try:
            result = work()
            return result
        except BaseException as error:
            result = _Failure(error)
            raise
        finally:
            self._leading = False
            self._send(("done", result, None))
